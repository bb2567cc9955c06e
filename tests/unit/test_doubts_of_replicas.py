"""Gateways whose ledger or Graph does not confirm what it did, in virtual time: what one could not save, it does not hold
against what another has told a caller since."""

import asyncio
from dataclasses import replace

import pytest
from replicas import (
    BYSTANDER,
    NAME,
    A,
    B,
    F,
    a_world,
    add,
    foreign_of,
    groups_of,
    in_virtual_time,
    now,
    replica,
    row,
    target,
    write,
)
from virtual_time import run

from gateway.assignments import preview as preview_module
from gateway.assignments.edits import Add, Remove, ReplaceAll, Together
from gateway.assignments.writers import Writers
from gateway.errors import GatewayError
from gateway.sets import COMPLIANCE


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    in_virtual_time(monkeypatch)


async def remove(writers: Writers, group: str) -> None:
    await writers.carry_out(write(), COMPLIANCE, "p", Remove(f"p_{group}", target(group), allow_missing=True))


@pytest.mark.parametrize("unsaved", ["a change by others", "an acknowledgement"])
def test_a_removal_that_another_gateway_acknowledged_is_not_undone(unsaved: str):
    """One gateway saw a row while its ledger hiccuped. The row goes, and the other gateway tells a caller so, which writes
    nothing."""

    async def story() -> None:
        base, world = a_world()
        one, other = replica(base, world, 1), replica(base, world, 2)
        world.outcomes = ["late"]
        with pytest.raises(GatewayError):
            await add(one, A)
        if unsaved == "an acknowledgement":
            while world.flying:
                await asyncio.sleep(0.1)
        else:
            world.put((*world.rows, row(F)))
        base.hiccups = 1
        while base.hiccups or world.flying:
            await asyncio.sleep(0.1)
        gone = A if unsaved == "an acknowledgement" else F
        world.put(tuple(one for one in world.rows if one != row(gone)))
        await asyncio.sleep(1)
        await remove(other, gone)
        await asyncio.sleep(600)
        assert gone not in groups_of(world.rows)

    run(story())


def test_what_another_caller_has_written_since_is_no_part_of_an_edit_that_never_took_effect():
    """Two rows, of which the other caller creates one: the edit is carried out after all."""

    async def story() -> None:
        base, world = a_world()
        one = replica(base, world, 1)
        world.outcomes = ["never"]
        lost, both = write(400), Together((Add(target(A), "keep"), Add(target(B), "keep")), ("a", "b"))
        with pytest.raises(GatewayError):
            await one.carry_out(lost, COMPLIANCE, "p", both)
        await asyncio.sleep(170)
        await add(one, A)
        await asyncio.sleep(20)
        await one.carry_out(lost, COMPLIANCE, "p", both)
        assert groups_of(world.rows) == {BYSTANDER, A, B}

    run(story())


def test_a_change_by_others_is_recorded_once_although_the_ledger_did_not_confirm_it():
    async def story() -> None:
        base, world = a_world()
        one = replica(base, world, 1)
        adding = asyncio.get_running_loop().create_task(add(one, A))
        while A not in groups_of(world.rows):
            await asyncio.sleep(0.01)
        world.put((*world.rows, row(F)))
        base.mute = 1
        await adding
        await asyncio.sleep(600)
        assert [r.touched.decode().count(F) > 0 for _, r in foreign_of(base)] == [True]

    run(story())


@pytest.mark.parametrize("after_s", [0.0, 600.0])
def test_what_another_gateway_took_for_a_refused_write_is_known_and_settled(after_s: float):
    """Graph refused it, and the ledger could not record that. Others add the same row, and the other gateway acknowledges it.
    Soon after, a stale read does not show it."""

    async def story() -> None:
        base, world = a_world()
        one, other = replica(base, world, 1), replica(base, world, 2)
        world.outcomes, base.hiccups = ["refused"], 1
        with pytest.raises(GatewayError):
            await one.carry_out(write(0.2), COMPLIANCE, "p", Add(target(A)))
        before = world.rows
        world.put((*world.rows, row(A)))
        with pytest.raises(GatewayError):
            await add(other, A)
        await asyncio.sleep(after_s)
        world.frozen = before if not after_s else None
        asyncio.get_running_loop().call_later(0.5, setattr, world, "frozen", None)
        await remove(one, A)
        await asyncio.sleep(3600)
        assert A not in groups_of(world.rows)
        assert len(one) == len(other) == len(base.unsettled()) == 0

    run(story())


def test_what_graph_accepted_and_does_not_show_is_called_so():
    async def story() -> None:
        base, world = a_world()
        one = replica(base, world, 1, read_back=2.0)
        world.frozen = world.rows
        with pytest.raises(GatewayError, match="Graph accepted the write"):
            await add(one, A)

    run(story())


@pytest.mark.parametrize("gone", [True, False], ids=["the policy is gone", "others have added a part"])
def test_of_a_refused_write_nobody_says_later_that_it_may_have_been_carried_out(gone: bool, monkeypatch):
    """Graph refused it, and the gateway could say so only to the ledger."""

    async def story() -> str:
        base, world = a_world()
        one = replica(base, world, 1)
        world.outcomes = ["refused"]
        edit, asked, again, seen = Together((Add(target(A)), Add(target(B))), ("a", "b")), write(0.2), write(), []
        monkeypatch.setattr(asked, "sent", lambda number, entry: seen.append(replace(entry, revision=number)))
        with pytest.raises(GatewayError):
            await one.carry_out(asked, COMPLIANCE, "p", edit)
        again.entry = seen[0]  # as the ledger has it
        world.gone = gone
        world.put((*world.rows, row(A)))
        with pytest.raises(GatewayError) as told:
            await one.carry_out(again, COMPLIANCE, "p", edit)
        return told.value.reason.name

    assert run(story()) == ("NOT_FOUND" if gone else "ALREADY_ASSIGNED")


def test_who_asks_just_before_the_outcome_can_be_known_is_told_to_wait_for_some_time():
    """RetryInfo and grpc-retry-pushback-ms count milliseconds."""

    async def story() -> float:
        base, world = a_world()
        one, asked = replica(base, world, 1), write(400)
        world.outcomes = ["never"]
        left = 1.0
        while left > 0.01:
            begun = now()
            with pytest.raises(GatewayError) as told:
                await one.carry_out(asked, COMPLIANCE, "p", Add(target(A)))
            left = told.value.retry_after or 0.0
            await asyncio.sleep(left - (now() - begun) - 0.0002)
        return left

    assert run(story()) >= 0.001


def test_a_caller_that_leaves_while_its_preview_is_merged_fails_nobody_else(monkeypatch: pytest.MonkeyPatch):
    async def story() -> list[object]:
        base, world = a_world()
        one, loop = replica(base, world, 1), asyncio.get_running_loop()
        many = ReplaceAll(tuple(target(f"{i:08x}-0000-4000-8000-000000000000") for i in range(300)))
        merging = preview_module.merging
        asked = loop.create_task(one.preview(NAME, COMPLIANCE, many, loop.time() + 60))

        def merged(*args):
            loop.call_soon(asked.cancel)
            return merging(*args)

        monkeypatch.setattr(preview_module, "merging", merged)
        await asyncio.sleep(0.01)
        others = [
            loop.create_task(add(one, A)),
            loop.create_task(one.preview(NAME, COMPLIANCE, Add(target(B)), loop.time() + 60)),
        ]
        return await asyncio.gather(*others, return_exceptions=True)

    assert not [found for found in run(story()) if isinstance(found, BaseException)]
