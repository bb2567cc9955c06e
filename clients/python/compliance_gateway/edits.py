"""A one-line function for each kind of edit in an `EditComplianceAssignments` request."""

from compliance_gateway.targets import Target, assignment
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb

Edit = pb.ComplianceAssignmentEdit


def creating(target: Target, if_exists: "pb.IfExists.ValueType" = pb.IF_EXISTS_UNSPECIFIED) -> Edit:
    """An edit that adds an assignment. if_exists: what to do if the policy is already assigned to the target."""
    return Edit(create=Edit.Create(assignment=assignment(target), if_exists=if_exists))


def updating(assignment_id: str, target: Target) -> Edit:
    """An edit that replaces the target or filter of the assignment with this ID."""
    return Edit(update=Edit.Update(id=assignment_id, assignment=assignment(target)))


def deleting(which: str | Target, *, allow_missing: bool = False) -> Edit:
    """An edit that deletes the assignment with this ID, or to this target. allow_missing: succeed if there is none."""
    one = Edit.Delete(id=which) if isinstance(which, str) else Edit.Delete(target=which)
    one.allow_missing = allow_missing
    return Edit(delete=one)
