"""Graph answers a write with an error and carries it out seconds later: no change that is acknowledged meanwhile is lost, and
the request ID stays taken until the write can no longer take effect."""

import asyncio
from typing import Any

import pytest
from at_rest import added, at_rest, effects, groups, groups_of, repaired, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, create, delete, group, guid
from rig import Failure, Rig, at_this_pace, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

LATE: dict[str, dict[str, Any]] = {"504": {"status": 504}, "500 of Intune": {"status": 500}, "no answer": {"cut": "before"}}
FOREIGN = {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(99)}}


@pytest.fixture(params=LATE)
def late(request: pytest.FixtureRequest, live: Emulator) -> Emulator:
    """The first write is carried out three seconds after its answer."""
    live.world.graph.page_size = 100
    live.world.faults.order([landing(3, **LATE[request.param])])
    return live


def landing(late_s: float, **answer: Any) -> Fault:
    """A fault: the write is carried out `late_s` seconds after its answer, or later on a slow machine, so that a test can do
    much before."""
    return Fault(**ASSIGN, **answer, effect="late", late_s=at_this_pace(late_s))


def graph(late_s: float = 5) -> dict[str, Any]:
    return {"create_route": "assign", "lag_s": 1, "late_s": at_this_pace(late_s), "doubt_s": 0.3}


def is_unknown(answer: object) -> bool:
    return isinstance(answer, Failure) and (answer.status, answer.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")


async def test_what_was_acknowledged_before_a_late_write_lands_is_there_after_it(late: Emulator):
    faults, late.world.faults._faults = late.world.faults._faults, []
    async with gateway(late, graph=graph()) as rig:
        assert isinstance(await create(rig, group(1), requestId="goes"), Assignment)
        late.world.faults.order(faults)
        unknown = await create(rig, group(0), requestId="late")
        assert late.world.late == 1
        assert isinstance(await create(rig, group(2), requestId="stays"), Assignment)
        assert not isinstance(await delete(rig, f"{EMPTY}_{guid(1)}"), Failure)
        assert isinstance(await create(rig, group(3), requestId="stays-too"), Assignment)
        assert groups(late) - {guid(0)} == {guid(2), guid(3)}
        await at_rest(rig)
        assert groups(late) - {guid(0)} == {guid(2), guid(3)}
        swept = [e for e in effects(late) if groups_of(e.before) - groups_of(e.after) - {guid(1)}]
        assert len(swept) == 1, "the late write did its damage"
        assert is_unknown(unknown)
        assert unknown.retry_after > 0
        assert repaired(rig) >= {"stays", "stays-too"}
        [entry] = rig.entries(request_id="stays")
        assert entry.outcome == "OK"
        again = await create(rig, group(2), requestId="stays")
        assert isinstance(again, Assignment), "replayed"


async def test_after_a_repair_the_watch_goes_on(live: Emulator):
    """Of two late writes, the second takes effect after the repair of what the first undid."""
    live.world.graph.page_size = 100
    live.world.faults.order([landing(late_s, status=504) for late_s in (2, 7)])
    async with gateway(live, graph=graph(9)) as rig:
        assert is_unknown(await create(rig, group(0)))
        assert is_unknown(await create(rig, group(1)))
        assert isinstance(await create(rig, group(2), requestId="kept"), Assignment)
        await until(lambda: live.world.late == 1 and guid(2) in groups(live) and repaired(rig))
        await until(lambda: not live.world.late)
        assert guid(2) not in groups(live)
        await at_rest(rig, at_this_pace(12))  # entries of an unknown outcome are looked at again after 30 s, and would help
        assert groups(live) >= {guid(2)}
    assert added(live, guid(2)) == 3


async def test_a_foreign_row_that_a_late_write_swept_away_is_put_back(late: Emulator):
    async with gateway(late, graph=graph()) as rig:
        unknown = await create(rig, group(0))
        late.world.intune.set_rows(EMPTY, [FOREIGN])
        assert isinstance(await create(rig, group(2)), Assignment)
        assert groups(late) == {guid(99), guid(2)}
        await at_rest(rig)
    assert groups(late) - {guid(0)} == {guid(99), guid(2)}
    assert is_unknown(unknown)
    assert [guid(99) in groups_of(e.after) for e in effects(late)].count(False) == 1, "it was gone for a moment"


async def test_the_request_id_of_a_late_write_stays_taken_and_gets_its_answer(late: Emulator):
    async with gateway(late, graph=graph()) as rig:
        while isinstance(answer := await create(rig, group(0), requestId="once"), Failure):
            assert is_unknown(answer)
            await asyncio.sleep(0.2)
        assert not late.world.late, "not before"
        await at_rest(rig)
        assert len(rig.writes()) == 1
        [entry] = rig.entries()
        assert (entry.outcome, entry.assignment) == ("OK", answer.id)
    assert added(late, guid(0)) == 1


async def test_a_write_that_never_lands_is_carried_out_when_it_can_no_more(live: Emulator):
    live.world.faults.order([Fault(**ASSIGN, status=504)])
    async with gateway(live, graph=graph(2)) as rig:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert is_unknown(await create(rig, group(0), requestId="once"))
        while is_unknown(answer := await create(rig, group(0), requestId="once")):
            assert answer.retry_after > 0
            assert len(rig.writes()) == 1
            await asyncio.sleep(0.1)
        assert isinstance(answer, Assignment), answer
        assert loop.time() - began > 2.9, "late_s and lag_s have passed"
        assert len(rig.writes()) == 2
        await at_rest(rig)
    assert added(live, guid(0)) == 1


async def test_without_a_caller_it_becomes_not_carried_out_and_not_before(live: Emulator):
    """The gateway ends meanwhile; the next gateway finds out the outcome without a request."""
    live.world.faults.order([Fault(**ASSIGN, status=504)])
    async with gateway(live, graph=graph(3)) as rig:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert is_unknown(await create(rig, group(0), requestId="once"))
    async with gateway(live, graph=graph(3), ledger={"url": rig.ledger.url}) as rig:
        while loop.time() - began < 2.5:
            assert {entry.outcome for entry in rig.entries()} <= {"", "OUTCOME_UNKNOWN"}
            await asyncio.sleep(0.05)
        answer = await create(rig, group(0), requestId="once")
        assert is_unknown(answer) or answer.reason == "REQUEST_IN_PROGRESS", answer
        assert len(rig.writes()) == 1


async def test_a_wish_that_holds_is_ok_although_its_late_write_may_still_land(late: Emulator):
    """Another write has made the caller's row, so the caller gets OK; the late write is watched all the same."""
    async with gateway(late, graph=graph()) as rig:
        assert is_unknown(await create(rig, group(0), requestId="late"))
        assert isinstance(await create(rig, group(0), requestId="other"), Assignment)
        assert isinstance(await create(rig, group(0), requestId="late"), Assignment)
        assert isinstance(await create(rig, group(1), requestId="kept"), Assignment)
        assert late.world.late == 1
        await at_rest(rig)
    assert groups(late) == {guid(0), guid(1)}
    assert guid(1) not in groups_of(next(e for e in effects(late) if groups_of(e.before) - groups_of(e.after)).after)


async def test_nothing_is_lost_however_many_writes_come_late(live: Emulator):
    """Creates and deletes in turn, of which every third write is late: at rest every acknowledged change is there."""
    live.world.graph.page_size = 100
    wanted: dict[int, bool] = {}
    maybe: set[int] = set()

    async def caller(rig: Rig, first: int) -> None:
        for number in range(first, first + 6):
            answer = await create(rig, group(number))
            (maybe.add if is_unknown(answer) else lambda n: wanted.update({n: True}))(number)
            if number % 3 == 0 and number in wanted:
                answer = await delete(rig, f"{EMPTY}_{guid(number)}")
                if is_unknown(answer):
                    maybe.add(number)
                    del wanted[number]
                elif not isinstance(answer, Failure):
                    wanted[number] = False

    async with gateway(live, graph=graph()) as rig:
        live.world.faults.order([Fault(**ASSIGN), Fault(**ASSIGN), landing(2.5, status=504)] * 3)
        await asyncio.gather(*(caller(rig, 100 * n) for n in range(3)))
        await until(lambda: not live.world.faults.waiting or not live.world.late)
        await at_rest(rig)
    there = groups(live)
    assert [n for n, is_there in wanted.items() if is_there != (guid(n) in there)] == []
    assert there <= {guid(n) for n in (*wanted, *maybe)}
    assert wanted
    assert maybe
