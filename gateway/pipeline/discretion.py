"""What a caller that may write but not read is told: what it sent, plus the assignment's ID, and no filter, row or count of
Graph's. Pure."""

from typing import Any

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget, DeviceCompliancePolicyAssignment
from compliance_gateway.v1.change_pb2 import ComplianceAssignmentsChange
from compliance_gateway.v1.compliance_policy_service_pb2 import ListCompliancePoliciesResponse
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from google.protobuf.message import Message

from gateway.call import CallWarning
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata import codec
from gateway.odata.targets import key_of_target

TARGET = codec(DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)
# Errors whose text, resource or metadata name rows, or their number.
TELLING = frozenset(
    {
        Reason.ALREADY_ASSIGNED,
        Reason.CALLER_NOT_PERMITTED,
        Reason.COUNT_DIFFERS,
        Reason.GRAPH_REFUSES_OLD_ROW,
        Reason.OWNED_BY_POLICY_SET,
        Reason.RESTORE_CONFLICT,
        Reason.TARGET_ASSIGNED_TWICE,
    }
)


# Of a row that a request names by its id, these say that it is there, and what it is.
NAMED_BY_ID = ("UpdateComplianceAssignment", "DeleteComplianceAssignment", "EditComplianceAssignments")
OF_ROWS = ("rows", "more")  # of a warning
OF_THE_ROW = (Reason.NOT_FOUND, Reason.CALLER_NOT_PERMITTED, Reason.OWNED_BY_POLICY_SET)


def asks_for_the_count(request: Any) -> bool:
    """Of a ReplaceComplianceAssignmentsRequest: whether its answer would tell how many rows there are. A guess of
    `expected_count` costs nothing where the write is then refused: a preview, or a target that Graph does not take."""
    return bool(request.HasField("expected_count")) or _is_unconfirmed(request)


def check_confirmed(request: Any) -> None:
    """What only the rows make wrong otherwise. Raises INVALID_FIELD."""
    if _is_unconfirmed(request):
        raise invalid("assignments", "is empty; to confirm that, set allow_empty")


def _is_unconfirmed(request: Any) -> bool:
    return not (request.assignments or request.allow_empty or request.HasField("expected_count"))


def blind_error(error: GatewayError, operation: str) -> GatewayError:
    """The error without what it says about rows. operation: the permission to name where only the rows made another one
    necessary. A row that the caller may not touch is reported as not found."""
    if operation in NAMED_BY_ID and error.reason in OF_THE_ROW:
        return GatewayError(Reason.NOT_FOUND)
    if error.reason not in TELLING:
        return _without_other_reasons(error)
    if error.reason is Reason.CALLER_NOT_PERMITTED:
        words = f"You lack the permission {operation} for some of what the request would change."
        return GatewayError(error.reason, words, metadata={"permission": operation})
    return GatewayError(error.reason, retry_after=error.retry_after)


def _without_other_reasons(error: GatewayError) -> GatewayError:
    """What breaks a rule whatever the rows are; how many more were left out would count the others."""
    own = tuple(violation for violation in error.violations if violation.reason is None)
    if own == error.violations and not error.more:
        return error
    metadata = {name: value for name, value in error.metadata.items() if name != "more_violations"}
    return GatewayError(error.reason, violations=own, metadata=metadata)


def blind_warning(warning: CallWarning) -> CallWarning:
    """The warning without ids of rows, and how many more they are."""
    return CallWarning(warning.reason, {name: value for name, value in warning.metadata.items() if name not in OF_ROWS})


def blind_answer(request: Any, answer: Message) -> Message:
    """The answer to a write, made of the request; and policies without what depends on their assignments."""
    if isinstance(answer, DeviceCompliancePolicyAssignment):
        kept = getattr(request, "if_exists", 0) == pb.IF_EXISTS_KEEP or getattr(request, "keep_filter", False)
        return _echo(answer.id, request.assignment, kept)
    if isinstance(answer, pb.ReplaceComplianceAssignmentsResponse):
        ids = {_key(row): row.id for row in answer.assignments}
        own = [_echo(ids.get(_key(row), ""), row, request.keep_filters) for row in request.assignments]
        return pb.ReplaceComplianceAssignmentsResponse(assignments=own)
    if isinstance(answer, ComplianceAssignmentsChange):
        return ComplianceAssignmentsChange(revision=answer.revision)
    for policy in answer.policies if isinstance(answer, ListCompliancePoliciesResponse) else (answer,):
        if isinstance(policy, DeviceCompliancePolicy):
            policy.ClearField("is_assigned")
            policy.ClearField("assignment_count")
    return answer


def _echo(row_id: str, asked: DeviceCompliancePolicyAssignment, kept: bool) -> DeviceCompliancePolicyAssignment:
    """kept: whether the row keeps the filter that it had before, which the caller may not see."""
    echo = DeviceCompliancePolicyAssignment(id=row_id, target=asked.target)
    if kept:
        echo.target.ClearField("device_and_app_management_assignment_filter_id")
        echo.target.ClearField("device_and_app_management_assignment_filter_type")
    return echo


def _key(row: DeviceCompliancePolicyAssignment) -> object:
    return key_of_target(TARGET.to_json(row.target, answer=True))
