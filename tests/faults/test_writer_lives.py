"""Writers start and end as needed, and write only under a lease. With a fake Graph."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from edits_over_the_wire import guid
from fake_ledger import NoLedger

from gateway.assignments.edits import Add, Remove
from gateway.assignments.looks import Bounds
from gateway.assignments.patience import Patience
from gateway.assignments.policy import WriterDeps
from gateway.assignments.routes import REMEMBER_MISSING_S, Routes
from gateway.assignments.writers import Writers
from gateway.call import Record
from gateway.entry import Entry, utc_now
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphAnswer, Permit
from gateway.graph.quota import Bid, Quota
from gateway.ledger.write import Write
from gateway.sets import COMPLIANCE

NONE = Bounds(0.0, 0.0)


class FakeGraph:
    """A tenant in which every policy exists and is empty at first."""

    def __init__(self) -> None:
        self.rows: dict[str, list] = {}

    quota = Quota(10**9, 10**9)

    @asynccontextmanager
    async def permit(self, deadline: float, bid: Bid, *, urgent: bool = False) -> AsyncIterator[Permit]:
        yield Permit("token")

    async def post(self, path: str, body: bytes, permit: Permit, client_request_id: str, record: Record) -> GraphAnswer:
        policy = path.split("/")[-2]
        self.rows[policy] = [{"id": f"{policy}_x", "source": "direct", **row} for row in json.loads(body)["assignments"]]
        return GraphAnswer(204, None)

    async def get(self, path: str, **_) -> GraphAnswer:
        if path.endswith("/assignments"):
            return GraphAnswer(200, {"value": self.read(path.split("/")[-2])})
        return GraphAnswer(200, {"assignments": self.read(path.rsplit("/", maxsplit=1)[-1].partition("?")[0])})

    def read(self, policy: str) -> list:
        return self.rows.get(policy, [])


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


def deps(ledger: NoLedger, route: str = "assign", patience: Patience | None = None, bounds=NONE) -> WriterDeps:
    return WriterDeps(Routes(route, lambda: 0.0), ledger, ledger, patience or Patience(sleep=at_once), bounds, 60.0)


def write(seconds: float) -> Write:
    entry = Entry(id=uuid4().hex, tenant="t", policy="p", operation="CreateComplianceAssignment", began_at=utc_now())
    one = Write(NoLedger(), entry, Record(), asyncio.get_running_loop().time() + seconds)
    one.waiting = 1
    return one


@pytest.mark.parametrize("number", [1_000, pytest.param(10_000, marks=pytest.mark.machine)])
async def test_thousands_of_policies_touched_once_leave_nothing_behind(number: int):
    """Nothing is left when their writes are settled: without a lag, after one more look."""
    writers = Writers({"t": FakeGraph()}, deps(NoLedger()))
    target = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
    for start in range(0, number, 500):
        these = range(start, start + 500)
        await asyncio.gather(*(writers.carry_out(write(60), COMPLIANCE, f"p{i}", Add(target)) for i in these))
    async with asyncio.timeout(60):
        while len(writers):
            await asyncio.sleep(0.01)
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith(("writer", "lease"))]


class LostLeases(NoLedger):
    """The lease is lost when it is about to be used."""

    async def write_down(self, policy, revision, entries, repaired=()):
        raise GatewayError(Reason.LEASE_LOST)


class HeldLeases(NoLedger):
    """Another gateway always has the lease."""

    async def acquire(self, policy, after=0):
        return None


@pytest.mark.parametrize("route", ["assign", "documented"])
@pytest.mark.parametrize(("ledger", "reason"), [(LostLeases(), Reason.LEASE_LOST), (HeldLeases(), Reason.LEASE_HELD)])
async def test_without_a_lease_nothing_is_written(ledger: NoLedger, reason: Reason, route: str):
    graph = FakeGraph()
    writers = Writers({"t": graph}, deps(ledger, route))
    edits = [Add({"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(i)}) for i in range(3)]
    results = await asyncio.gather(*(writers.carry_out(write(1), COMPLIANCE, "p", e) for e in edits), return_exceptions=True)
    assert [r.reason for r in results] == [reason] * 3
    assert not graph.rows
    await writers.close(1)


def test_a_missing_route_is_remembered_for_a_day_and_then_tried_again():
    now = [0.0]
    routes = Routes("auto", lambda: now[0])
    assert routes.documented("a")
    assert routes.missing("a")
    assert not routes.documented("a")
    assert routes.documented("b"), "each tenant for itself"
    now[0] = REMEMBER_MISSING_S
    assert routes.documented("a")
    assert not Routes("documented", lambda: 0.0).missing("a")


class ScriptedGraph(FakeGraph):
    """Reads answer from a list (two before a write, then those after it); the last one is repeated."""

    def __init__(self, reads: list) -> None:
        super().__init__()
        self.reads, self.writes = reads, 0

    async def post(self, *_):
        self.writes += 1
        return GraphAnswer(204, None)

    def read(self, policy: str) -> list:
        return self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]


def row(number: int) -> dict:
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(number)}
    return {"id": f"p_{guid(number)}", "source": "direct", "target": target}


OURS, FOREIGN = row(1), row(2)
SHOWS_LATE = {
    "create": (Add(OURS["target"]), [[], [], [FOREIGN], [FOREIGN], [OURS, FOREIGN]]),
    "delete": (Remove(OURS["id"]), [[OURS], [OURS], [OURS, FOREIGN], [OURS, FOREIGN], [FOREIGN]]),
}


@pytest.mark.parametrize("name", SHOWS_LATE)
async def test_an_accepted_write_that_shows_late_beside_a_foreign_change_is_our_own(name: str):
    """The write's own change is reported neither as ALREADY_EXISTS nor as NOT_FOUND."""
    edit, reads = SHOWS_LATE[name]
    graph = ScriptedGraph(list(reads))

    writers = Writers({"t": graph}, deps(NoLedger(), patience=Patience(doubt=0.0, sleep=at_once), bounds=Bounds(60.0, 60.0)))
    written = await writers.carry_out(write(60), COMPLIANCE, "p", edit)
    await writers.close(1)
    assert FOREIGN in written.rows.rows
    assert graph.writes == 1
