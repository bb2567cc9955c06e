"""The writer of one policy. It exists while the policy has waiting edits or unsettled writes. Everything that concerns the
policy happens in the writer's one task, so its state needs no locks: rounds for the waiting edits, and the watch between them.

Promises: a lone edit does not wait for others; waiting edits share a write; a round runs under a lease that is released after
it, so that other replicas may write; every edit gets an answer."""

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

# Causes that end by themselves within a known time: the writer retries until the deadline, without counting attempts.
PATIENT = (Reason.GRAPH_THROTTLED, Reason.READ_TOO_OLD)
# Deadline of a round that only watches, in seconds.
WATCH_S = 60.0


class PolicyWriter:
    """The writer of one policy. gone: called when the writer has nothing left to do."""

    def __init__(
        self, name: PolicyName, of: AssignableSet, graph: GraphClient, deps: WriterDeps, gone: Callable[[], object]
    ) -> None:
        self._name, self._deps, self._gone = name, deps, gone
        self._policy = Policy(name, of, graph, deps)
        self._memory, self._facts = self._policy.memory, self._policy.upstream.record.facts
        self._waiting: list[Pending] = []
        self._previews: list[Preview] = []
        self._batches: list[Batch] = []
        self._bid: Bid | None = None  # the bid for the turn of an open batch, which edits that come meanwhile join
        self._crowd = Crowd()
        self._watch: Watch | None = None
        self._takes_over = False  # whether to watch every unsettled write, those of other gateways too
        self._newest = 0  # the newest revision that it took over
        self._wake = asyncio.Event()
        self.task = asyncio.create_task(self._work(), name=f"writer {name.policy}")

    @property
    def is_idle(self) -> bool:
        """Whether no edit and no preview waits; the writer may still watch."""
        return not (self._waiting or self._batches or self._previews)

    def take(self, pending: Pending) -> None:
        """Queues an edit."""
        self._waiting.append(pending)
        if self._bid is not None:
            self._bid.join(pending.bidder)
        self._wake.set()

    def show(self, preview: Preview) -> None:
        """Queues a preview."""
        self._previews.append(preview)
        self._wake.set()

    def watch(self) -> None:
        """Takes over the watch of the policy's unsettled writes."""
        self._takes_over = True
        self._watch = self._watch or Watch(0.0)
        self._wake.set()

    async def _work(self) -> None:
        """Runs until nothing waits and every write is settled. Whatever happens, no edit is left unanswered, no write
        unwatched."""
        try:
            while not self.is_idle or self._watch is not None:
                try:
                    if self._previews:
                        await self._show()
                    elif not self.is_idle:
                        await self._serve()
                    elif await self._time_to_look():
                        await self._look()
                except Exception as exc:  # noqa: BLE001 - nobody awaits this task: an error that is not logged here is lost
                    log_bug(log, exc, policy=self._name.policy)
                    self._recover()
        except asyncio.CancelledError:
            self._interrupt()
            raise
        finally:
            self._gone()  # no await since the loop's condition was checked, so no edit can have been queued in between

    def _recover(self) -> None:
        """After a bug: fails what waits, and forgets the memory, which the next lease reads from the ledger again."""
        fail([*self._all(), *self._previews], GatewayError(Reason.INTERNAL))
        self._waiting, self._batches, self._previews = [], [], []
        self._memory.start_anew()
        now = self._policy.now()
        self._takes_over, self._watch = True, after_look(self._watch or Watch(now), now, now)

    async def _serve(self) -> None:
        """Runs a round for the next batch: what an earlier round left, or else what waits."""
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
        except GatewayError as error:  # edits that came meanwhile with a later deadline get another round
            there = still_wanted((*batch.edits, *(self._waiting if batch.is_open else ())))
            fail((pending for pending in there if pending.write.deadline <= deadline), error)
            wait = 0.0
        batch.edits = [pending for pending in batch.edits if not pending.over]
        if not batch.edits and batch in self._batches:
            self._batches.remove(batch)
        if wait:
            await self._deps.patience.sleep(wait)

    async def _serve_batch(self, batch: Batch, deadline: float) -> float:
        """Gets lease, turn and token, then runs the round. Returns the seconds to wait before the next round."""
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
        """Waits for a turn on behalf of every edit in the batch, and of those that join it meanwhile, and for a token."""
        bid = Bid.of(*(pending.bidder for pending in (*batch.edits, *(self._waiting if batch.is_open else ()))))
        self._bid = bid if batch.is_open else None
        try:
            async with self._policy.upstream.permit(deadline, bid) as permit:
                self._bid = None
                yield permit
        finally:
            self._bid = None

    def _begin_watch(self) -> None:
        """Begins the watch anew, if there is something to watch."""
        settles_at = self._memory.ends_at()
        self._watch = None if settles_at is None else begun(self._policy.now(), settles_at)

    async def _show(self) -> None:
        """Answers the waiting previews."""
        previews, self._previews = self._previews, []
        try:
            if await show(self._policy, previews):
                await self._look()
        except BaseException:
            self._previews += previews  # whoever handles the exception fails them, like all that waits
            raise
        finally:
            self._begin_watch()

    def _close(self, batch: Batch) -> list[Pending]:
        """Returns the edits of the batch that still have a caller. An open batch takes in all edits that came until now."""
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
        """While turns are scarce, waits so that more edits share one; not if a caller waits that had no part in the last."""
        loop = asyncio.get_running_loop()
        pause = self._crowd.pause(len(self._waiting), self._policy.turns.interval)
        until = min(self._crowd.turn_at + pause, loop.time() + (deadline - loop.time()) / 4)
        while loop.time() < until and self._crowd.callers.issuperset(pending.bidder.caller for pending in self._waiting):
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._wake.wait()

    def _after(self, batch: Batch, end: End, deadline: float) -> float:
        """Arranges what follows a round. Returns the seconds to wait first."""
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
        """Seconds until the batch's next round, whose number is batch.attempt. 0.0: there is none, or it need not wait; edits
        without a next round have been failed."""
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
        """Waits until the next look is due. False: edits came first."""
        self._wake.clear()
        if not self.is_idle:
            return False
        left = (self._watch.next_at if self._watch else 0.0) - self._policy.now()
        with contextlib.suppress(TimeoutError), UNSETTLED.labels(self._name.tenant).track_inprogress():
            async with asyncio.timeout(max(left, 0.0)):
                await self._wake.wait()
        return self.is_idle

    async def _look(self) -> None:
        """Looks under a lease, and repairs if the look shows the need."""
        watch, deadline = self._watch or Watch(0.0), asyncio.get_running_loop().time() + WATCH_S
        self._facts.clear()
        try:
            async with leased(self._policy, deadline) as grant:
                if not self._answers_for(grant):
                    await self._policy.save()  # Graph's answers that only this gateway knows
                    self._watch = None
                    return
                end = await carry_out(self._policy, tuple, None, deadline)
                if end is AT_ONCE:  # there is something to repair
                    async with self._policy.upstream.permit(deadline, Bid.of(Bidder("")), urgent=True) as permit:
                        await carry_out(self._policy, tuple, permit, deadline)
        except GatewayError as error:
            log.warning("a watched policy could not be checked", extra={**self._policy.where, "error": error.reason.name})
        ends_at = self._memory.ends_at()
        self._watch = after_look(watch, self._policy.now(), ends_at) if ends_at is not None else None

    def _answers_for(self, grant: Grant) -> bool:
        """Whether this gateway has to watch: one does, the one that wrote last or that took over from a dead one."""
        newest = max((revision.number for revision in grant.revisions if revision.kind != "foreign"), default=0)
        if self._takes_over:
            self._newest, self._takes_over = newest, False
        return newest <= max(self._newest, self._memory.newest)

    def _all(self) -> list[Pending]:
        return [*self._waiting, *(pending for batch in self._batches for pending in batch.edits)]

    def _interrupt(self) -> None:
        """Fails all that waits, since the gateway goes down. A write that was sent may still take effect: OUTCOME_UNKNOWN."""
        for pending in self._all():
            sent = pending.write.entry.sent is not None
            pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN) if sent else GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
        fail(self._previews, GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
