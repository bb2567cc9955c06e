"""An edit that waits for its write, and what it comes to."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from gateway.assignments.edits import Done, Edit, Merged, merge, shown
from gateway.assignments.rows import Row, by_key, key_of, target_of
from gateway.call import Call
from gateway.errors import GatewayError, Kind, Reason
from gateway.odata import dumps, loads

# Kinds of error that say nothing about a write that was sent before.
UNTOLD = (Kind.UNAVAILABLE, Kind.RESOURCE_EXHAUSTED, Kind.ABORTED, Kind.DEADLINE_EXCEEDED, Kind.FAILED_PRECONDITION)


@dataclass(frozen=True)
class Written:
    """What an edit has come to. row: its row as read back, None where it has none; rows: the whole set as read back."""

    row: Row | None
    rows: Sequence[Row]


@dataclass(frozen=True)
class Doubt:
    """A write whose answer was lost, or that does not show yet: what the edit was to do in it, and the rows that were sent."""

    outcome: Done
    sent: Sequence[Row]

    def to_bytes(self) -> bytes:
        """What `shown` needs of it, to find out in another life of the gateway."""
        rows = by_key(self.sent)
        touched = [(key, target_of(rows[key]) if key in rows else None) for key in sorted(self.outcome.touched)]
        return dumps({"key": self.outcome.key, "touched": touched}).encode("utf-8", "surrogatepass")

    @classmethod
    def from_bytes(cls, written: bytes) -> Self:
        """The inverse."""
        value = loads(written.decode("utf-8", "surrogatepass"))
        touched = {tuple(key): target for key, target in value["touched"]}
        key = tuple(value["key"]) if value["key"] else None
        return cls(Done(key, frozenset(touched)), [{"target": target} for target in touched.values() if target is not None])


@dataclass(eq=False)
class Pending:
    """doubt: set while a write with this edit was sent and does not show. inherited: it was sent by an earlier gateway, and
    nobody has looked yet."""

    edit: Edit
    call: Call
    doubt: Doubt | None = None
    inherited: bool = False
    future: "asyncio.Future[Written]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @classmethod
    def of(cls, edit: Edit, call: Call) -> Self:
        """The call's edit, with what its entry says was sent before."""
        sent = call.entry.sent if call.entry else None
        return cls(edit, call, Doubt.from_bytes(sent) if sent else None, inherited=bool(sent))

    @property
    def over(self) -> bool:
        """Answered."""
        return self.future.done()

    def finish(self, done: Done, rows: Sequence[Row]) -> None:
        if not self.over:
            row = next((row for row in rows if key_of(row) == done.key), None) if done.key else None
            self.future.set_result(Written(row, rows))

    def fail(self, error: GatewayError) -> None:
        """Each caller gets an error of its own. In doubt, "not now" and "not so" mean that the outcome is unknown."""
        if self.over:
            return
        if self.doubt and error.reason.kind in UNTOLD:
            error = GatewayError(Reason.OUTCOME_UNKNOWN, metadata=error.metadata)
        self.future.set_exception(replace(error))


def wanted(pendings: Iterable[Pending]) -> list[Pending]:
    """Those that wait for an answer. What its callers gave up is taken back, if no write with it was sent."""
    waiting = [pending for pending in pendings if not pending.over]
    for pending in waiting:
        if pending.call.abandoned and pending.doubt is None:
            pending.fail(GatewayError(Reason.CALLER_GONE))
    return [pending for pending in waiting if not pending.over]


def merge_pending(rows: Sequence[Row], batch: Sequence[Pending]) -> Merged:
    """merge, but an edit in doubt that shows is done: it was our own write that did it."""
    held = [Done(p.doubt.outcome.key) if p.doubt and shown(p.doubt.outcome, p.doubt.sent, rows) else None for p in batch]
    merged = merge(rows, [p.edit for p, done in zip(batch, held, strict=True) if done is None])
    outcomes = iter(merged.outcomes)
    return Merged(merged.rows, [done or next(outcomes) for done in held])


def fail(pendings: Iterable[Pending], error: GatewayError) -> None:
    """All of them, for one reason."""
    for pending in pendings:
        pending.fail(error)


def interrupt(pendings: Iterable[Pending]) -> None:
    """The gateway goes down before they came to anything."""
    for pending in pendings:
        sent = pending.call.entry is not None and pending.call.entry.sent is not None
        pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN) if sent else GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
