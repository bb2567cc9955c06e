"""Requests -> edits. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget, DeviceCompliancePolicyAssignment
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.assignments.edits import Add, Edit, IfExists, Remove, ReplaceAll, Retarget, Together
from gateway.assignments.rows import Target
from gateway.call import Judge
from gateway.errors import invalid
from gateway.odata import ODataError, codec

TARGET = codec(DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)
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


def create(request: pb.CreateComplianceAssignmentRequest, judge: Judge) -> Edit:
    return Add(_target_of(request.assignment), IF_EXISTS[request.if_exists], judge=judge, etag=request.etag)


def update(request: pb.UpdateComplianceAssignmentRequest, judge: Judge) -> Edit:
    by_filter = _is_of_filter(request.update_mask)
    row_id, target = request.device_compliance_policy_assignment_id, _target_of(request.assignment)
    return Retarget(row_id, target, by_filter, request.keep_filter, judge=judge, etag=request.etag)


def delete(request: pb.DeleteComplianceAssignmentRequest, judge: Judge) -> Edit:
    return Remove(request.device_compliance_policy_assignment_id, judge=judge, etag=request.etag)


def replace(request: pb.ReplaceComplianceAssignmentsRequest, judge: Judge) -> Edit:
    targets = tuple(_target_of(one, f"assignments[{at}]") for at, one in enumerate(request.assignments))
    expected = request.expected_count if request.HasField("expected_count") else None
    return ReplaceAll(targets, expected, request.allow_empty, request.keep_filters, judge=judge, etag=request.etag)


def edit(request: pb.EditComplianceAssignmentsRequest, judge: Judge) -> Edit:
    names = [f"edits[{at}].{one.WhichOneof('edit')}" for at, one in enumerate(request.edits)]
    edits = [_single(one, name, judge) for one, name in zip(request.edits, names, strict=True)]
    return Together(tuple(edits), tuple(names), etag=request.etag)


def _single(one: pb.ComplianceAssignmentEdit, at: str, judge: Judge) -> Add | Retarget | Remove:
    match one.WhichOneof("edit"):
        case "create":
            return Add(_target_of(one.create.assignment, f"{at}.assignment"), IF_EXISTS[one.create.if_exists], judge=judge)
        case "update":
            by_filter = _is_of_filter(one.update.update_mask, f"{at}.update_mask")
            target = _target_of(one.update.assignment, f"{at}.assignment")
            return Retarget(one.update.id, target, by_filter, one.update.keep_filter, judge=judge)
        case _:
            by_target = one.delete.WhichOneof("assignment") == "target"
            target_of = _target(one.delete.target, f"{at}.target") if by_target else None
            return Remove(one.delete.id, judge=judge, target=target_of, allow_missing=one.delete.allow_missing)


def _is_of_filter(mask: FieldMask, at: str = "update_mask") -> bool:
    """Whether only the filter is meant."""
    paths = set(mask.paths) or WHOLE_TARGET
    if not (paths <= WHOLE_TARGET or paths <= FILTER_ONLY):
        raise invalid(at, "may name target, or the target's two filter fields, and nothing else")
    return paths <= FILTER_ONLY


def _target_of(assignment: DeviceCompliancePolicyAssignment, at: str = "assignment") -> Target:
    return _target(assignment.target, f"{at}.target")


def _target(target: DeviceAndAppManagementAssignmentTarget, at: str) -> Target:
    try:
        return TARGET.to_json(target, at)
    except ODataError as exc:
        raise invalid(exc.at, exc.rule) from exc


EDITS = cast(
    Mapping[str, Callable[[Any, Judge], Edit]],
    {
        "CreateComplianceAssignment": create,
        "UpdateComplianceAssignment": update,
        "DeleteComplianceAssignment": delete,
        "ReplaceComplianceAssignments": replace,
        "EditComplianceAssignments": edit,
    },
)
