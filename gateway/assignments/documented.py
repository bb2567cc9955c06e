"""A creation by the documented route. A lost answer is reconciled by reading before anything is sent again."""

import asyncio
from collections.abc import Sequence

from gateway.assignments.patience import Patience
from gateway.assignments.rows import Key, Row, key_of, row_id
from gateway.assignments.upstream import Upstream
from gateway.errors import GatewayError, Reason
from gateway.graph.retries import backoff


async def create(upstream: Upstream, row: Row, before: Sequence[Row], patience: Patience, deadline: float) -> Row:
    """Creates the row; `before` are the policy's rows until now. Raises GatewayError."""
    loop = asyncio.get_running_loop()
    known = {row_id(old) for old in before}
    attempt = 1
    while True:
        try:
            return await upstream.create(row, deadline)
        except GatewayError as error:
            # A conflict too may be our own first request, whose answer was lost or which the client sent again.
            if error.reason not in (Reason.OUTCOME_UNKNOWN, Reason.GRAPH_CONFLICT):
                raise
            found = await _appeared(upstream, key_of(row), known, patience, error)
            if found is not None:
                return found
            wait = backoff(attempt, patience.jitter())
            if error.reason is Reason.GRAPH_CONFLICT or attempt >= patience.attempts or loop.time() + wait >= deadline:
                raise
            await patience.sleep(wait)
        attempt += 1


async def _appeared(upstream: Upstream, key: Key, known: set[str], patience: Patience, error: GatewayError) -> Row | None:
    """The row that is there now and was not before, within the patience for doubts. Cannot be read: raises `error`."""
    async for end in patience.looks(patience.doubt):
        try:
            rows = await upstream.rows(end)
        except GatewayError:
            raise error from None
        found = next((row for row in rows if key_of(row) == key and row_id(row) not in known), None)
        if found is not None:
            return found
    return None
