"""The writer's side of the ledger: what is about to be sent is written down first, and what was sent by a gateway that died
is found out before anything new is."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

from gateway.assignments.edits import Done, Merged, shown
from gateway.assignments.patience import Patience
from gateway.assignments.pending import Doubt, Pending
from gateway.assignments.rows import Row
from gateway.assignments.upstream import Upstream
from gateway.errors import GatewayError, Reason
from gateway.ledger.ledger import Ledger


async def write_down(ledger: Ledger, batch: Sequence[Pending], merged: Merged, route: str) -> str | None:
    """The client-request-id for the write that carries out `merged`. None where another gateway took edits of it over: they
    have failed, and the rest has to be merged anew. Raises LEDGER_UNAVAILABLE: nothing may be sent."""
    client_request_id = str(uuid.uuid4())
    sent: dict[str, Pending] = {}
    for pending, outcome in zip(batch, merged.outcomes, strict=True):
        entry = pending.call.entry
        if entry is not None and isinstance(outcome, Done) and outcome.changed:
            doubt = Doubt(outcome, merged.rows).to_bytes()
            pending.call.entry = replace(entry, sent=doubt, route=route, client_request_id=client_request_id)
            sent[entry.id] = pending
    ours = await ledger.update([pending.call.entry for pending in sent.values() if pending.call.entry])
    for lost in sent.keys() - ours:
        sent[lost].fail(GatewayError(Reason.REQUEST_IN_PROGRESS))
    return client_request_id if ours >= sent.keys() else None


async def settle(batch: Sequence[Pending], rows: list[Row], upstream: Upstream, patience: Patience) -> list[Row]:
    """Answers the edits that an earlier gateway sent and that show within the patience for doubts; the others it did not
    carry out. The rows as read last. Raises GatewayError where they cannot be read."""
    inherited = [pending for pending in batch if pending.inherited]
    if not inherited:
        return rows
    async for deadline in patience.looks(patience.doubt):
        if all(_shows(pending, rows) for pending in inherited):
            break
        rows = await upstream.rows(deadline)
    for pending in inherited:
        if pending.doubt and _shows(pending, rows):
            pending.finish(pending.doubt.outcome, rows)
        pending.doubt, pending.inherited = None, False
        if pending.call.look_only:
            pending.fail(GatewayError(Reason.NOT_CARRIED_OUT))
    return rows


def _shows(pending: Pending, rows: Sequence[Row]) -> bool:
    return pending.doubt is not None and shown(pending.doubt.outcome, pending.doubt.sent, rows)
