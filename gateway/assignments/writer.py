"""The writers: one for each policy that has edits waiting or writes unsettled, alive only so long. All that concerns a policy
happens in its writer's one task: rounds of what waits, and in between the watch (docs/design.md §6).

Promises: a lone edit waits for nobody; edits that wait share a write; a round runs under a lease, and the lease is given back
after it, so that other replicas get their turn; no edit is left without an answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from gateway.assignments.batch import Batch, Crowd
from gateway.assignments.ends import AT_ONCE, Done, End, Retry, Split
from gateway.assignments.lease import leased, leased_for_a_turn
from gateway.assignments.patience import MAY_PASS, OLD_READ_S
from gateway.assignments.pending import Pending, apart, fail, still_wanted
from gateway.assignments.policy import Policy, WriterDeps
from gateway.assignments.preview import Preview, show
from gateway.assignments.round import carry_out
from gateway.assignments.watch import Watch, after_look, begun
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphClient, Permit
from gateway.graph.quota import Bid, Bidder
from gateway.graph.retries import backoff
from gateway.logs import log_bug
from gateway.metrics import UNSETTLED
from gateway.revision import Grant, PolicyName
from gateway.sets import AssignableSet

log = logging.getLogger(__name__)

# Causes that pass by themselves, in a time that is known: waited for until the deadline, however many rounds that takes.
PATIENT = (Reason.GRAPH_THROTTLED, Reason.READ_TOO_OLD)
# How long a round that only watches may take.
WATCH_S = 60.0


class PolicyWriter:
    """Of one policy. gone: called when it has nothing left to do."""

    def __init__(
        self, name: PolicyName, of: AssignableSet, graph: GraphClient, deps: WriterDeps, gone: Callable[[], object]
    ) -> None:
        self._name, self._deps, self._gone = name, deps, gone
        self._policy = Policy(name, of, graph, deps)
        self._memory, self._facts = self._policy.memory, self._policy.upstream.record.facts
        self._waiting: list[Pending] = []
        self._previews: list[Preview] = []
        self._batches: list[Batch] = []
        self._bid: Bid | None = None  # for the turn of an open batch
        self._crowd = Crowd()
        self._watch: Watch | None = None
        self._takes_over = False  # whether it shall watch whatever there is
        self._newest = 0  # of what it took over
        self._wake = asyncio.Event()
        self.task = asyncio.create_task(self._work(), name=f"writer {name.policy}")

    @property
    def is_idle(self) -> bool:
        """Nobody waits for it; it may still watch."""
        return not (self._waiting or self._batches or self._previews)

    def take(self, pending: Pending) -> None:
        """One more edit."""
        self._waiting.append(pending)
        if self._bid is not None:
            self._bid.join(pending.bidder)
        self._wake.set()

    def show(self, preview: Preview) -> None:
        """One more edit, to be seen only."""
        self._previews.append(preview)
        self._wake.set()

    def watch(self) -> None:
        """The policy has writes that nobody watches."""
        self._takes_over = True
        self._watch = self._watch or Watch(0.0)
        self._wake.set()

    async def _work(self) -> None:
        """Until nothing waits and all is settled. Leaves no edit unanswered and no write unwatched, whatever happens."""
        try:
            while not self.is_idle or self._watch is not None:
                try:
                    if self._previews:
                        await self._show()
                    elif not self.is_idle:
                        await self._serve()
                    elif await self._time_to_look():
                        await self._look()
                except Exception as exc:  # noqa: BLE001 - nobody awaits this task: what is not told here is told nowhere
                    log_bug(log, exc, policy=self._name.policy)
                    self._recover()
        except asyncio.CancelledError:
            self._interrupt()
            raise
        finally:
            self._gone()  # no await since the last look at what waits: nothing slips in between

    def _recover(self) -> None:
        """From a bug: what waits has failed, and what we know is in the ledger."""
        fail([*self._all(), *self._previews], GatewayError(Reason.INTERNAL))
        self._waiting, self._batches, self._previews = [], [], []
        self._memory.start_anew()
        now = self._policy.now()
        self._takes_over, self._watch = True, after_look(self._watch or Watch(now), now, now)

    async def _serve(self) -> None:
        """A round for the next batch: what waits, or what an earlier round left."""
        batch = self._batches.pop() if self._batches else Batch()
        self._batches.append(batch)
        everyone = still_wanted((*batch.edits, *(self._waiting if batch.is_open else ())))
        if not everyone:
            self._batches.pop()
            self._waiting = [pending for pending in self._waiting if not pending.over]
            return
        deadline = max(pending.write.deadline for pending in everyone)
        try:
            wait = await self._serve_batch(batch, deadline)
        except GatewayError as error:  # not for those that came meanwhile, and have more time
            there = still_wanted((*batch.edits, *(self._waiting if batch.is_open else ())))
            fail((pending for pending in there if pending.write.deadline <= deadline), error)
            wait = 0.0
        batch.edits = [pending for pending in batch.edits if not pending.over]
        if not batch.edits and batch in self._batches:
            self._batches.remove(batch)
        if wait:
            await self._deps.patience.sleep(wait)

    async def _serve_batch(self, batch: Batch, deadline: float) -> float:
        """Lease, turn and token, then the round. Seconds to wait before the next one."""
        if batch.is_open and self._policy.turns.are_scarce:
            await self._gather(deadline)
        async with leased_for_a_turn(self._policy, deadline, partial(self._permit, batch, deadline)) as permit:
            self._close(batch)
            self._facts.clear()
            if batch.is_open:
                self._crowd = self._crowd.after(batch.edits, asyncio.get_running_loop().time())
            try:
                end = await carry_out(self._policy, partial(self._close, batch), permit, deadline)
            except GatewayError as error:
                end = Retry(error)
            finally:
                self._begin_watch()
        return self._after(batch, end, deadline)

    @asynccontextmanager
    async def _permit(self, batch: Batch, deadline: float) -> AsyncIterator[Permit]:
        """All who are in the batch, or join it while its turn is waited for, ask for it."""
        bid = Bid.of(*(pending.bidder for pending in (*batch.edits, *(self._waiting if batch.is_open else ()))))
        self._bid = bid if batch.is_open else None
        try:
            async with self._policy.upstream.permit(deadline, bid) as permit:
                self._bid = None
                yield permit
        finally:
            self._bid = None

    def _begin_watch(self) -> None:
        """Anew, if there is something to watch."""
        settles_at = self._memory.ends_at()
        self._watch = None if settles_at is None else begun(self._policy.now(), settles_at)

    async def _show(self) -> None:
        """What waits to be seen."""
        previews, self._previews = self._previews, []
        try:
            if await show(self._policy, previews):
                await self._look()
        except BaseException:
            self._previews = previews  # they are told with all others
            raise
        finally:
            self._begin_watch()

    def _close(self, batch: Batch) -> list[Pending]:
        """The edits of the batch that are still wanted; what came until now is among them, if it is open."""
        if batch.is_open:
            batch.edits += self._waiting
            self._waiting.clear()
        batch.edits = still_wanted(batch.edits)
        if batch.is_open:
            batch.edits, parts = apart(batch.edits)
            if parts and not batch.edits:
                batch.is_open, (batch.edits, *parts) = False, parts
            at = self._batches.index(batch)
            self._batches[at:at] = [Batch(part, is_open=False) for part in reversed(parts)]
        return batch.edits

    async def _gather(self, deadline: float) -> None:
        """While turns are scarce, a crowd of edits shares one. Who had no part in the last one does not wait for the crowd."""
        loop = asyncio.get_running_loop()
        pause = self._crowd.pause(len(self._waiting), self._policy.turns.interval)
        until = min(self._crowd.turn_at + pause, loop.time() + (deadline - loop.time()) / 4)
        while loop.time() < until and self._crowd.callers.issuperset(pending.bidder.caller for pending in self._waiting):
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()

    def _after(self, batch: Batch, end: End, deadline: float) -> float:
        """What is left to do after a round; seconds to wait first."""
        batch.edits = [pending for pending in batch.edits if not pending.over]
        match end:
            case Done():
                return 0.0
            case Split():
                self._split(batch)
                return 0.0
            case Retry():
                batch.attempt += 1
                return self._pause(batch, end, deadline) if batch.edits else 0.0

    def _split(self, batch: Batch, *, is_suspect: bool = False) -> None:
        self._batches.remove(batch)
        middle = len(batch.edits) // 2
        halves = (batch.edits[middle:], batch.edits[:middle])
        self._batches += [Batch(half, is_open=False, is_suspect=batch.is_suspect or is_suspect) for half in halves if half]

    def _pause(self, batch: Batch, end: Retry, deadline: float) -> float:
        """Seconds until the next round; 0.0 where there is none, and what is left has been told why. batch.attempt: of that
        one."""
        error, attempts = end.error.copy(), self._deps.patience.attempts
        if end.after is not None and batch.attempt <= 2 * attempts:
            return end.after
        refused_before, batch.token_refused = batch.token_refused, error.reason is Reason.GRAPH_TOKEN_REFUSED
        if batch.token_refused and not refused_before:
            return 0.0  # E10: the next round fetches another
        wait = backoff(batch.attempt - 1, self._deps.patience.jitter())
        if error.reason is Reason.READ_TOO_OLD:
            wait = min(wait, OLD_READ_S)
        elif error.retry_after is not None:
            wait = error.retry_after
        worn_out = (batch.attempt > attempts and error.reason not in PATIENT) or (batch.is_suspect and end.is_of_edits)
        if error.reason.kind in MAY_PASS and not worn_out and asyncio.get_running_loop().time() + wait < deadline:
            return wait
        if end.is_of_edits and len(batch.edits) > 1:
            self._split(batch, is_suspect=True)
            return 0.0
        if error.reason.kind in MAY_PASS:
            error.retry_after = max(error.retry_after or wait, 0.001)
        for pending in batch.edits:
            self._policy.note(pending)
            pending.fail(error)
        return 0.0

    # The watch.

    async def _time_to_look(self) -> bool:
        """Waits for the time of the next look. False: edits came before."""
        self._wake.clear()
        if not self.is_idle:
            return False
        left = (self._watch.next_at if self._watch else 0.0) - self._policy.now()
        with contextlib.suppress(TimeoutError), UNSETTLED.labels(self._name.tenant).track_inprogress():
            async with asyncio.timeout(max(left, 0.0)):
                await self._wake.wait()
        return self.is_idle

    async def _look(self) -> None:
        """A look under a lease; a repair, if it shows that one is needed."""
        watch, deadline = self._watch or Watch(0.0), asyncio.get_running_loop().time() + WATCH_S
        self._facts.clear()
        try:
            async with leased(self._policy, deadline) as grant:
                if not self._answers_for(grant):
                    self._watch = None
                    return
                end = await carry_out(self._policy, tuple, None, deadline)
                if end is AT_ONCE:  # there is something to repair
                    async with self._policy.upstream.permit(deadline, Bid.of(Bidder("")), urgent=True) as permit:
                        await carry_out(self._policy, tuple, permit, deadline)
        except GatewayError as error:
            if error.reason is Reason.NOT_FOUND:
                self._memory.forget_all()
            log.warning("watch", extra={**self._policy.where, "error": error.reason.name})
        ends_at = self._memory.ends_at()
        self._watch = after_look(watch, self._policy.now(), ends_at) if ends_at is not None else None

    def _answers_for(self, grant: Grant) -> bool:
        """Whether the watch is ours: who wrote last watches, or who took it over from the dead."""
        newest = max((revision.number for revision in grant.revisions if revision.kind != "foreign"), default=0)
        if self._takes_over:
            self._newest, self._takes_over = newest, False
        return newest <= max(self._newest, self._memory.newest)

    def _all(self) -> list[Pending]:
        return [*self._waiting, *(pending for batch in self._batches for pending in batch.edits)]

    def _interrupt(self) -> None:
        """The gateway goes down before they came to anything."""
        for pending in self._all():
            sent = pending.write.entry.sent is not None
            pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN) if sent else GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
        fail(self._previews, GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
