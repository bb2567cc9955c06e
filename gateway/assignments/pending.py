"""An edit that waits for its write, and its outcome."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway.assignments.edits import Applied, Change, Edit
from gateway.assignments.past_writes import changes_of
from gateway.assignments.rows import ABSENT, Row, RowSet, Touch, Value, target_of, value_of
from gateway.changes import encoded as encoded_changes
from gateway.errors import GatewayError, Reason
from gateway.graph.quota import Bidder
from gateway.ledger.write import Write
from gateway.odata import dumps, loads
from gateway.odata.targets import Key
from gateway.sets import AssignableSet

IN_PART = "The edit may have been carried out: a part of it shows, and the rest does not. Read the policy's assignments."
GONE = "The edit may have been carried out, and the policy has been deleted since."


class Piece(NamedTuple):
    """One row of an edit that is made of several. after: as merged."""

    change: Change
    key: Key | None
    before: Row | None
    after: Row | None

    def shown(self, rows: RowSet) -> "Piece":
        """The piece with the row as in these rows, if they have it."""
        found = rows.row(self.key) if self.key and self.after is not None else None
        same = found is not None and value_of(rows.of, (found,)) == value_of(rows.of, (self.after or {},))
        return self._replace(after=found) if same else self


@dataclass(frozen=True)
class Written:
    """The outcome of an edit. row: its row as read back, None if it has none. rows: the whole set as read back. base: the set
    before, None if no longer known. revision: the revision's number, 0 if nothing was written. pieces: for an edit that is made
    of several."""

    row: Row | None
    rows: RowSet
    base: RowSet | None = None
    revision: int = 0
    pieces: Sequence[Piece] = ()


@dataclass(frozen=True)
class Part:
    """What one edit did in a write that was sent. key: of its row; None if it has more than one row or none. values: what it
    left, by key."""

    key: Key | None
    values: Mapping[Key, Value]
    pieces: Sequence[Piece] = ()

    def shows(self, rows: RowSet) -> bool:
        return all(rows.value(key) == value for key, value in self.values.items())

    def shows_in_part(self, rows: RowSet, base: RowSet | None, since: Collection[Key]) -> bool:
        """Whether a row shows what it left, and not what was there before. base: the set before, if it is known. since: keys
        that do not count, because another write has changed them since."""
        there = (key for key, value in self.values.items() if key not in since and rows.value(key) == value)
        return any(base is None or base.value(key) != self.values[key] for key in there)


def part_of(applied: Applied, sent: RowSet) -> Part:
    return Part(applied.key, {key: sent.value(key) for key in applied.touched}, pieces_of(applied, sent))


def pieces_of(applied: Applied, sent: RowSet) -> Sequence[Piece]:
    return [Piece(one.change, one.key, one.before, one.after(sent)) for one in applied.parts]


def encoded(applied: Applied, sent: RowSet) -> bytes:
    """The part as an entry stores it: the targets that the edit left, by key, null for none; and its pieces, if it has any."""
    touched = [(key, target_of(sent.direct[key][0]) if key in sent.direct else None) for key in sorted(applied.touched)]
    pieces = {"pieces": [list(piece) for piece in pieces_of(applied, sent)]} if applied.parts else {}  # JSON has no named ones
    return dumps({"key": applied.key, "touched": touched, **pieces}).encode("utf-8", "surrogatepass")


def decoded(of: AssignableSet, written: bytes) -> Part:
    """The inverse of `encoded`."""
    value = loads(written.decode("utf-8", "surrogatepass"))
    values = {tuple(key): ABSENT if target is None else value_of(of, ({"target": target},)) for key, target in value["touched"]}
    pieces = [Piece(change, tuple(key) if key else None, *rows) for change, key, *rows in value.get("pieces", ())]
    return Part(tuple(value["key"]) if value["key"] else None, values, pieces)


@dataclass(eq=False)
class Pending:
    """A waiting edit. prior: what was sent for it before, by this process or another, if its outcome is still unknown. base:
    the set before it was carried out, and applied: what was sent for it, as far as they are known."""

    edit: Edit
    write: Write
    prior: Part | None = None
    base: RowSet | None = None
    applied: Applied | None = None
    future: "asyncio.Future[Written]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def bidder(self) -> Bidder:
        """Who asks for the turn in the quota."""
        return Bidder(self.write.entry.caller, self.write.entry.request_id)

    @property
    def over(self) -> bool:
        """Whether it has been answered."""
        return self.future.done()

    def unsent(self) -> None:
        """What was sent for it was certainly not carried out."""
        self.prior = self.applied = self.base = None
        self.write.unsent()

    def finish(self, part: Part, rows: RowSet) -> None:
        if self.over:
            return
        row = rows.row(part.key) if part.key else None
        pieces = [piece.shown(rows) for piece in part.pieces]
        changes = self.write.entry.changes
        if self.applied is not None:
            changes = encoded_changes(changes_of(_as_read(self.applied.changes, rows)))
        self.write.did(changes, self.base.etag if self.base is not None else self.write.entry.etag_before, rows.etag)
        self.future.set_result(Written(row, rows, self.base, self.write.entry.revision or 0, pieces))

    def abandon(self, words: str) -> None:
        """Fails the edit for good: what was sent for it may have been carried out, and its result can no longer be found."""
        if not self.over:
            self.write.did(None, "", "")
            self.future.set_exception(GatewayError(Reason.SET_CHANGED, words))

    def fail(self, error: GatewayError) -> None:
        """Fails the edit; each caller gets an error of its own. No error says what became of something that was sent for it:
        then it is OUTCOME_UNKNOWN, unless that was certainly not carried out (`unsent`)."""
        if self.over:
            return
        if self.write.entry.sent is not None and error.reason is not Reason.OUTCOME_UNKNOWN:
            error = GatewayError(Reason.OUTCOME_UNKNOWN, retry_after=error.retry_after, metadata=error.metadata)
        self.future.set_exception(error.copy())


def _as_read(changes: Mapping[Key, Touch], rows: RowSet) -> dict[Key, Touch]:
    """The changes, with the rows as Graph made them, where they still are what was sent."""
    same = {key for key, touch in changes.items() if rows.value(key) == value_of(rows.of, touch.after)}
    return {key: touch._replace(after=rows.direct.get(key, ())) if key in same else touch for key, touch in changes.items()}


def still_wanted(pendings: Iterable[Pending]) -> list[Pending]:
    """The edits that wait for an answer. An edit that its callers gave up is dropped, unless a write with it was sent."""
    waiting = [pending for pending in pendings if not pending.over]
    for pending in waiting:
        if not (pending.write.waiting or pending.write.recovered or pending.prior):
            pending.fail(GatewayError(Reason.CALLER_GONE))
    return [pending for pending in waiting if not pending.over]


def apart(pendings: Iterable[Pending]) -> tuple[list[Pending], list[list[Pending]]]:
    """The edits that may share a write, and separate parts: edits that come back after a write without an answer are split into
    halves, since one of them may be the cause and would affect the others again."""
    fresh: list[Pending] = []
    doubted: dict[int, list[Pending]] = defaultdict(list)
    for pending in pendings:
        comes_back = pending.prior is not None and not pending.write.recovered
        (doubted[pending.write.entry.revision or 0] if comes_back else fresh).append(pending)
    halves = [half for group in doubted.values() for half in (group[: len(group) // 2], group[len(group) // 2 :])]
    return fresh, [half for half in halves if half]


class Fails(Protocol):
    """A waiter that can be failed."""

    def fail(self, error: GatewayError) -> None: ...


def fail(pendings: Iterable[Fails], error: GatewayError) -> None:
    """Fails all of them with the same error."""
    for pending in pendings:
        pending.fail(error)
