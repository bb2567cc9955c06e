"""Several gateways for one tenant share one PostgreSQL: none undoes the others' writes, and each gets its turn."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from edits_over_the_wire import create, created, delete, group, guid
from postgres_server import Server as Postgres
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, WINDOWS

SETTINGS = {"create_route": "assign", "read_back_s": 10}


@pytest.fixture
def shared(postgres: Postgres) -> dict:
    return {"graph": SETTINGS, "ledger": {"url": postgres.new_database()}}


async def both_write(live: Emulator, one_settings: dict, other_settings: dict, seconds: float | None) -> tuple[str, str]:
    """Two gateways write. The first write takes effect when the second has ended, or has waited `seconds`. Returns both IDs."""
    arrives = asyncio.Event()
    live.world.faults.order([Fault(method="POST", path="/assign$", until=arrives)])
    async with gateway(live, **one_settings) as one, gateway(live, **other_settings) as other:
        slow = asyncio.create_task(create(one, group(1), WINDOWS))
        while not one.writes():
            await asyncio.sleep(0.01)
        quick = asyncio.create_task(create(other, group(2), WINDOWS))
        await asyncio.wait([quick], timeout=seconds)
        arrives.set()
        return (await slow).id, (await quick).id


async def test_two_replicas_with_one_ledger_lose_nothing(live: Emulator, shared: dict):
    before = {row["id"] for row in live.world.intune.policies[WINDOWS].rows}
    told = await both_write(live, shared, shared, 0.6)
    assert {row["id"] for row in live.world.intune.policies[WINDOWS].rows} == before | set(told)


async def test_with_a_ledger_each_one_undoes_what_the_other_was_told(live: Emulator):
    """Why replicas need one ledger: with a ledger each, they undo acknowledged writes."""
    slow, quick = await both_write(live, {"graph": SETTINGS}, {"graph": SETTINGS}, None)
    there = {row["id"] for row in live.world.intune.policies[WINDOWS].rows}
    assert slow in there
    assert quick not in there


async def test_many_writes_of_two_replicas_lose_nothing(live: Emulator, shared: dict):
    async with gateway(live, **shared) as one, gateway(live, **shared) as other:
        answers = await asyncio.gather(*(create((one, other)[i % 2], group(i)) for i in range(60)))
        gone = await asyncio.gather(*(delete((one, other)[i % 2], f"{EMPTY}_{guid(i)}") for i in range(30)))
    assert len(created(answers)) == 60
    assert not [answer for answer in gone if isinstance(answer, Failure)]
    assert {row["target"]["groupId"] for row in live.world.intune.policies[EMPTY].rows} == {guid(i) for i in range(30, 60)}


async def test_each_of_three_replicas_gets_its_turn_beside_a_busy_one(live: Emulator, shared: dict):
    """The busy replica always has waiting edits. A single call at another waits only for the running round and those queued
    before it."""
    live.world.graph.page_size = 1000
    async with AsyncExitStack() as stack:
        busy, *others = [await stack.enter_async_context(gateway(live, **shared)) for _ in range(3)]
        numbers, over = iter(range(100, 100_000)), asyncio.Event()

        async def keep_busy(after: float) -> int:
            await asyncio.sleep(after)
            done = 0
            while not over.is_set():
                done += isinstance(await create(busy, group(next(numbers))), Failure) is False
            return done

        # Not in step, and with a slow Graph: when a round ends, there are always edits that came during it.
        live.world.faults.order([Fault(method="POST", path="/assign$", delay_s=0.15, times=100_000)])
        at_work = [asyncio.create_task(keep_busy(0.02 * n)) for n in range(30)]
        await asyncio.sleep(0.6)
        for turn in range(5):
            before = len(live.world.intune.effects)
            answers = await asyncio.gather(*(create(rig, group(10 * turn + n)) for n, rig in enumerate(others)))
            assert len(created(answers)) == 2
            assert len(live.world.intune.effects) - before <= 8, "a few turns, however busy the other is"
        over.set()
        assert sum(await asyncio.gather(*at_work)) > 10
