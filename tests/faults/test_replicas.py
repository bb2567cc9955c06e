"""Two gateways for one tenant: with the lock in Redis, neither undoes the other's writes."""

import asyncio
from collections.abc import Iterator

import pytest
from edits_over_the_wire import create, created, delete, group, guid
from redis_server import NEEDS_REDIS, Server
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, WINDOWS

SETTINGS = {"create_route": "assign", "read_back_s": 10}


@pytest.fixture
def redis() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


async def both_write(live: Emulator, locks: dict) -> tuple[str, str]:
    """One's write is slow on its way; the other's comes meanwhile, unless it has to wait. The ids that both were told."""
    live.world.faults.order([Fault(method="POST", path="/assign$", delay_s=0.6)])
    async with gateway(live, graph=SETTINGS, locks=locks) as one, gateway(live, graph=SETTINGS, locks=locks) as other:
        slow = asyncio.create_task(create(one, group(1), WINDOWS))
        while not one.writes():
            await asyncio.sleep(0.01)
        quick = await create(other, group(2), WINDOWS)
        return (await slow).id, quick.id


@NEEDS_REDIS
async def test_two_replicas_with_one_lock_lose_nothing(live: Emulator, redis: Server):
    before = {row["id"] for row in live.world.intune.policies[WINDOWS].rows}
    told = await both_write(live, {"kind": "redis", "url": redis.url})
    assert {row["id"] for row in live.world.intune.policies[WINDOWS].rows} == before | set(told)


async def test_with_a_lock_each_one_undoes_what_the_other_was_told(live: Emulator):
    """Why several replicas need the one lock."""
    slow, quick = await both_write(live, {"kind": "process"})
    there = {row["id"] for row in live.world.intune.policies[WINDOWS].rows}
    assert slow in there
    assert quick not in there


@NEEDS_REDIS
async def test_many_writes_of_two_replicas_lose_nothing(live: Emulator, redis: Server):
    locks = {"kind": "redis", "url": redis.url}
    async with gateway(live, graph=SETTINGS, locks=locks) as one, gateway(live, graph=SETTINGS, locks=locks) as other:
        answers = await asyncio.gather(*(create((one, other)[i % 2], group(i)) for i in range(60)))
        gone = await asyncio.gather(*(delete((one, other)[i % 2], f"{EMPTY}_{guid(i)}") for i in range(30)))
    assert len(created(answers)) == 60
    assert not [answer for answer in gone if isinstance(answer, Failure)]
    assert {row["target"]["groupId"] for row in live.world.intune.policies[EMPTY].rows} == {guid(i) for i in range(30, 60)}


@NEEDS_REDIS
async def test_without_redis_writes_are_refused_and_reads_go_on(live: Emulator, redis: Server):
    async with gateway(live, graph=SETTINGS, locks={"kind": "redis", "url": redis.url}) as rig:
        assert created([await create(rig, group(0))])
        redis.stop()
        failure = await create(rig, group(1))
        assert (failure.status, failure.reason) == ("UNAVAILABLE", "LOCK_UNAVAILABLE")
        assert failure.retry_after
        page = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY})
        assert len(page.assignments) == 1
        assert len(rig.writes()) == 1
