"""One policy for its writer: its rows in Graph, its memory, and the ledger's record of both. It has what both routes do before
and after the request: record a revision, take it back, look, answer.

Promises: a write is in the ledger before it is sent, under a lease that is still held; what a look showed is in the ledger
before a caller is answered from it."""

import asyncio
import logging
import time
import uuid
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway import changes
from gateway.assignments.edits import Applied
from gateway.assignments.looks import Bounds, Look, Verdict
from gateway.assignments.memory import Memory
from gateway.assignments.past_writes import PastWrite, changes_of
from gateway.assignments.patience import Patience
from gateway.assignments.pending import Part, Pending, encoded, part_of
from gateway.assignments.routes import Routes
from gateway.assignments.rows import Row, RowSet, Touch, row_id
from gateway.assignments.upstream import Upstream
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason, first
from gateway.graph.client import GraphClient
from gateway.ledger.ledger import Leases, Revisions
from gateway.metrics import FOREIGN_CHANGES
from gateway.odata.targets import Key
from gateway.pace import slowly
from gateway.revision import PolicyName, Revision
from gateway.sets import AssignableSet

log = logging.getLogger(__name__)

# The longest time from a look until the write that was merged into it is in the ledger. A write that took longer is not sent:
# the process was paused, or the ledger hung, and the set is stale.
COMMIT_S = 5.0
# How long, in seconds, a look after a write may wait for its turn in the quota.
LOOK_TURN_S = 60.0


class WriterDeps(NamedTuple):
    """What the writers of all policies share. renew_s: how often a lease is renewed."""

    routes: Routes
    leases: Leases
    revisions: Revisions
    patience: Patience
    bounds: Bounds
    renew_s: float


class Sent(NamedTuple):
    """An edit that is part of a sent write. created: the row in Graph's answer, if there was one."""

    pending: Pending
    part: Part
    write: PastWrite
    created: Row | None = None


class Policy:
    """See above. where: for log lines."""

    def __init__(self, name: PolicyName, of: AssignableSet, graph: GraphClient, deps: WriterDeps) -> None:
        self.name, self.of, self.deps = name, of, deps
        self.turns = graph.quota.writes
        self.upstream = Upstream(graph, of, name.policy)
        self.memory = Memory(of, deps.bounds)
        self.where = name._asdict()
        self.generation = 0  # of the lease under which the writer looks and writes
        self.now = time.monotonic  # not the event loop's clock, which does not advance while the loop is blocked
        self.seen = 0.0  # when the last look arrived

    async def look(self, deadline: float, sent: RowSet | None = None) -> tuple[Look, Verdict]:
        """Looks at the policy, and judges the look; the ledger has the result before this returns. sent: see Upstream.look.
        Raises GatewayError."""
        asked = self.now()
        try:
            look = await self.upstream.look(deadline, sent)
        except GatewayError as error:
            if error.reason is Reason.NOT_FOUND and self.memory.missing(asked):
                await self.save()
            raise
        self.seen = self.now()
        verdict = self.memory.judge(look, self.seen)
        if verdict.foreign:
            FOREIGN_CHANGES.labels(self.name.tenant).inc(len(verdict.foreign))
            rows, more = names_of(verdict.foreign)
            log.warning("changed by others", extra={**self.where, "rows": rows, "more": more})
        if verdict.repairs:
            log.error(
                "repairing what a late or stale write of the gateway undid", extra={**self.where, "rows": len(verdict.repairs)}
            )
        await self.save()
        return look, verdict

    async def look_back(self, sent: RowSet) -> Look | None:
        """A look after a write; None if Graph did not answer, did not find the policy (a stale read may not), or the ledger
        could not record it. Raises what no further look under this lease helps against."""
        try:
            look, _ = await self.look(asyncio.get_running_loop().time() + LOOK_TURN_S, sent)
        except GatewayError as error:
            if error.reason is Reason.LEASE_LOST or self.memory.unsaved()[1]:
                raise  # whether changes by others have been recorded, the next grant says
            return None
        return look

    async def save(self) -> None:
        """Saves into the ledger what the memory has learnt. Raises LEDGER_UNAVAILABLE: it remains to be saved; LEASE_LOST: what
        is known of this gateway's own writes is saved, and the rest is forgotten, since others may have written meanwhile."""
        changes, foreign = self.memory.unsaved()
        if not (changes or foreign):
            return
        try:
            self.memory.saved(await self.deps.revisions.conclude(self.name, self.generation, changes, foreign))
        except GatewayError as error:
            if error.reason is Reason.LEASE_LOST:
                self.memory.start_anew()
            raise

    async def check_lease(self) -> None:
        """Raises LEASE_LOST if the lease is no longer held: others may have written since, and the look must not be answered
        from."""
        if not await self.deps.leases.renew(self.name, self.generation):
            self.memory.start_anew()
            raise GatewayError(Reason.LEASE_LOST, retry_after=1.0)

    async def write_down(
        self,
        write: PastWrite,
        changed: Sequence[tuple[Pending, Applied]],
        rows: RowSet,
        repaired: Collection[int] = (),
    ) -> list[Sent] | None:
        """Records the write with its edits in the ledger; from then on it may be sent, and has to be at once. rows: what the
        edits leave. write.written: before the call, when the set was seen that the write was merged into; afterwards, when the
        write was recorded. Returns None if another gateway took over edits, or if too much time has passed. Raises LEASE_LOST,
        LEDGER_UNAVAILABLE; GRAPH_THROTTLED if Graph has refused another write since this one got its turn."""
        if wait := self.turns.closed_for:
            raise GatewayError(Reason.GRAPH_THROTTLED, retry_after=wait)
        built, write.client_request_id = write.written, str(uuid.uuid4())
        etag = write.base.etag if write.base is not None else ""
        entries: list[Entry] = []
        parts: list[Part] = []

        def written_down() -> Generator[None, None, Revision]:
            for pending, applied in changed:
                parts.append(part_of(applied, rows))
                yield
                told = encoded(applied, rows), write.route, write.client_request_id
                yield
                entries.append(pending.write.sending(*told, changes.encoded(changes_of(applied.changes)), etag))
                yield
            return (yield from write.encoding())

        revision = replace(await slowly(written_down()), generation=self.generation)
        write.number, ours = await self.deps.revisions.write_down(self.name, revision, entries, repaired)
        if not write.number:
            for (pending, _), entry in zip(changed, entries, strict=True):
                if entry.id not in ours:
                    pending.fail(GatewayError(Reason.REQUEST_IN_PROGRESS, retry_after=1.0))
            return None
        write.written = self.now()
        self.memory.add(write)
        for (pending, _), entry in zip(changed, entries, strict=True):
            pending.write.sent(write.number, entry)
        sent = [Sent(pending, part, write) for (pending, _), part in zip(changed, parts, strict=True)]
        for one, (_, applied) in zip(sent, changed, strict=True):
            one.pending.applied, one.pending.base = applied, write.base
            one.pending.prior = one.part  # whatever ends this round, it is not carried out as if it were new
        if write.written - built > COMMIT_S:
            await self.take_back(sent, write)
            return None
        return sent

    async def take_back(self, sent: Sequence[Sent], write: PastWrite) -> None:
        """Records that a write was certainly not carried out. Its request IDs are free only after the ledger has that."""
        self.memory.void(write.number)
        await self.save()
        for one in sent:
            one.pending.unsent()

    def holds(self, one: Sent, look: Look) -> bool:
        """Whether the result of an edit holds: the look shows it, and it is the expected one from now on."""
        counts = one.write.acked is not None or self.memory.is_protected(one.part.values)
        return counts and one.part.shows(look.rows)

    def finish(self, sent: Iterable[Sent], look: Look, shared_by: int) -> None:
        """Answers these edits by what the look shows."""
        for one in sent:
            self.note(one.pending, shared_by)
            one.pending.finish(one.part, look.rows)

    def give_up(self, sent: Sequence[Sent]) -> None:
        """Fails edits that do not show as OUTCOME_UNKNOWN; the watch goes on."""
        for one in sent:
            landed = one.write.landed is not None
            words = "Graph accepted the write, but does not show it." if landed else ""
            wait = None if landed else max(self.memory.end_of(one.write) - self.now(), 1.0)
            self.note(one.pending, len(sent))
            one.pending.fail(GatewayError(Reason.OUTCOME_UNKNOWN, words, retry_after=wait, metadata=one.write.told))

    def note(self, pending: Pending, shared_by: int = 0) -> None:
        """Copies what is known of the requests into the record of the call that began the write."""
        if not pending.over:
            facts = {"route": pending.write.entry.route or "assign", **self.upstream.record.facts, "shared_by": shared_by}
            pending.write.record.note(**facts)


def names_of(changes: Mapping[Key, Touch]) -> tuple[list[str], int]:
    """The IDs of the first rows, or their keys if they have none, and the number of the others."""
    rows = {key: next(iter((*after, *before)), {}) for key, (before, after) in changes.items()}
    return first(sorted(row_id(row) or "/".join(key) for key, row in rows.items()))
