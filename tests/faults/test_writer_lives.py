"""Writers come and go, and write only under a sure lock. With a fake Graph."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from edits_over_the_wire import guid
from fake_ledger import NoLedger

from gateway.assignments.edits import Add, Remove
from gateway.assignments.locks import InProcessLocks
from gateway.assignments.patience import Patience
from gateway.assignments.routes import REMEMBER_MISSING_S, Routes
from gateway.assignments.writer import Tools
from gateway.assignments.writers import Writers
from gateway.call import Call
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Answer
from gateway.graph.quota import Quota
from gateway.operations import OPERATIONS


class FakeGraph:
    """A tenant of policies that are all empty and remember what was assigned."""

    def __init__(self) -> None:
        self.rows: dict[str, list] = {}
        self.quota = Quota(10**9, 10**9)

    async def send(self, method: str, path: str, body, **_):
        policy = path.split("/")[-2]
        if method == "POST":
            self.rows[policy] = [{"id": f"{policy}_x", "source": "direct", **row} for row in body["assignments"]]
            return Answer(204, None)
        return Answer(200, {"value": self.rows.get(policy, [])})


def call_of(deadline: float) -> Call:
    return Call(OPERATIONS["CreateComplianceAssignment"], decode=lambda: None, metadata={}, deadline=deadline, tenant="t")


async def test_ten_thousand_policies_touched_once_leave_nothing_behind():
    locks = InProcessLocks()
    writers = Writers({"t": FakeGraph()}, Tools(Routes("assign", lambda: 0.0), locks, Patience(), NoLedger()))
    deadline = asyncio.get_running_loop().time() + 60
    target = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
    for start in range(0, 10_000, 500):
        await asyncio.gather(*(writers.carry_out(call_of(deadline), f"p{i}", Add(target)) for i in range(start, start + 500)))
    await asyncio.sleep(0)
    assert (len(writers), len(locks._locks)) == (0, 0)
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("writer")]


class LostLocks(InProcessLocks):
    """The lease is lost right after it was given."""

    @asynccontextmanager
    async def hold(self, name: str):
        yield SimpleNamespace(held=lambda: False)


class NoLocks(InProcessLocks):
    """The lock service is down."""

    @asynccontextmanager
    async def hold(self, name: str):
        raise GatewayError(Reason.LOCK_UNAVAILABLE, retry_after=1.0)
        yield


@pytest.mark.parametrize("route", ["assign", "documented"])
@pytest.mark.parametrize(("locks", "reason"), [(LostLocks(), Reason.LOCK_LOST), (NoLocks(), Reason.LOCK_UNAVAILABLE)])
async def test_without_a_sure_lock_nothing_is_written(locks, reason: Reason, route: str):
    graph = FakeGraph()
    writers = Writers({"t": graph}, Tools(Routes(route, lambda: 0.0), locks, Patience(), NoLedger()))
    deadline = asyncio.get_running_loop().time() + 60
    edits = [Add({"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(i)}) for i in range(3)]
    results = await asyncio.gather(*(writers.carry_out(call_of(deadline), "p", e) for e in edits), return_exceptions=True)
    assert [r.reason for r in results] == [reason] * 3
    assert not graph.rows
    assert len(writers) == 0


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
    """Reads come as written down (one before a write, two looks after it); the last one again and again."""

    def __init__(self, reads: list) -> None:
        super().__init__()
        self.reads, self.writes = reads, 0

    async def send(self, method: str, path: str, body, **_):
        if method == "POST":
            self.writes += 1
            return Answer(204, None)
        return Answer(200, {"value": self.reads.pop(0) if len(self.reads) > 1 else self.reads[0]})


def row(number: int) -> dict:
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(number)}
    return {"id": f"p_{guid(number)}", "source": "direct", "target": target}


OURS, FOREIGN = row(1), row(2)
SHOWS_LATE = {
    "create": (Add(OURS["target"]), [[], [FOREIGN], [FOREIGN], [OURS, FOREIGN]]),
    "delete": (Remove(OURS["id"]), [[OURS], [OURS, FOREIGN], [OURS, FOREIGN], [FOREIGN]]),
}


@pytest.mark.parametrize("name", SHOWS_LATE)
async def test_an_accepted_write_that_shows_late_beside_a_foreign_change_is_our_own(name: str):
    """No ALREADY_EXISTS and no NOT_FOUND for what the write itself has done."""
    edit, reads = SHOWS_LATE[name]
    graph = ScriptedGraph(list(reads))

    async def at_once(_: float) -> None:
        pass

    patience = Patience(read_back=0.0, doubt=0.0, sleep=at_once)
    writers = Writers({"t": graph}, Tools(Routes("assign", lambda: 0.0), InProcessLocks(), patience, NoLedger()))
    written = await writers.carry_out(call_of(asyncio.get_running_loop().time() + 60), "p", edit)
    assert FOREIGN in written.rows
    assert graph.writes == 1
