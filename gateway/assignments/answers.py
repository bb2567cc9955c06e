"""What edits came to, and revisions -> responses. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from compliance_gateway.v1 import change_pb2
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.assignments.edits import Change
from gateway.assignments.pending import Piece, Written
from gateway.assignments.rows import Row
from gateway.errors import GatewayError, Reason
from gateway.ledger.write import REMOVED
from gateway.odata import ODataError, codec

ASSIGNMENT = codec(DeviceCompliancePolicyAssignment.DESCRIPTOR)
OUTCOMES: Mapping[Change, change_pb2.ComplianceAssignmentOutcome.Outcome.ValueType] = {
    "created": change_pb2.ComplianceAssignmentOutcome.OUTCOME_CREATED,
    "updated": change_pb2.ComplianceAssignmentOutcome.OUTCOME_UPDATED,
    "removed": change_pb2.ComplianceAssignmentOutcome.OUTCOME_REMOVED,
    "unchanged": change_pb2.ComplianceAssignmentOutcome.OUTCOME_UNCHANGED,
}


def assignment(row: Row) -> DeviceCompliancePolicyAssignment:
    """Raises GRAPH_ANSWER_UNREADABLE."""
    try:
        return cast(DeviceCompliancePolicyAssignment, ASSIGNMENT.from_json(row))
    except ODataError as exc:
        raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph has an assignment that cannot be read.") from exc


def assignments(rows: Iterable[Row]) -> Iterable[DeviceCompliancePolicyAssignment]:
    return map(assignment, rows)


def of_one(written: Written) -> Message:
    """Raises SET_CHANGED: another edit of the same write, or someone else, removed it again."""
    if written.row is None:
        raise GatewayError(Reason.SET_CHANGED, REMOVED)
    return assignment(written.row)


def of_none(_: Written) -> Message:
    return Empty()


def of_all(written: Written) -> Message:
    return pb.ReplaceComplianceAssignmentsResponse(assignments=assignments(written.rows.rows))


def of_several(written: Written) -> Message:
    return change_pb2.ComplianceAssignmentsChange(
        outcomes=map(_outcome, written.pieces),
        assignments_before=assignments(written.base.rows if written.base else ()),
        assignments_after=assignments(written.rows.rows),
        etag=written.rows.etag,
        revision=written.revision,
    )


def _outcome(piece: Piece) -> change_pb2.ComplianceAssignmentOutcome:
    before, after = (None if row is None else assignment(row) for row in (piece.before, piece.after))
    return change_pb2.ComplianceAssignmentOutcome(outcome=OUTCOMES[piece.change], before=before, after=after)


def with_cost(answer: Message, etag: str, writes: int, wait: float) -> Message:
    """The answer to who only wants to see. etag: of what is there now. wait: seconds."""
    if isinstance(answer, change_pb2.ComplianceAssignmentsChange):
        answer.etag = etag
        answer.cost.MergeFrom(change_pb2.WriteCost(writes=writes))
        answer.cost.wait.FromMilliseconds(round(wait * 1000))
    return answer


ANSWERS: Mapping[str, Callable[[Written], Message]] = {
    "CreateComplianceAssignment": of_one,
    "UpdateComplianceAssignment": of_one,
    "DeleteComplianceAssignment": of_none,
    "ReplaceComplianceAssignments": of_all,
    "EditComplianceAssignments": of_several,
    "RestoreComplianceAssignments": of_several,
}
