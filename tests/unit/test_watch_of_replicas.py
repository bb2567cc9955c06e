"""The watches of one gateway and of several, in virtual time: what a caller was told is in the ledger before another gateway
writes, and what others change is recorded."""

import asyncio

import pytest
from replicas import (
    BYSTANDER,
    NAME,
    A,
    B,
    C,
    Database,
    F,
    a_world,
    add,
    foreign_of,
    groups_of,
    in_virtual_time,
    replica,
    row,
    target,
)
from simulated_replicas import lived
from virtual_time import run

from gateway.assignments.edits import Add
from gateway.assignments.memory import Memory
from gateway.errors import GatewayError
from gateway.sets import COMPLIANCE


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    in_virtual_time(monkeypatch)


def recorded(base: Database) -> str:
    return " ".join(r.touched.decode() for _, r in foreign_of(base))


def test_what_others_did_is_recorded_by_the_next_look_after_the_ledger_was_down():
    """Before another gateway writes, which could no longer tell it from what was there before."""

    async def story() -> None:
        base, world = a_world()
        one, other = replica(base, world, 1), replica(base, world, 2)
        await add(one, A)
        world.put((*world.rows, row(F)))
        base.hiccups = 1
        await asyncio.sleep(22)  # two looks
        assert F in recorded(base)
        await add(other, B)
        await asyncio.sleep(600)
        assert F in recorded(base)
        assert len(one) == len(other) == 0

    run(story())


def test_what_others_did_is_recorded_after_a_hand_over():
    async def story() -> None:
        base, world = a_world()
        one, other = replica(base, world, 1), replica(base, world, 2)
        await add(one, A)
        await asyncio.sleep(2)
        await add(other, B)
        await asyncio.sleep(10)
        world.put((*world.rows, row(F)))
        await asyncio.sleep(20)
        await add(other, C)
        await asyncio.sleep(600)
        assert F in recorded(base)

    run(story())


def test_what_graph_answered_is_recorded_before_its_caller_is_told():
    """A creation by the documented route that cannot be read back."""

    async def story() -> None:
        base, world = a_world()
        one = replica(base, world, 1, "documented")
        posted = asyncio.get_running_loop().create_task(add(one, A))
        while A not in groups_of(world.rows):
            await asyncio.sleep(0.01)
        world.failing = True
        await posted
        assert base.revisions[1].state == "shown"

    run(story())


@pytest.mark.parametrize("after", [2, 7])
def test_what_a_caller_was_told_is_not_undone_by_a_gateway_that_does_not_know_of_it(after: float):
    """The same creation, and a stale read of another gateway. after: before or after the first look of the watch."""

    async def story() -> None:
        base, world = a_world()
        one, other = replica(base, world, 1, "documented"), replica(base, world, 2)
        before = world.rows
        posted = asyncio.get_running_loop().create_task(add(one, A))
        while A not in groups_of(world.rows):
            await asyncio.sleep(0.01)
        world.failing = True
        await posted
        world.failing = False
        await asyncio.sleep(after)
        world.frozen = before
        asyncio.get_running_loop().call_later(10, setattr, world, "frozen", None)
        await add(other, B)
        await asyncio.sleep(600)
        assert groups_of(world.rows) == {BYSTANDER, A, B}

    run(story())


def test_a_preview_that_comes_while_another_is_looked_for_is_answered_at_the_end():
    async def story() -> list[BaseException | object]:
        base, world = a_world()
        one, loop = replica(base, world, 1), asyncio.get_running_loop()
        asked = []
        for group in (A, B):
            asked.append(loop.create_task(one.preview(NAME, COMPLIANCE, Add(target(group)), loop.time() + 60)))
            await asyncio.sleep(0.01)
        await one.close(0)
        async with asyncio.timeout(60):
            return await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(found, GatewayError) for found in run(story())] == [True, True]


def test_requests_of_a_watch_that_another_gateway_took_over():
    async def story() -> int:
        base, world = a_world()
        one, other = replica(base, world, 1), replica(base, world, 2)
        await add(one, A)
        await asyncio.sleep(2)
        await add(other, B)
        reads = world.reads
        await asyncio.sleep(600)
        return world.reads - reads

    assert run(story()) == 3


@pytest.mark.parametrize("route", ["assign", "mixed"])
def test_what_was_acknowledged_is_there_at_rest(route: str):
    """With Graph's and the ledger's troubles, previews, and gateways that are killed."""
    assert {seed: wrong for seed in range(60) if (wrong := run(lived(seed, route)))} == {}


@pytest.mark.parametrize("rule", ["_we_undid", "_certain_at"])
def test_without_a_rule_something_is_lost(rule: str, monkeypatch: pytest.MonkeyPatch):
    """So the stories are harsh enough: without repairs, and without waiting for a look that cannot be stale."""
    monkeypatch.setattr(Memory, rule, {"_we_undid": lambda *_: False, "_certain_at": lambda *_: float("-inf")}[rule])
    assert any(run(lived(seed, "mixed" if seed % 2 == 0 else "assign")) for seed in range(200))
