"""Creations by the documented route, for tenants that have it: one request for each. They run inside the policy's writer, since
a merge at the same time would undo them. A creation whose answer was lost is never sent again; a look finds out."""

from collections.abc import Sequence
from contextlib import nullcontext

from gateway.assignments.edits import Applied
from gateway.assignments.ends import AT_ONCE, End, Retry
from gateway.assignments.looks import Look
from gateway.assignments.past_writes import PastWrite
from gateway.assignments.pending import Pending
from gateway.assignments.policy import Policy, Sent
from gateway.assignments.refusals import is_definite, may_be_of_an_edit
from gateway.assignments.rows import Row, RowSet, Touch
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Permit
from gateway.graph.quota import Bid


async def create(
    policy: Policy,
    creations: Sequence[tuple[Pending, Applied]],
    base: RowSet,
    rows: RowSet,
    permit: Permit,
    deadline: float,
) -> End:
    """Sends the creations one after the other, and answers them; the rest of the batch has another round. base: the
    set before; rows: the direct rows, with theirs."""
    sent: list[Sent] = []
    end: End = AT_ONCE
    for number, (pending, applied) in enumerate(creations):
        [row] = rows.direct[applied.key or ("", "")]
        try:
            there = [*base.rows, *(one.created for one in sent if one.created is not None)]
            # The batch's own permit is for the first.
            async with policy.upstream.permit(deadline, Bid.of(pending.bidder)) if number else nullcontext(permit) as its:
                outcome = await _create_one(policy, pending, applied, RowSet(policy.of, there), row, its)
        except GatewayError as error:
            outcome = Retry(error)
        if isinstance(outcome, Retry):
            end = outcome
            break
        sent += outcome
    if sent:
        await _look_back(policy, sent)
    return end


async def _create_one(
    policy: Policy, pending: Pending, applied: Applied, base: RowSet, row: Row, permit: Permit
) -> list[Sent] | Retry:
    """What went out; nothing, if Graph refused it and its caller was told."""
    touched = {key: Touch((), (row,)) for key in applied.touched}
    write = PastWrite(policy.of, "write", touched, None, policy.now(), route="documented", base=base)
    sent = await policy.write_down(write, [(pending, applied)], RowSet(policy.of, [row]))
    if sent is None:
        return AT_ONCE
    try:
        created = await policy.upstream.create(row, permit, write.client_request_id)
    except GatewayError as error:
        if error.reason is Reason.OUTCOME_UNKNOWN:
            policy.memory.doubtful(write.number, error.metadata)
            return sent
        await policy.take_back(sent, write)
        if error.reason is Reason.GRAPH_ROUTE_MISSING and policy.deps.routes.missing(policy.name.tenant):
            return AT_ONCE
        if not is_definite(error):
            return Retry(error, is_of_edits=may_be_of_an_edit(error))
        policy.note(pending, 1)
        pending.fail(error)
        return []
    policy.memory.accepted(write.number, policy.now())
    return [one._replace(created=created) for one in sent]


async def _look_back(policy: Policy, sent: Sequence[Sent]) -> None:
    """Graph said 201: not to show, or not to be readable, is no failure then."""
    patience = policy.deps.patience
    certain = all(one.created is not None for one in sent)
    async for _ in patience.looks(patience.read_back if certain else patience.doubt):
        look = await policy.look_back(RowSet(policy.of, []))
        if look is not None:
            policy.finish([one for one in sent if policy.holds(one, look)], look, 1)
        if all(one.pending.over for one in sent) or (look is None and certain):
            break
    left = [one for one in sent if not one.pending.over]
    if left:
        await policy.save()  # Graph's answers, before their callers get theirs
    for one in left:
        if one.created is not None:
            policy.finish([one], Look(RowSet(policy.of, [one.created]), 0.0), 1)
    policy.give_up([one for one in left if not one.pending.over])
