"""Carries out the edits of a policy, all that wait at once: read, merge, write, read back (shared/DESIGN.md §6).

Promises: an edit is answered with what was read back; nothing is sent that lost a row no edit names; a set that had to wait
is read and merged anew, never sent late. One PolicyWriter per tenant and policy, alive only while it has work.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gateway.assignments.changes import Changes
from gateway.assignments.documented import Created, create, creation
from gateway.assignments.edits import Done, Merged, all_of, lost, shown
from gateway.assignments.journal import settle, write_down
from gateway.assignments.locks import Lease, Locks, check_held
from gateway.assignments.patience import Patience
from gateway.assignments.pending import Doubt, Pending, fail, interrupt, merge_pending, wanted
from gateway.assignments.read_back import ReadBack
from gateway.assignments.routes import Routes
from gateway.assignments.rows import Row, row_id
from gateway.assignments.upstream import Upstream
from gateway.call import CallWarning, Record
from gateway.errors import GatewayError, Kind, Reason
from gateway.graph.client import GraphClient
from gateway.graph.retries import backoff
from gateway.ledger.ledger import Ledger
from gateway.logs import log_bug
from gateway.metrics import WRITES_SAVED

log = logging.getLogger(__name__)

MAY_PASS = (Kind.RESOURCE_EXHAUSTED, Kind.UNAVAILABLE, Kind.ABORTED)


class SetRefusedError(Exception):
    """Graph finds something in the set wrong; nothing of it was carried out."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.message)
        self.error = error


class Tools(NamedTuple):
    """What every writer shares."""

    routes: Routes
    locks: Locks
    patience: Patience
    ledger: Ledger


class PolicyWriter:
    """The edits of one policy, in the order they came. gone: called when it has nothing left to do."""

    def __init__(self, name: tuple[str, str], graph: GraphClient, tools: Tools, gone: Callable[[], object]) -> None:
        self.tenant, self.policy = name
        self.task: asyncio.Task[None] | None = None
        self._routes, self._locks, self._patience, self._ledger = tools
        self._gone = gone
        self._record = Record()
        self._upstream = Upstream(graph, self.policy, self._record)
        self._read_back = ReadBack(self._upstream, self._patience)
        self._waiting: list[Pending] = []

    def take(self, pending: Pending) -> None:
        """One more edit."""
        self._waiting.append(pending)
        if self.task is None:
            self.task = asyncio.create_task(self._work(), name=f"writer {self.policy}")

    async def _work(self) -> None:
        """Until nothing waits. Leaves no edit unanswered, whatever happens."""
        batch: list[Pending] = []
        try:
            while any(not pending.over for pending in self._waiting):
                batch.clear()
                async with self._locks.hold(f"{self.tenant}/{self.policy}") as lease:
                    await self._carry_out(batch, lease, joinable=True)
        except GatewayError as error:
            fail([*batch, *self._waiting], error)
        except asyncio.CancelledError:
            interrupt([*batch, *self._waiting])
            raise
        except Exception as exc:  # noqa: BLE001 - nobody awaits this task: what is not told here is told nowhere
            log_bug(log, exc, policy=self.policy)
            fail([*batch, *self._waiting], GatewayError(Reason.INTERNAL))
        finally:
            self._gone()  # no await since the last look at what waits: nothing slips in between

    async def _carry_out(self, batch: list[Pending], lease: Lease, *, joinable: bool) -> None:
        """Rounds until every edit of the batch is answered. joinable: what comes before a round begins joins it."""
        for attempt in itertools.count(1):
            if not await self._turn(batch, joinable=joinable):
                return
            self._record.facts.clear()
            try:
                wait = await self._round(batch, lease, attempt)
            except SetRefusedError as refused:
                if len(batch) == 1:
                    self._note(batch)
                    fail(batch, refused.error)
                else:  # the halves one after the other, until only the culprit's edit fails
                    middle = len(batch) // 2
                    for half in (batch[:middle], batch[middle:]):
                        await self._carry_out(half, lease, joinable=False)
                wait = 0.0
            except GatewayError as error:
                self._note(batch)
                fail(batch, error)
                wait = 0.0
            if all(pending.over for pending in batch):
                return
            if wait:
                await self._patience.sleep(wait)

    async def _turn(self, batch: list[Pending], *, joinable: bool) -> bool:
        """Waits for the turn in the tenant's quota, then closes the batch. Whether there is something to do."""
        everyone = wanted((*batch, *(self._waiting if joinable else ())))
        if not everyone:
            return False
        try:
            await self._upstream.write_turn(max(pending.call.deadline for pending in everyone))
        except GatewayError as error:
            fail(everyone, error)
            return False
        if joinable:
            batch += self._waiting
            self._waiting.clear()
        batch[:] = wanted(batch)
        if not batch:
            self._upstream.give_back_turn()
        return bool(batch)

    async def _round(self, batch: list[Pending], lease: Lease, attempt: int) -> float:
        """Reads, merges, writes, reads back, answers. Seconds to wait before what is left has another round."""
        deadline = max(pending.call.deadline for pending in batch)
        read = await settle(batch, await self._read_back.rows(deadline), self._upstream, self._patience)
        batch[:] = [pending for pending in batch if not pending.over]
        before, passing = await self._create_documented(batch, read, lease, deadline)
        if passing is not None:
            return self._pause(passing, attempt, deadline)
        batch[:] = [pending for pending in batch if not pending.over]
        merged = merge_pending(before, batch)
        if not merged.changed:
            if before is read:
                self._upstream.give_back_turn()
            self._answer(batch, merged, before)
            return 0.0
        client_request_id = await write_down(self._ledger, batch, merged, "assign")
        if client_request_id is None:
            return 0.0
        self._check(before, merged.rows, batch, lease)
        try:
            await self._upstream.replace(merged.rows, deadline, client_request_id)
        except GatewayError as error:
            return await self._not_accepted(batch, merged, error, attempt, deadline)
        shared_by = sum(isinstance(outcome, Done) and outcome.changed for outcome in merged.outcomes)
        WRITES_SAVED.labels(self.tenant).inc(shared_by - 1)
        foreign = await self._look(batch, merged, self._patience.read_back)
        if all(pending.over for pending in batch):
            return 0.0
        if not foreign:
            raise GatewayError(Reason.OUTCOME_UNKNOWN, "Graph accepted the write, but does not show it.")
        return self._pause(GatewayError(Reason.SET_CHANGED), attempt, deadline)

    def _check(self, before: Sequence[Row], sent: Sequence[Row], batch: Sequence[Pending], lease: Lease) -> None:
        """The last look before the write: nothing is lost, and the lock is held."""
        gone = lost(before, sent, [pending.edit for pending in batch])
        if gone:
            ids = {name: list(map(row_id, rows)) for name, rows in (("before", before), ("sent", sent), ("lost", gone))}
            log.error("a set that lost rows was not sent", extra={"tenant": self.tenant, "policy": self.policy, **ids})
            raise GatewayError(Reason.INTERNAL)
        check_held(lease)

    async def _not_accepted(
        self, batch: list[Pending], merged: Merged, error: GatewayError, attempt: int, deadline: float
    ) -> float:
        """After a write without a good answer: seconds to wait before the next round, or the error for all."""
        if error.reason is Reason.OUTCOME_UNKNOWN:
            await self._look(batch, merged, self._patience.doubt)
            if all(pending.over for pending in batch):
                return 0.0
        elif error.reason.kind is Kind.INVALID_ARGUMENT:
            raise SetRefusedError(error)
        elif error.reason.kind not in MAY_PASS:
            raise error
        return self._pause(error, attempt, deadline)

    def _pause(self, error: GatewayError, attempt: int, deadline: float) -> float:
        """Seconds until the next round after an error that may pass. Raises it where there is no next round."""
        if error.reason is Reason.LOCK_LOST:
            raise error  # another round under the same lease would find it lost as well
        wait = backoff(attempt, self._patience.jitter()) if error.retry_after is None else error.retry_after
        worn_out = error.reason is not Reason.GRAPH_THROTTLED and attempt >= self._patience.attempts
        if worn_out or asyncio.get_running_loop().time() + wait >= deadline:
            if error.reason is not Reason.OUTCOME_UNKNOWN:
                error.retry_after = max(wait, 0.001)
            raise error
        return wait

    async def _look(self, batch: list[Pending], merged: Merged, patience: float) -> list[str]:
        """Reads until every edit shows, for `patience` seconds at most; answers all, or else those that show.

        What others changed meanwhile. An edit that does not show stays in doubt: it may show later, as our own.
        """
        for pending, outcome in zip(batch, merged.outcomes, strict=True):
            if isinstance(outcome, Done) and outcome.changed:
                pending.doubt = Doubt(outcome, merged.rows)
        done = all_of(outcome for outcome in merged.outcomes if isinstance(outcome, Done))
        changes = Changes(merged.rows, done.touched)
        rows, all_shown = await self._read_back.watch(done, merged.rows, patience, changes)
        if all_shown and rows is not None:
            self._tell(batch, changes)
            self._answer(batch, merged, rows)
            return changes.foreign
        self._tell(batch, changes)
        for pending, outcome in zip(batch, merged.outcomes, strict=True):
            if isinstance(outcome, Done) and outcome.changed and rows is not None and shown(outcome, merged.rows, rows):
                pending.finish(outcome, rows)
        return changes.foreign

    async def _create_documented(
        self, batch: Sequence[Pending], before: list[Row], lease: Lease, deadline: float
    ) -> tuple[list[Row], GatewayError | None]:
        """Sends the creations of the batch by the documented route, where the tenant has it, and answers them.

        The rows afterwards, and the error, if one may pass, that left creations for another round.
        """
        created: list[Created] = []
        passing = None
        for pending in batch:
            wanted = creation(pending, [*before, *(one.row for one in created)])
            if wanted is None or not self._routes.documented(self.tenant):
                continue
            self._record.note(route="documented")
            try:
                if created:  # the batch's own turn was for the first
                    await self._upstream.write_turn(deadline)
                client_request_id = await write_down(self._ledger, [pending], Merged([wanted[1]], [wanted[0]]), "documented")
                check_held(lease)
                if client_request_id is None:
                    continue
                row = await create(self._upstream, wanted[1], before, self._patience, deadline, client_request_id)
                created.append(Created(pending, wanted[0], row))
            except GatewayError as error:
                if error.reason is Reason.GRAPH_ROUTE_MISSING and self._routes.missing(self.tenant):
                    break
                if error.reason.kind in MAY_PASS:
                    passing = error
                    break
                self._note([pending])
                pending.fail(error)
        rows = await self._confirm(created, before) if created else before
        self._record.facts.pop("route", None)
        return rows, passing

    async def _confirm(self, created: Sequence[Created], before: Sequence[Row]) -> list[Row]:
        """Waits until the created rows show, and answers. Graph said 201: not to show, or not to be readable, is no failure."""
        sent = [*before, *(one.row for one in created)]
        done = all_of(one.done for one in created)
        self._read_back.accepted(done, sent)
        patience = self._patience.read_back
        rows, all_shown = await self._read_back.watch(done, sent, patience, Changes(sent, done.touched), patient=False)
        rows = rows if rows is not None and all_shown else sent
        for one in created:
            self._note([one.pending])
            one.pending.finish(one.done, rows)
        return rows

    def _answer(self, batch: Sequence[Pending], merged: Merged, rows: Sequence[Row]) -> None:
        self._note(batch)
        for pending, outcome in zip(batch, merged.outcomes, strict=True):
            if isinstance(outcome, GatewayError):
                pending.fail(outcome)
            else:
                pending.finish(outcome, rows)

    def _tell(self, batch: Sequence[Pending], changes: Changes) -> None:
        """Foreign changes: counted, logged, and where our write may have undone one, said to the callers."""
        where = {"tenant": self.tenant, "policy": self.policy}
        if changes.foreign:
            self._record.note(foreign_changes=len(changes.foreign))
            log.warning("foreign changes", extra={**where, "rows": changes.foreign})
        if changes.undone:
            log.warning("a foreign change may be undone", extra={**where, "rows": changes.undone})
            for pending in batch:
                pending.call.warnings.append(CallWarning("FOREIGN_CHANGE_UNDONE", {"rows": " ".join(changes.undone)}))

    def _note(self, batch: Sequence[Pending]) -> None:
        """What the batch's requests were, into the record of every call that shared them."""
        for pending in batch:
            pending.call.record.note(**{"route": "assign", **self._record.facts, "shared_by": len(batch)})
