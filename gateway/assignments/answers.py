"""Outcomes of edits, and revisions -> responses. Pure."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TypeAlias, TypeVar, cast

from compliance_gateway.v1 import change_pb2
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.revision_pb2 import ComplianceAssignmentRevision as Revision
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.assignments.edits import Change
from gateway.assignments.pending import Piece, Written
from gateway.assignments.rows import Row, RowSet, Touch
from gateway.changes import NOTHING, decoded
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger.write import REMOVED
from gateway.odata import ODataError, codec
from gateway.operations import OPERATIONS
from gateway.revision import Kept, RevisionKind

ASSIGNMENT = codec(DeviceCompliancePolicyAssignment.DESCRIPTOR)
OUTCOMES: Mapping[Change, change_pb2.ComplianceAssignmentOutcome.Outcome.ValueType] = {
    "created": change_pb2.ComplianceAssignmentOutcome.OUTCOME_CREATED,
    "updated": change_pb2.ComplianceAssignmentOutcome.OUTCOME_UPDATED,
    "removed": change_pb2.ComplianceAssignmentOutcome.OUTCOME_REMOVED,
    "unchanged": change_pb2.ComplianceAssignmentOutcome.OUTCOME_UNCHANGED,
}
KINDS: Mapping[RevisionKind, Revision.Kind.ValueType] = {
    "write": Revision.KIND_WRITE,
    "restore": Revision.KIND_RESTORE,
    "repair": Revision.KIND_REPAIR,
    "foreign": Revision.KIND_FOREIGN,
}


T = TypeVar("T")
Converting: TypeAlias = Generator[None, None, T]  # in steps, one a row


def assignment(row: Row) -> DeviceCompliancePolicyAssignment:
    """The row as a message. Raises GRAPH_ANSWER_UNREADABLE."""
    try:
        return cast(DeviceCompliancePolicyAssignment, ASSIGNMENT.from_json(row))
    except ODataError as exc:
        raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph has an assignment that cannot be read.") from exc


def converting(rows: Iterable[Row]) -> Converting[list[DeviceCompliancePolicyAssignment]]:
    """The rows in steps, one each. Raises as `assignment` does."""
    found = []
    for row in rows:
        found.append(assignment(row))
        yield
    return found


def assignments(rows: Iterable[Row]) -> Iterable[DeviceCompliancePolicyAssignment]:
    return map(assignment, rows)


def of_one(written: Written) -> Message:
    """The answer for an edit of one row. Raises SET_CHANGED if another edit of the same write, or somebody else, removed the
    row again."""
    if written.row is None:
        raise GatewayError(Reason.SET_CHANGED, REMOVED)
    return assignment(written.row)


def of_none(_: Written) -> Message:
    return Empty()


def of_all(written: Written) -> Converting[Message]:
    return pb.ReplaceComplianceAssignmentsResponse(assignments=(yield from converting(written.rows.rows)))


def of_several(written: Written) -> Converting[Message]:
    outcomes = []
    for piece in written.pieces:
        outcomes.append(_outcome(piece))
        yield
    return change_pb2.ComplianceAssignmentsChange(
        outcomes=outcomes,
        assignments_before=(yield from converting(written.base.rows if written.base else ())),
        assignments_after=(yield from converting(written.rows.rows)),
        etag=written.rows.etag,
        revision=written.revision,
    )


def _outcome(piece: Piece) -> change_pb2.ComplianceAssignmentOutcome:
    before, after = (None if row is None else assignment(row) for row in (piece.before, piece.after))
    return change_pb2.ComplianceAssignmentOutcome(outcome=OUTCOMES[piece.change], before=before, after=after)


def with_cost(answer: Message, etag: str, writes: int, wait: float) -> Message:
    """The answer to a preview. etag: of the present set. wait: seconds."""
    if isinstance(answer, change_pb2.ComplianceAssignmentsChange):
        answer.etag = etag
        answer.cost.MergeFrom(change_pb2.WriteCost(writes=writes))
        answer.cost.wait.FromMilliseconds(round(wait * 1000))
    return answer


def revision_of(kept: Kept, touched: Iterable[Touch], base: RowSet | None = None, then: RowSet | None = None) -> Revision:
    """touched: what it changed. base, then: the whole sets before and after, if they are to be shown."""
    calls = [entry for entry in kept.entries if entry.operation in OPERATIONS]
    found = Revision(
        number=kept.number,
        kind=KINDS[kept.kind],
        entries=map(_entry, calls),
        changes=_changes(touched),
        etag_before=kept.etag_before,
        etag_after=kept.etag_after,
        route=kept.route,
        client_request_id=kept.client_request_id,
        graph_request_id=next((entry.graph_request_id for entry in calls), ""),
        foreign_changes=max((entry.foreign_changes for entry in calls), default=0),
        assignments_before=assignments(base.rows if base else ()),
        assignments_after=assignments(then.rows if then else ()),
    )
    found.write_time.FromMicroseconds(round(kept.written_at * 1e6))
    if kept.repaired:
        found.repair_time.FromJsonString(kept.repaired)
    return found


def _entry(entry: Entry) -> Revision.Entry:
    found = Revision.Entry(
        id=entry.id,
        caller=entry.caller,
        operation=entry.operation,
        request_id=entry.request_id,
        changes=_changes((one.before, one.after) for one in decoded(entry.changes or NOTHING)),
    )
    found.call_time.FromJsonString(entry.began_at)
    return found


def _changes(
    touched: Iterable[tuple[Sequence[Row], Sequence[Row]]],
) -> Iterator[Revision.Change]:
    """A line for each row; two for a key that stood twice."""
    for pair in touched:
        for before, after in zip_longest(*pair):
            rows = (None if row is None else assignment(row) for row in (before, after))
            yield Revision.Change(**dict(zip(("before", "after"), rows, strict=True)))


ANSWERS: Mapping[str, Callable[[Written], Message | Converting[Message]]] = {
    "CreateComplianceAssignment": of_one,
    "UpdateComplianceAssignment": of_one,
    "DeleteComplianceAssignment": of_none,
    "ReplaceComplianceAssignments": of_all,
    "EditComplianceAssignments": of_several,
    "RestoreComplianceAssignments": of_several,
}
