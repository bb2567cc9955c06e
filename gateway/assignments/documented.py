"""Creations by the documented route, for the tenants that have it. They run inside the policy's writer: beside it, its merge
would undo them. A lost answer is reconciled by reading before anything is sent again."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import NamedTuple

from gateway.assignments.edits import Add, Done, merge
from gateway.assignments.patience import Patience
from gateway.assignments.pending import Pending
from gateway.assignments.rows import Key, Row, key_of, row_id
from gateway.assignments.upstream import Upstream
from gateway.errors import GatewayError, Reason
from gateway.graph.retries import backoff


class Created(NamedTuple):
    """An edit that was carried out, and the row that Graph answered."""

    pending: Pending
    done: Done
    row: Row


def creation(pending: Pending, rows: Sequence[Row]) -> tuple[Done, Row] | None:
    """What to create for the edit; None if it is none, is refused, or finds its row there already."""
    merged = merge(rows, [pending.edit])
    [outcome] = merged.outcomes
    if not isinstance(pending.edit, Add) or not isinstance(outcome, Done) or not outcome.changed:
        return None
    return None if any(key_of(row) == outcome.key for row in rows) else (outcome, merged.rows[-1])


async def create(
    upstream: Upstream, row: Row, before: Sequence[Row], patience: Patience, deadline: float, client_request_id: str
) -> Row:
    """Creates the row; `before` are the policy's rows until now. Raises GatewayError."""
    loop = asyncio.get_running_loop()
    known = {row_id(old) for old in before}
    attempt = 1
    while True:
        try:
            return await upstream.create(row, deadline, client_request_id)
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
        client_request_id = str(uuid.uuid4())


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
