"""An edit that waits for its write, and what it comes to."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.assignments.edits import Done, Edit, Merged, merge, shown
from gateway.assignments.rows import Row, key_of
from gateway.call import Call
from gateway.errors import GatewayError, Kind, Reason


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


@dataclass(eq=False)
class Pending:
    """doubt: set while a write with this edit was sent and does not show."""

    edit: Edit
    call: Call
    doubt: Doubt | None = None
    future: "asyncio.Future[Written]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def over(self) -> bool:
        """Answered, or given up by its caller."""
        return self.future.done()

    def finish(self, done: Done, rows: Sequence[Row]) -> None:
        if not self.over:
            row = next((row for row in rows if key_of(row) == done.key), None) if done.key else None
            self.future.set_result(Written(row, rows))

    def fail(self, error: GatewayError) -> None:
        """Each caller gets an error of its own. In doubt, "not now" means that the outcome is unknown."""
        if self.over:
            return
        passing = (Kind.UNAVAILABLE, Kind.RESOURCE_EXHAUSTED, Kind.ABORTED, Kind.DEADLINE_EXCEEDED)
        if self.doubt and error.reason.kind in passing:
            error = GatewayError(Reason.OUTCOME_UNKNOWN, metadata=error.metadata)
        self.future.set_exception(replace(error))


def merge_pending(rows: Sequence[Row], batch: Sequence[Pending]) -> Merged:
    """merge, but an edit in doubt that shows is done: it was our own write that did it."""
    held = [Done(p.doubt.outcome.key) if p.doubt and shown(p.doubt.outcome, p.doubt.sent, rows) else None for p in batch]
    merged = merge(rows, [p.edit for p, done in zip(batch, held, strict=True) if done is None])
    outcomes = iter(merged.outcomes)
    return Merged(merged.rows, [done or next(outcomes) for done in held])
