"""An edit that waits for its write, and what it comes to."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.assignments.edits import Applied, Edit
from gateway.assignments.rows import ABSENT, Row, RowSet, Value, target_of, value_of
from gateway.errors import GatewayError, Kind, Reason
from gateway.ledger.write import Write
from gateway.odata import dumps, loads
from gateway.odata.targets import Key
from gateway.sets import AssignableSet

# Kinds of error that say nothing about a write that was sent before.
UNTOLD = (Kind.UNAVAILABLE, Kind.RESOURCE_EXHAUSTED, Kind.ABORTED, Kind.DEADLINE_EXCEEDED, Kind.FAILED_PRECONDITION)


@dataclass(frozen=True)
class Written:
    """What an edit has come to. row: its row as read back, None where it has none; rows: the whole set as read back."""

    row: Row | None
    rows: Sequence[Row]


@dataclass(frozen=True)
class Part:
    """What one edit did in a write that was sent. key: of its row, None where it has no one row. values: what it left, by
    key."""

    key: Key | None
    values: Mapping[Key, Value]

    def shows(self, rows: RowSet) -> bool:
        return all(rows.value(key) == value for key, value in self.values.items())


def part_of(applied: Applied, sent: RowSet) -> Part:
    return Part(applied.key, {key: sent.value(key) for key in applied.touched})


def encoded(applied: Applied, sent: RowSet) -> bytes:
    """The part as an entry keeps it: the targets that the edit left, by key, null for none."""
    touched = [(key, target_of(sent.direct[key][0]) if key in sent.direct else None) for key in sorted(applied.touched)]
    return dumps({"key": applied.key, "touched": touched}).encode("utf-8", "surrogatepass")


def decoded(of: AssignableSet, written: bytes) -> Part:
    """The inverse."""
    value = loads(written.decode("utf-8", "surrogatepass"))
    values = {tuple(key): ABSENT if target is None else value_of(of, ({"target": target},)) for key, target in value["touched"]}
    return Part(tuple(value["key"]) if value["key"] else None, values)


@dataclass(eq=False)
class Pending:
    """prior: what was sent for it before, by this or another life of the gateway, while nobody knows what became of it."""

    edit: Edit
    write: Write
    prior: Part | None = None
    future: "asyncio.Future[Written]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def over(self) -> bool:
        """Answered."""
        return self.future.done()

    def unsent(self) -> None:
        """What was sent for it was surely not carried out."""
        self.prior = None
        self.write.unsent()

    def finish(self, key: Key | None, rows: RowSet) -> None:
        if not self.over:
            self.future.set_result(Written(rows.row(key) if key else None, rows.rows))

    def fail(self, error: GatewayError) -> None:
        """Each caller gets an error of its own. Of what was sent, "not now" and "not so" mean that the outcome is unknown."""
        if self.over:
            return
        if self.write.entry.sent is not None and error.reason.kind in UNTOLD and error.reason is not Reason.NOT_CARRIED_OUT:
            error = GatewayError(Reason.OUTCOME_UNKNOWN, retry_after=error.retry_after, metadata=error.metadata)
        self.future.set_exception(error.copy())


def still_wanted(pendings: Iterable[Pending]) -> list[Pending]:
    """Those that wait for an answer. What its callers gave up is taken back, if no write with it was sent."""
    waiting = [pending for pending in pendings if not pending.over]
    for pending in waiting:
        if not (pending.write.waiting or pending.write.recovered or pending.prior):
            pending.fail(GatewayError(Reason.CALLER_GONE))
    return [pending for pending in waiting if not pending.over]


def apart(pendings: Iterable[Pending]) -> tuple[list[Pending], list[list[Pending]]]:
    """Those that may share a write, and parts that may not: edits that come back after a write without an answer, in halves.
    One of them may be why there was none, and would take the others with it again."""
    fresh: list[Pending] = []
    doubted: dict[int, list[Pending]] = defaultdict(list)
    for pending in pendings:
        comes_back = pending.prior is not None and not pending.write.recovered
        (doubted[pending.write.entry.revision or 0] if comes_back else fresh).append(pending)
    halves = [half for group in doubted.values() for half in (group[: len(group) // 2], group[len(group) // 2 :])]
    return fresh, [half for half in halves if half]


def fail(pendings: Iterable[Pending], error: GatewayError) -> None:
    """All of them, for one reason."""
    for pending in pendings:
        pending.fail(error)
