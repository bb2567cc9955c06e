"""Gateways of one policy in virtual time: real writers, a ledger that they share, and a Graph whose reads lag and whose writes
land late or never."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from fake_ledger import NoLedger

from gateway.assignments import policy as policy_module
from gateway.assignments import upstream as upstream_module
from gateway.assignments.edits import Add
from gateway.assignments.looks import Bounds
from gateway.assignments.patience import Patience
from gateway.assignments.policy import WriterDeps
from gateway.assignments.routes import Routes
from gateway.assignments.writers import Writers
from gateway.call import Record
from gateway.entry import Entry, utc_now
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphAnswer, Permit
from gateway.graph.quota import Bid, Quota
from gateway.ledger.evidence import changed, is_unaware, may_become
from gateway.ledger.leases import Lease
from gateway.ledger.write import Write
from gateway.revision import Change, Grant, Kept, PolicyName, Revision
from gateway.sets import COMPLIANCE

LAG_S, LATE_S, LEASE_S = 60.0, 120.0, 15.0
NAME = PolicyName("t", "deviceCompliancePolicies", "p")
BYSTANDER, A, B, C, F = (f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(5))
Rows = tuple[dict, ...]


def now() -> float:
    return asyncio.get_running_loop().time()


def in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies count the loop's seconds."""
    for module in (policy_module, upstream_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=now))


def target(group: str) -> dict:
    return {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": group}


def row(group: str) -> dict:
    return {"id": f"p_{group}", "source": "direct", "target": target(group)}


def groups_of(rows: Rows) -> set[str]:
    return {one["target"]["groupId"] for one in rows}


class Database:
    """What all gateways know of the one policy. down: whether nothing can be reached now. hiccups, mute: how many
    conclusions fail, and how many are recorded and not confirmed, once there are any."""

    def __init__(self) -> None:
        self.lease = Lease()
        self.revisions: dict[int, Revision] = {}
        self.moments: dict[int, dict[str, float | None]] = {}
        self.living: set[int] = set()
        self.down, self.hiccups, self.mute = False, 0, 0

    def reached(self) -> None:
        if self.down:
            raise GatewayError(Reason.LEDGER_UNAVAILABLE)

    def unsettled(self) -> dict[int, Revision]:
        def ago(moment: float | None) -> float | None:
            return None if moment is None else now() - moment

        return {
            n: replace(r, **{f"{name}_s": ago(at) for name, at in self.moments[n].items()})
            for n, r in self.revisions.items()
            if r.state not in ("settled", "void")
        }

    def newest(self, after: int) -> Kept | None:
        for n, r in sorted(self.revisions.items(), reverse=True):
            at = self.moments[n]
            if r.state != "void" and (at["acked"] is not None or at["landed"] is not None):
                facts = {name: getattr(r, name) for name in ("kind", "route", "client_request_id", "state", "touched", "base")}
                etags = {"etag_before": r.etag_before, "etag_after": r.etag_after}
                age = now() - (at["written"] or 0.0)
                return None if n <= after else Kept(policy=NAME, number=n, written_at=0.0, age_s=age, **facts, **etags)
        return None


class SharedLedger:
    """One gateway's way to the database."""

    def __init__(self, base: Database, me: int) -> None:
        self.base, self.me = base, me

    async def acquire(self, policy: PolicyName, after: int = 0) -> Grant | None:
        self.base.reached()
        self.base.lease, granted = self.base.lease.asked(self.me, now(), LEASE_S, lambda: self.base.living)
        unsettled = tuple(self.base.unsettled().values())
        newest = None if unsettled else self.base.newest(after)
        lease = self.base.lease
        return Grant(lease.generation, lease.numbers, unsettled, newest) if granted else None

    async def renew(self, policy: PolicyName, generation: int) -> bool:
        self.base.reached()
        self.base.lease, ours = self.base.lease.renewed(self.me, generation, now(), LEASE_S)
        return ours

    async def release(self, policy: PolicyName, generation: int) -> None:
        self.base.reached()
        self.base.lease = self.base.lease.released(self.me, generation)

    async def write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int] = ()
    ) -> tuple[int, set[str]]:
        self.base.reached()
        if not self.base.lease.held_by(self.me, revision.generation):
            raise GatewayError(Reason.LEASE_LOST)
        return self._add(revision, None), {entry.id for entry in entries}

    async def conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision] = ()
    ) -> list[int]:
        self.base.reached()
        if self.base.hiccups:
            self.base.hiccups -= 1
            raise GatewayError(Reason.LEDGER_UNAVAILABLE)
        known = self.base.unsettled()
        holds = self.base.lease.held_by(self.me, generation) and not any(is_unaware(known, change) for change in changes)
        for change in changes:
            found = known.get(change.number) if holds or change.answered else None
            if found is not None and may_become(found.state, change.state, sender=found.owner == self.me):
                self.base.revisions[change.number] = changed(found, change)
                at = self.base.moments[change.number]
                for name in ("acked", "landed"):
                    at[name] = now() if at[name] is None and getattr(change, name) else at[name]
        if not holds:
            raise GatewayError(Reason.LEASE_LOST)
        numbers = [self._add(replace(one, kind="foreign", state="shown"), now()) for one in foreign]
        if self.base.mute:
            self.base.mute -= 1
            raise GatewayError(Reason.LEDGER_UNAVAILABLE)
        return numbers

    async def recall(self, policy: PolicyName, number: int) -> Revision | None:
        return self.base.revisions.get(number)

    def _add(self, revision: Revision, seen: float | None) -> int:
        number = self.base.lease.numbers + 1
        self.base.lease = replace(self.base.lease, numbers=number)
        self.base.revisions[number] = replace(revision, number=number, owner=self.me)
        self.base.moments[number] = {"written": now(), "acked": seen, "landed": seen}
        return number


@dataclass
class Effect:
    """What changed the set. by: the number of the write's gateway, 0 for others; client_request_id: of the write."""

    at: float
    rows: Rows
    by: int
    client_request_id: str = ""


@dataclass
class World:
    """random: None for a Graph without trouble. failing: whether reads fail now. frozen: what reads show
    meanwhile, from a replica of Graph's that lags. outcomes: of the next writes; otherwise they are by chance."""

    random: random.Random | None
    effects: list[Effect] = field(default_factory=list)
    reads: int = 0
    failing: bool = False
    frozen: Rows | None = None
    gone: bool = False
    flying: int = 0
    outcomes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> Rows:
        return self.effects[-1].rows if self.effects else ()

    def put(self, rows: Rows, by: int = 0, client_request_id: str = "") -> None:
        self.effects.append(Effect(now(), rows, by, client_request_id))

    def at(self, moment: float) -> Rows:
        return next((one.rows for one in reversed(self.effects) if one.at <= moment), ())

    def read(self) -> Rows:
        self.reads += 1
        if self.gone:
            raise GatewayError(Reason.NOT_FOUND)
        if self.failing:
            raise GatewayError(Reason.GRAPH_UNAVAILABLE, retry_after=5.0)
        if self.frozen is not None:
            return self.frozen
        stale = self.random is not None and self.random.random() < 0.4
        return self.at(now() - (self.random.uniform(0, LAG_S) if self.random and stale else 0.0))


class SharedGraph:
    """One gateway's way to Graph."""

    quota = Quota(10**9, 10**9)

    def __init__(self, world: World, me: int) -> None:
        self.world, self.me = world, me

    @asynccontextmanager
    async def permit(self, deadline: float, bid: Bid, *, urgent: bool = False) -> AsyncIterator[Permit]:
        yield Permit("token")

    async def post(self, path: str, body: bytes, permit: Permit, client_request_id: str, record: Record) -> GraphAnswer:
        sent, chance = json.loads(body), self.world.random
        if path.endswith("/assign"):
            rows = tuple(row(one["target"]["groupId"]) for one in sent["assignments"])
            change: Callable[[], Rows] = lambda: rows  # noqa: E731
        else:
            created = row(sent["target"]["groupId"])
            change = lambda: (*(r for r in self.world.rows if r["id"] != created["id"]), created)  # noqa: E731
        outcome = chance.choice(("ok", "ok", "ok", "ok", "ok", "lost", "late", "never", "refused")) if chance else "ok"
        outcome = self.world.outcomes.pop(0) if self.world.outcomes else outcome
        if outcome in ("ok", "lost"):
            self.world.put(change(), self.me, client_request_id)
        elif outcome == "late":
            self.world.flying += 1
            wait = chance.uniform(1, LATE_S - 45) if chance else 8
            asyncio.get_running_loop().call_later(wait, self._land, change, client_request_id)
        await asyncio.sleep(chance.choice((0.1, 0.3, 1, 1, 30)) if chance else 0.1)
        if outcome == "ok":
            return GraphAnswer(204, None) if path.endswith("/assign") else GraphAnswer(201, created)
        raise GatewayError(Reason.GRAPH_THROTTLED if outcome == "refused" else Reason.OUTCOME_UNKNOWN, retry_after=1.0)

    def _land(self, change: Callable[[], Rows], client_request_id: str) -> None:
        self.world.flying -= 1
        self.world.put(change(), self.me, client_request_id)

    async def get(self, path: str, **_: Any) -> GraphAnswer:
        chance, rows = self.world.random, self.world.read()
        await asyncio.sleep(chance.choice((0.05, 0.1, 0.1, 0.3, 1, 5, 25)) if chance else 0.05)
        return GraphAnswer(200, {"value" if path.endswith("/assignments") else "assignments": list(rows)})


def replica(base: Database, world: World, me: int, route: str = "assign", read_back: float = 20.0) -> Writers:
    """The writers of gateway `me`. A lease is never renewed: whatever takes longer than it was a pause."""
    base.living.add(me)
    ledger, patience = SharedLedger(base, me), Patience(read_back=read_back, jitter=lambda: 0.5)
    deps = WriterDeps(Routes(route, now), ledger, ledger, patience, Bounds(LAG_S, LATE_S), 10.0**9)
    return Writers({"t": SharedGraph(world, me)}, deps)


def foreign_of(base: Database) -> Iterator[tuple[int, Revision]]:
    """What is recorded of changes by others."""
    return ((n, r) for n, r in base.revisions.items() if r.kind == "foreign")


def a_world() -> tuple[Database, World]:
    """A Graph without trouble, whose policy has one row that nobody touches, and an empty ledger."""
    world = World(None)
    world.put((row(BYSTANDER),))
    return Database(), world


def write(seconds: float = 60) -> Write:
    """The record of an edit that one caller waits for so long."""
    entry = Entry(id=uuid4().hex, tenant="t", policy="p", operation="CreateComplianceAssignment", began_at=utc_now())
    one = Write(NoLedger(), entry, Record(), now() + seconds)
    one.waiting = 1
    return one


async def add(writers: Writers, group: str) -> None:
    await writers.carry_out(write(), COMPLIANCE, "p", Add(target(group)))
