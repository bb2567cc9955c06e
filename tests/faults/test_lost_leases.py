"""The lease on a policy is lost in every possible way: a gateway without the lease records nothing and so sends nothing, and
what it sent before is watched."""

import asyncio
import signal
from pathlib import Path

import pytest
from at_rest import at_rest, effects, groups, groups_of, removed, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, delete, group, guid
from killing import Victim
from postgres_server import Server as Postgres
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 1, "late_s": 4, "read_back_s": 10, "doubt_s": 0.3}
# What becomes of the lease while it is held, in SQL.
STOLEN = {
    "its row vanishes": "DELETE FROM leases",
    "it is free": "UPDATE leases SET owner = 0, until = 0",
    "it has passed": "UPDATE leases SET until = 0",
}


@pytest.fixture
def shared(live: Emulator, postgres: Postgres) -> dict:
    """The configuration that all gateways share."""
    live.world.graph.page_size = 100
    return {"graph": GRAPH, "ledger": {"url": postgres.new_database(), "lease_s": 1}}


@pytest.fixture(params=STOLEN)
def steal(request: pytest.FixtureRequest, shared: dict, postgres: Postgres):
    """Takes the lease away long before its holder renews it."""
    shared["ledger"]["lease_s"] = 60
    database = shared["ledger"]["url"].rpartition("/")[2]
    return lambda: asyncio.to_thread(postgres.execute, database, STOLEN[request.param])


async def fill(rig: Rig, *numbers: int) -> None:
    for number in numbers:
        assert isinstance(await create(rig, group(number)), Assignment)


async def test_a_lease_that_is_lost_before_the_write_costs_a_round_and_no_row(live: Emulator, shared: dict, steal):
    """One gateway has read and not written yet. The other gets the lease and writes."""
    async with gateway(live, **shared) as one, gateway(live, **shared) as other:
        await fill(one, 1)
        known = len(live.world.requests)
        live.world.faults.order([Fault(**LIST, delay_s=3)])
        slow = asyncio.create_task(create(one, group(2)))
        await until(lambda: len(live.world.requests) > known)
        await steal()
        assert isinstance(await create(other, group(3)), Assignment)
        assert not isinstance(await delete(other, f"{EMPTY}_{guid(1)}"), Failure)
        assert not slow.done()
        assert isinstance(await slow, Assignment)
        assert groups(live) == {guid(2), guid(3)}
        await at_rest(one)
    assert removed(live) == [guid(1)]
    assert groups(live) == {guid(2), guid(3)}


async def test_a_lease_that_is_lost_while_graph_works_is_put_right_by_the_watch(live: Emulator, shared: dict, steal):
    """The request is already sent, so no check can stop it."""
    async with gateway(live, **shared) as one, gateway(live, **shared) as other:
        await fill(one, 1)
        live.world.faults.order([Fault(**ASSIGN, delay_s=3)])
        known = len(one.writes())
        slow = asyncio.create_task(create(one, group(2)))
        await until(lambda: len(one.writes()) > known)
        await steal()
        assert isinstance(await create(other, group(3)), Assignment)
        assert not isinstance(await delete(other, f"{EMPTY}_{guid(1)}"), Failure)
        assert groups(live) == {guid(3)}
        assert isinstance(await slow, Assignment)
        await at_rest(one)
    assert groups(live) == {guid(2), guid(3)}
    swept = [e for e in effects(live) if guid(3) in groups_of(e.before) - groups_of(e.after)]
    assert len(swept) == 1, "it did its damage"


@pytest.mark.parametrize("while_it", ["reads", "writes"])
async def test_a_holder_that_is_paused_for_longer_than_its_lease(live: Emulator, shared: dict, tmp_path: Path, while_it: str):
    """SIGSTOP of a whole process, which does not notice the pause."""
    victim = Victim(live, shared["ledger"]["url"], tmp_path, graph=GRAPH)
    async with gateway(live, **shared) as other, victim.serving() as paused:
        await fill(paused, 1)
        known = len(live.world.requests)
        live.world.faults.order([Fault(**(LIST if while_it == "reads" else ASSIGN), delay_s=0.3)])
        slow = asyncio.create_task(create(paused, group(2), requestId="slow"))
        await until(lambda: [r for r in live.world.requests[known:] if (r["method"] == "POST") == (while_it == "writes")])
        victim.process.send_signal(signal.SIGSTOP)
        try:
            await until(lambda: live.world.requests[-1]["status"] is not None)
            if while_it == "writes":
                assert guid(2) in groups(live)
            await fill(other, 3)
            assert not isinstance(await delete(other, f"{EMPTY}_{guid(1)}"), Failure)
        finally:
            victim.process.send_signal(signal.SIGCONT)
        answer = await slow
        if isinstance(answer, Failure):
            # It was paused within a transaction, which the server does not keep open, or the other has taken its entry over.
            assert answer.reason == ("LEDGER_UNAVAILABLE" if while_it == "reads" else "OUTCOME_UNKNOWN")
            assert (guid(2) in groups(live)) == (while_it == "writes")
            await asyncio.sleep(answer.retry_after)
            answer = await create(paused, group(2), requestId="slow")
        assert isinstance(answer, Assignment), answer
        await fill(other, 4)
        await at_rest(other)
    assert groups(live) == {guid(2), guid(3), guid(4)}
    assert removed(live) == [guid(1)]


async def test_replicas_that_lose_their_leases_again_and_again_lose_no_row(live: Emulator, shared: dict, steal):
    """Leases are stolen while two replicas create and delete. Each caller goes on after an answer; an unknown outcome promises
    nothing."""
    wanted: dict[int, bool] = {}

    async def caller(rig: Rig, first: int) -> None:
        for number in range(first, first + 8):
            if isinstance(await create(rig, group(number)), Assignment):
                wanted[number] = True
            if number % 2:
                answer = await delete(rig, f"{EMPTY}_{guid(number)}")
                if not isinstance(answer, Failure):
                    wanted[number] = False
                elif answer.status == "UNKNOWN":
                    wanted.pop(number, None)

    async def thief() -> None:
        while True:
            await steal()
            await asyncio.sleep(0.05)

    live.world.faults.order([Fault(**ASSIGN, delay_s=0.2, times=12)])
    async with gateway(live, **shared) as one, gateway(live, **shared) as other:
        stealing = asyncio.create_task(thief())
        await asyncio.gather(*(caller(rig, 100 * n) for n, rig in enumerate((one, other, one, other))))
        stealing.cancel()
        await at_rest(one)
    assert [n for n, is_there in wanted.items() if is_there != (guid(n) in groups(live))] == []
    assert len(wanted) > 16
