"""One round of a policy's writer: read, merge, record, write, read back, answer (docs/design.md §6).

Promises: no set is sent that lost a row which no edit names, or that was merged into a read that may be stale; nothing waits
between recording the revision and sending the request; one caller's bad edit does not fail another's. Only one round of a
policy runs at a time, under its lease. A round returns Done, Retry or Split."""

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from gateway.assignments.documented import create
from gateway.assignments.edits import Add, Applied, Merged, Restore
from gateway.assignments.ends import AT_ONCE, Done, End, Retry, Split
from gateway.assignments.looks import Look, Verdict
from gateway.assignments.merge import merging
from gateway.assignments.past_writes import PastWrite, decoded_rows
from gateway.assignments.pending import GONE, IN_PART, Part, Pending, part_of
from gateway.assignments.policy import Policy, Sent, names_of
from gateway.assignments.refusals import blame, is_definite, may_be_of_an_edit
from gateway.assignments.rows import Touch, row_id
from gateway.assignments.witness import lost
from gateway.call import CallWarning
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Permit
from gateway.metrics import REPAIRS, WRITES_SAVED
from gateway.odata.targets import Key
from gateway.pace import slowly
from gateway.revision import Revision, RevisionKind

log = logging.getLogger(__name__)


Close = Callable[[], Sequence[Pending]]


@dataclass(frozen=True)
class Plan:
    """What a round is about to write. batch: the edits of `merged`, in the order of its outcomes."""

    batch: Sequence[Pending]
    look: Look
    merged: Merged
    verdict: Verdict

    def changed(self) -> list[tuple[Pending, Applied]]:
        pairs = zip(self.batch, self.merged.outcomes, strict=True)
        return [(pending, outcome) for pending, outcome in pairs if isinstance(outcome, Applied) and outcome.touched]

    def touched(self) -> dict[Key, Touch]:
        before, after = self.look.rows.direct, self.merged.rows.direct
        return {key: Touch(before.get(key, ()), after.get(key, ())) for key in self.merged.touched}

    def found(self) -> dict[Key, Touch]:
        """The rows that already are as an edit wants them."""
        rows = self.look.rows.direct
        keys = {o.key for o in self.merged.outcomes if isinstance(o, Applied) and not o.touched} - self.merged.touched
        return {key: Touch(rows[key], rows[key]) for key in keys if key in rows}


async def carry_out(policy: Policy, close: Close, permit: Permit | None, deadline: float) -> End:
    """Carries out a round. close: returns the edits; it is called after the look, so that edits that came meanwhile take part.
    permit: None only looks, with no edits, and returns AT_ONCE if something has to be repaired.

    Raises GatewayError: then this round carried out none of the edits that are not answered yet, except those that are known to
    have been sent before (`Pending.prior`).
    """
    asked = policy.now()
    try:
        look, verdict = await policy.look(deadline)
    except GatewayError as error:
        if error.reason is Reason.NOT_FOUND:
            await _give_up_without_policy(policy, close(), asked)
        raise
    if verdict.old:
        return Retry(GatewayError(Reason.READ_TOO_OLD, retry_after=max(verdict.fresh_at - policy.now(), 0.1)))
    # A repair is sent alone, before the edits: if Graph refused the set, the edits would be blamed for the repair; and edits
    # would be merged into a set in which the repaired rows are missing.
    edits = [] if verdict.repairs else await _all_found_out(policy, close(), look)
    merged = await slowly(merging(look.rows, [pending.edit for pending in edits], verdict.repairs))
    await asyncio.sleep(0)
    plan = Plan(edits, look, merged, verdict)
    if not plan.merged.touched:
        if edits:
            policy.memory.hold(plan.found(), policy.now(), plan.look.rows)
            await policy.save()
            await policy.check_lease()  # without it another replica may have written since: the look would be no answer
        await slowly(_answering(policy, plan, look))
        return Done()
    if permit is None:
        return AT_ONCE
    creations = _creations(plan) if policy.deps.routes.documented(policy.name.tenant) else []
    if creations:
        return await create(policy, creations, plan.look.rows, plan.merged.rows, permit, deadline)
    end = await _replace(policy, plan, permit)
    return AT_ONCE if verdict.repairs and isinstance(end, Done) else end


async def _all_found_out(policy: Policy, batch: Sequence[Pending], look: Look) -> list[Pending]:
    """Finds out about the edits of the batch that were sent before. Returns those that are still to be carried out."""
    for pending in batch:
        if pending.prior is not None:
            await _find_out(policy, pending, pending.prior, look)
    return [pending for pending in batch if not pending.over]


async def _give_up_without_policy(policy: Policy, batch: Sequence[Pending], asked: float) -> None:
    """Fails the edits of the batch that were sent before a look, requested then, did not find the policy."""
    settled_at = policy.memory.ends_at() or 0.0
    for pending in batch:
        if pending.prior is None:
            continue
        if asked <= settled_at:
            pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN, retry_after=max(settled_at - asked, 0.001)))
        elif _is_void(await policy.deps.revisions.recall(policy.name, pending.write.entry.revision or 0)):
            _not_carried_out(pending)
        else:
            pending.abandon(GONE)


def _is_void(kept: Revision | None) -> bool:
    return kept is not None and kept.state == "void"


def _not_carried_out(pending: Pending) -> None:
    """What was sent for it was certainly not carried out, or can be no more. It is carried out now if anybody waits."""
    pending.unsent()
    if pending.write.recovered:
        pending.fail(GatewayError(Reason.NOT_CARRIED_OUT))


async def _find_out(policy: Policy, pending: Pending, prior: Part, look: Look) -> None:
    """Finds out what became of an edit that was sent before: answers it, fails it as OUTCOME_UNKNOWN, or leaves it to be
    carried out."""
    number = pending.write.entry.revision or 0
    write = policy.memory.writes.get(number)
    acked, end, base = write is not None and write.acked is not None, 0.0, None
    if write is not None:
        end, base = policy.memory.end_of(write), write.base
    if number and base is None:  # settled, surely never sent, or of another life: the ledger knows which
        kept = await policy.deps.revisions.recall(policy.name, number)
        if _is_void(kept):
            _not_carried_out(pending)
            return
        acked = acked or (kept is not None and kept.acked_s is not None)
        base = decoded_rows(policy.of, kept.base) if kept is not None and kept.base is not None else None
    pending.base = pending.base or base
    if acked or (prior.shows(look.rows) and policy.memory.is_protected(prior.values)):
        pending.finish(prior, look.rows)
    elif look.asked <= end:  # the write may still take effect: sent again, it would overwrite what came in between
        pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN, retry_after=max(end - look.asked, 0.001)))
    elif prior.shows(look.rows):  # whoever did it, the result is there; carried out anew, the edit would find its own row
        there = {key: look.rows.direct[key] for key in prior.values if key in look.rows.direct}
        policy.memory.hold({key: Touch(rows, rows) for key, rows in there.items()}, policy.now(), look.rows)
        await policy.save()
        pending.finish(prior, look.rows)
    elif prior.shows_in_part(look.rows, pending.base, _written_since(policy, number)):
        pending.abandon(IN_PART)  # sent again, it would undo what others changed since, or be refused
    else:
        _not_carried_out(pending)


def _written_since(policy: Policy, number: int) -> set[Key]:
    """The keys that later writes of the gateway's changed, as far as they are not settled."""
    later = (w for w in policy.memory.writes.values() if w.number > number and w.kind != "foreign" and w.acked is not None)
    return {key for write in later for key, (before, after) in write.values.items() if before != after}


def _creations(plan: Plan) -> list[tuple[Pending, Applied]]:
    """The edits that only add a row."""
    there = plan.look.rows.direct
    return [
        (pending, outcome)
        for pending, outcome in plan.changed()
        if isinstance(pending.edit, Add) and outcome.key in plan.merged.touched and outcome.key not in there
    ]


async def _replace(policy: Policy, plan: Plan, permit: Permit) -> End:
    """Writes by the route that replaces the set."""
    _check(policy, plan)
    await asyncio.sleep(0)  # the check of a large set holds the loop; from here on nothing may wait but the commit
    changed, rows = plan.changed(), plan.merged.rows
    restores = any(isinstance(pending.edit, Restore) for pending, _ in changed)
    kind: RevisionKind = "repair" if plan.verdict.repairs else "restore" if restores else "write"
    write = PastWrite(policy.of, kind, plan.touched(), rows, policy.seen, route="assign", base=plan.look.rows)
    # The commit checks the lease's generation: this is the fence. Whatever came after it in this function before the POST would
    # be a gap in which another replica may take the lease and write.
    sent = await policy.write_down(write, changed, rows, plan.verdict.repaired)
    if sent is None:
        return AT_ONCE
    try:
        await policy.upstream.replace(rows, permit, write.client_request_id)
    except GatewayError as error:
        if error.reason is not Reason.OUTCOME_UNKNOWN:
            await policy.take_back(sent, write)
            return _refused(policy, plan, sent, error)
        policy.memory.doubtful(write.number, error.metadata)
    else:
        policy.memory.accepted(write.number, policy.now())
        WRITES_SAVED.labels(policy.name.tenant).inc(max(len(changed) - 1, 0))
        REPAIRS.labels(policy.name.tenant).inc(len(plan.verdict.repairs))
    return await _look_back(policy, plan, sent, write)


def _check(policy: Policy, plan: Plan) -> None:
    """The last check before the write. Raises INTERNAL if a row is lost: that is a bug, and nothing is sent."""
    before, sent = plan.look.rows, plan.merged.rows
    outcomes = zip(plan.batch, plan.merged.outcomes, strict=True)
    edits = [pending.edit for pending, outcome in outcomes if isinstance(outcome, Applied)]
    repaired = [row for key, rows in plan.verdict.repairs.items() for row in (*rows, *before.direct.get(key, ()))]
    gone = lost(before.rows, sent.rows, edits, repaired)
    if gone:
        rows = {"before": before.rows, "sent": sent.rows, "lost": gone}
        ids = {name: list(map(row_id, found)) for name, found in rows.items()}
        log.error("a set that lost rows was not sent", extra={**policy.where, **ids})
        raise GatewayError(Reason.INTERNAL)


def _refused(policy: Policy, plan: Plan, sent: Sequence[Sent], error: GatewayError) -> End:
    """What follows a write that was certainly not carried out."""
    if not is_definite(error):
        return Retry(error, is_of_edits=may_be_of_an_edit(error))
    if plan.verdict.repairs:  # a repair that Graph refuses is given up and logged: callers' edits must not wait for it for ever
        there = plan.look.rows.direct
        undone = {key: Touch(rows, there.get(key, ())) for key, rows in plan.verdict.repairs.items()}
        policy.memory.concede(undone, policy.now(), plan.look.rows)
        log.error("Graph refuses a repair", extra=policy.where)
        return AT_ONCE
    if len(sent) > 1:
        return Split()
    for one in sent:
        policy.note(one.pending, 1)
        one.pending.fail(blame(error, plan.look.rows, plan.merged))
    return AT_ONCE


async def _look_back(policy: Policy, plan: Plan, sent: Sequence[Sent], write: PastWrite) -> End:
    """Reads the set until every edit shows, and answers all edits; in the end only those that show."""
    patience, rows = policy.deps.patience, plan.merged.rows
    seen: dict[Key, Touch] = {}
    foreign: dict[Key, Touch] = {}
    end: End = AT_ONCE
    async for _ in patience.looks(patience.doubt if write.landed is None else patience.read_back):
        look = await policy.look_back(rows)
        if look is None:
            continue
        there, keys = look.rows, look.rows.values.keys() | rows.values.keys()
        differing = [key for key in keys if key not in write.touched and there.value(key) != rows.value(key)]
        foreign = {key: Touch(rows.direct.get(key, ()), there.direct.get(key, ())) for key in differing}
        seen |= foreign
        shown = [one for one in sent if policy.holds(one, look)]
        if write.acked is not None and len(shown) == len(sent):
            if seen:
                _tell(policy, plan.batch, foreign, seen)
            policy.memory.hold(plan.found(), policy.now(), look.rows)
            await policy.save()
            await slowly(_answering(policy, plan, look, len(plan.batch)))
            end = Done()
            break
        policy.finish(shown, look, len(plan.batch))
    else:
        _tell(policy, plan.batch, foreign, seen)
        policy.give_up([one for one in sent if not one.pending.over])
    return end


def _tell(policy: Policy, batch: Sequence[Pending], foreign: Mapping[Key, Touch], seen: Mapping[Key, Touch]) -> None:
    """Counts and logs what others changed during the write, and warns the callers where the write may have undone it.

    foreign: the differences in the last look. seen: those in any look since the write; one that is gone again may be undone.
    """
    if foreign:
        policy.upstream.record.note(foreign_changes=len(foreign))
        rows, more = names_of(foreign)
        log.warning("foreign changes", extra={**policy.where, "rows": rows, "more": more})
    undone, more = names_of({key: touch for key, touch in seen.items() if key not in foreign})
    if undone:
        log.warning("a foreign change may be undone", extra={**policy.where, "rows": undone, "more": more})
        facts = {"rows": " ".join(undone), **({"more": str(more)} if more else {})}
        for pending in batch:
            pending.write.record.warn(CallWarning("FOREIGN_CHANGE_UNDONE", facts))


def _answering(policy: Policy, plan: Plan, look: Look, shared_by: int = 0) -> Generator[None, None, None]:
    """Answers every edit of the batch, by its outcome in the merge and what the look shows."""
    for pending, outcome in zip(plan.batch, plan.merged.outcomes, strict=True):
        if not shared_by or pending.write.entry.sent is not None:  # an edit that changed nothing has no part in the write
            policy.note(pending, shared_by)
        if isinstance(outcome, GatewayError):
            pending.fail(outcome)
        else:
            pending.base = pending.base or plan.look.rows
            pending.finish(part_of(outcome, plan.merged.rows), look.rows)
        yield
