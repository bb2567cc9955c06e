"""A handler per RPC: the message becomes an edit for the policy's writer, or a read."""

from collections.abc import Mapping
from typing import cast

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget, DeviceCompliancePolicyAssignment
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.assignments.edits import Add, Edit, IfExists, Remove, ReplaceAll, Retarget
from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.pending import Written
from gateway.assignments.rows import Row, Target, row_id
from gateway.assignments.upstream import Upstream
from gateway.assignments.writers import Writers
from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason, invalid
from gateway.ledger.write import REMOVED, Write
from gateway.odata import ODataError, codec

ASSIGNMENT = codec(DeviceCompliancePolicyAssignment.DESCRIPTOR)
TARGET = codec(DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)
DEFAULT_PAGE_SIZE = 100
IF_EXISTS: Mapping[int, IfExists] = {
    pb.IF_EXISTS_UNSPECIFIED: "fail",
    pb.IF_EXISTS_KEEP: "keep",
    pb.IF_EXISTS_REPLACE: "replace",
}
WHOLE_TARGET = {"*", "target"}
FILTER_ONLY = {
    "target.device_and_app_management_assignment_filter_id",
    "target.device_and_app_management_assignment_filter_type",
}


class AssignmentService:
    """Carries out the operations; the handler at the end of the pipeline."""

    def __init__(self, writers: Writers, page_tokens: PageTokens) -> None:
        self._writers, self._page_tokens = writers, page_tokens
        self._handlers: Mapping[str, Handler] = {
            "CreateComplianceAssignment": self._create,
            "GetComplianceAssignment": self._get,
            "ListComplianceAssignments": self._list,
            "UpdateComplianceAssignment": self._update,
            "DeleteComplianceAssignment": self._delete,
            "ReplaceComplianceAssignments": self._replace,
        }

    async def __call__(self, call: Call) -> Message:
        return await self._handlers[call.operation.name](call)

    async def _create(self, call: Call) -> Message:
        request = cast(pb.CreateComplianceAssignmentRequest, call.message)
        edit = Add(_target(request.assignment), IF_EXISTS[request.if_exists], call.judge)
        return self._row_of(call, await self._write(call, request.device_compliance_policy_id, edit))

    async def _update(self, call: Call) -> Message:
        request = cast(pb.UpdateComplianceAssignmentRequest, call.message)
        paths = set(request.update_mask.paths) or WHOLE_TARGET
        if not (paths <= WHOLE_TARGET or paths <= FILTER_ONLY):
            raise invalid("update_mask", "may name target, or the target's two filter fields, and nothing else")
        target = _target(request.assignment)
        edit = Retarget(
            request.device_compliance_policy_assignment_id, target, paths <= FILTER_ONLY, request.keep_filter, call.judge
        )
        return self._row_of(call, await self._write(call, request.device_compliance_policy_id, edit))

    async def _delete(self, call: Call) -> Message:
        request = cast(pb.DeleteComplianceAssignmentRequest, call.message)
        edit = Remove(request.device_compliance_policy_assignment_id, call.judge)
        await self._write(call, request.device_compliance_policy_id, edit)
        return Empty()

    async def _replace(self, call: Call) -> Message:
        request = cast(pb.ReplaceComplianceAssignmentsRequest, call.message)
        targets = tuple(_target(a, f"assignments[{i}]") for i, a in enumerate(request.assignments))
        expected = request.expected_count if request.HasField("expected_count") else None
        edit = ReplaceAll(targets, expected, request.allow_empty, request.keep_filters, call.judge)
        written = await self._write(call, request.device_compliance_policy_id, edit)
        return pb.ReplaceComplianceAssignmentsResponse(assignments=map(_message, written.rows))

    async def _get(self, call: Call) -> Message:
        """From the list: the route by key is unverified upstream."""
        request = cast(pb.GetComplianceAssignmentRequest, call.message)
        wanted = request.device_compliance_policy_assignment_id
        for row in await self._read(call, request.device_compliance_policy_id):
            if row_id(row).lower() == wanted.lower():
                return _message(row)
        raise GatewayError(Reason.NOT_FOUND, resource=(f"{call.operation.set.policy_type}Assignment", wanted))

    async def _list(self, call: Call) -> Message:
        request = cast(pb.ListComplianceAssignmentsRequest, call.message)
        policy = request.device_compliance_policy_id
        place = (call.operation.set.name, call.tenant, policy)
        start = self._page_tokens.offset(request.page_token, *place) if request.page_token else 0
        rows = await self._read(call, policy)
        end = start + (request.page_size or DEFAULT_PAGE_SIZE)
        return pb.ListComplianceAssignmentsResponse(
            assignments=map(_message, rows[start:end]),
            next_page_token=self._page_tokens.token(*place, end) if end < len(rows) else "",
        )

    async def _read(self, call: Call, policy: str) -> list[Row]:
        graph = self._writers.graphs[call.tenant]
        return (await Upstream(graph, call.operation.set, policy, call.record).read(call.deadline)).rows.rows

    async def _write(self, call: Call, policy: str, edit: Edit) -> Written:
        return await self._writers.carry_out(cast(Write, call.write), call.operation.set, policy, edit)

    def _row_of(self, call: Call, written: Written) -> DeviceCompliancePolicyAssignment:
        if written.row is None:  # another edit of the same write, or someone else, removed it again
            raise GatewayError(Reason.SET_CHANGED, REMOVED)
        call.record.note(assignment=row_id(written.row))
        return _message(written.row)


def _target(assignment: DeviceCompliancePolicyAssignment, at: str = "assignment") -> Target:
    try:
        return TARGET.to_json(assignment.target, f"{at}.target")
    except ODataError as exc:
        raise invalid(exc.at, exc.rule) from exc


def _message(row: Row) -> DeviceCompliancePolicyAssignment:
    try:
        return cast(DeviceCompliancePolicyAssignment, ASSIGNMENT.from_json(row))
    except ODataError as exc:
        raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph has an assignment that cannot be read.") from exc
