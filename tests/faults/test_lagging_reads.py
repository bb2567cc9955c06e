"""Graph's reads lag behind its writes on one of two replicas: no acknowledged change is lost."""

import asyncio

import pytest
from at_rest import added, at_rest, effects, groups, groups_of, removed
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import create, delete, group, guid
from postgres_server import Server as Postgres
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 2.5, "read_back_s": 10}


@pytest.fixture
def lagging(live: Emulator) -> Emulator:
    """Every other read shows the state 1.5 seconds ago."""
    live.world.graph.page_size = 100
    live.world.intune.lag, live.world.intune.hops = 1.5, True
    return live


async def test_six_rows_created_one_after_the_other_are_there(lagging: Emulator):
    lagging.world.intune.lag = 3
    async with gateway(lagging, graph=GRAPH | {"lag_s": 5}) as rig:
        for number in range(6):
            assert isinstance(await create(rig, group(number)), Assignment)
            assert groups(lagging) == {guid(n) for n in range(number + 1)}, "not only at the end"
        await at_rest(rig)
    assert groups(lagging) == {guid(n) for n in range(6)}
    assert removed(lagging) == []
    assert len(effects(lagging)) == 6, "nothing had to be put right"


async def test_what_was_deleted_does_not_come_back(lagging: Emulator):
    async with gateway(lagging, graph=GRAPH) as rig:
        for number in range(4):
            assert isinstance(await create(rig, group(number)), Assignment)
        for number in range(2):
            assert not isinstance(await delete(rig, f"{EMPTY}_{guid(number)}"), Failure)
            assert isinstance(await create(rig, group(10 + number)), Assignment)
        await at_rest(rig)
    assert groups(lagging) == {guid(n) for n in (2, 3, 10, 11)}
    assert removed(lagging) == [guid(0), guid(1)]
    assert [added(lagging, guid(n)) for n in (0, 1, 2, 3, 10, 11)] == [1] * 6


async def test_a_filter_that_was_set_stays_set(lagging: Emulator):
    """A merge into a stale read would keep the row and restore its old filter."""
    wanted = {
        "deviceAndAppManagementAssignmentFilterId": guid(7),
        "deviceAndAppManagementAssignmentFilterType": "DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE",
    }
    async with gateway(lagging, graph=GRAPH) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        assert isinstance(await create(rig, group(0) | wanted, ifExists="IF_EXISTS_REPLACE"), Assignment)
        assert isinstance(await create(rig, group(1)), Assignment)
        await at_rest(rig)
    found = {row["target"]["groupId"]: row["target"] for row in lagging.world.intune.policies[EMPTY].rows}
    assert found.keys() == {guid(0), guid(1)}
    assert found[guid(0)]["deviceAndAppManagementAssignmentFilterId"] == guid(7)
    with_filter = [e for e in effects(lagging) if "'include'" in repr(e.before)]
    assert with_filter
    assert all("'include'" in repr(e.after) for e in with_filter)


@pytest.mark.parametrize("hops", [True, False])
async def test_the_next_life_of_the_gateway_remembers(lagging: Emulator, hops: bool):
    lagging.world.intune.hops = hops
    ledger: dict = {}
    for number in range(4):
        async with gateway(lagging, graph=GRAPH, **ledger) as rig:
            ledger = {"ledger": {"url": rig.ledger.url}}
            assert isinstance(await create(rig, group(number)), Assignment)
    assert groups(lagging) == {guid(n) for n in range(4)}
    assert removed(lagging) == []


async def test_replicas_remember_for_each_other(lagging: Emulator, postgres: Postgres):
    shared = {"graph": GRAPH, "ledger": {"url": postgres.new_database()}}
    async with gateway(lagging, **shared) as one, gateway(lagging, **shared) as other:
        for number in range(6):
            assert isinstance(await create((one, other)[number % 2], group(number)), Assignment)
        await at_rest(one)
    assert groups(lagging) == {guid(n) for n in range(6)}
    assert removed(lagging) == []


async def test_many_at_once_through_both_replicas(lagging: Emulator, postgres: Postgres):
    shared = {"graph": GRAPH, "ledger": {"url": postgres.new_database()}}
    told: set[str] = set()

    async def insist(rig, number: int) -> None:
        answer = await create(rig, group(number))
        assert isinstance(answer, Assignment), answer
        told.add(guid(number))
        assert told <= groups(lagging)

    async with gateway(lagging, **shared) as one, gateway(lagging, **shared) as other:
        await asyncio.gather(*(insist((one, other)[number % 2], number) for number in range(24)))
        await at_rest(one)
    assert groups(lagging) == told
    assert all(groups_of(e.before) <= groups_of(e.after) for e in effects(lagging))
