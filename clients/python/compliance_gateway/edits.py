"""Edits of a policy's assignments for `EditComplianceAssignments`, each in one line."""

from compliance_gateway.targets import Target, assignment
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb

Edit = pb.ComplianceAssignmentEdit


def creating(target: Target, if_exists: "pb.IfExists.ValueType" = pb.IF_EXISTS_UNSPECIFIED) -> Edit:
    """Adds an assignment."""
    return Edit(create=Edit.Create(assignment=assignment(target), if_exists=if_exists))


def updating(assignment_id: str, target: Target) -> Edit:
    """Changes the target or the filter of an assignment."""
    return Edit(update=Edit.Update(id=assignment_id, assignment=assignment(target)))


def deleting(which: str | Target, *, allow_missing: bool = False) -> Edit:
    """Removes the assignment with this ID, or to this target."""
    one = Edit.Delete(id=which) if isinstance(which, str) else Edit.Delete(target=which)
    one.allow_missing = allow_missing
    return Edit(delete=one)
