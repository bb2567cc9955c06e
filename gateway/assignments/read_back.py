"""What is read of a policy before and after a write. Reads may lag, and may come from replicas of which one lags more: one
that shows the old set says nothing, and one that is older than our own last write is not built upon."""

from collections.abc import Sequence

from gateway.assignments.changes import Changes
from gateway.assignments.edits import Done, shown
from gateway.assignments.patience import Patience
from gateway.assignments.rows import Row
from gateway.assignments.upstream import Upstream
from gateway.errors import GatewayError, Reason


class ReadBack:
    """Remembers the last write that was sent and accepted, for as long as its writer lives."""

    def __init__(self, upstream: Upstream, patience: Patience) -> None:
        self._upstream, self._patience = upstream, patience
        self._last: tuple[Done, Sequence[Row]] | None = None

    async def rows(self, deadline: float) -> list[Row]:
        """All rows, as new as our own last write. What does not show for a while was undone by someone else."""
        rows = await self._upstream.rows(deadline)
        if self._last is None or shown(*self._last, rows):
            return rows
        async for _ in self._patience.looks(self._patience.doubt):
            rows = await self._upstream.rows(deadline)
            if shown(*self._last, rows):
                return rows
        self._last = None
        return rows

    def accepted(self, done: Done, sent: Sequence[Row]) -> None:
        """Graph has taken the write: from now on reads have to show it."""
        self._last = done, sent

    async def watch(
        self, done: Done, sent: Sequence[Row], seconds: float, changes: Changes, *, patient: bool = True
    ) -> tuple[list[Row] | None, bool]:
        """Reads until what `done` touched shows as sent, for `seconds` at most. The last rows read, and whether they show it.

        patient: a read that fails is no reason to stop. Raises NOT_FOUND where the policy is gone.
        """
        rows: list[Row] | None = None
        async for deadline in self._patience.looks(seconds):
            try:
                rows = await self._upstream.rows(deadline)
            except GatewayError as error:
                if error.reason is Reason.NOT_FOUND:
                    raise
                if not patient:
                    break
                continue
            changes.see(rows)
            if shown(done, sent, rows):
                self.accepted(done, sent)
                return rows, True
        return rows, False
