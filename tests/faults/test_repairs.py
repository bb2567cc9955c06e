"""What a late write of the gateway undoes is restored, whatever is requested meanwhile, and is watched until it is settled."""

import asyncio

from actors import COLLECTION
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, create, group
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY
from gateway.ledger.sql_ledger import SqlLedger

GRAPH = {"create_route": "assign", "read_back_s": 5, "doubt_s": 0.1, "lag_s": 0.3, "late_s": 4.0}


def groups(rig: Rig) -> set[str]:
    return {row["target"]["groupId"][:8] for row in rig.rows(EMPTY)}


async def undone(rig: Rig) -> None:
    """Group 1 is created late, which undoes the acknowledged creation of group 2."""
    rig.emulator.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=2.5)])
    answer = await create(rig, group(1), requestId="late")
    assert (answer.reason, len(rig.rows(EMPTY))) == ("OUTCOME_UNKNOWN", 0)
    assert isinstance(await create(rig, group(2), requestId="early"), Assignment)
    assert groups(rig) == {"00000002"}
    while rig.emulator.world.late:
        await asyncio.sleep(0.01)
    assert groups(rig) == {"00000001"}


async def test_a_set_that_graph_refuses_for_another_edit_does_not_end_the_repair(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        await undone(rig)
        bad = await create(rig, COLLECTION)
        assert isinstance(bad, Failure)
        assert bad.status == "INVALID_ARGUMENT"
        assert groups(rig) == {"00000001", "00000002"}


async def test_a_repair_of_the_watch_is_watched_itself(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        await undone(rig)
        async with asyncio.timeout(20):
            while groups(rig) != {"00000001", "00000002"}:
                await asyncio.sleep(0.05)
            while await unsettled(rig):
                await asyncio.sleep(0.05)


async def unsettled(rig: Rig) -> list[str]:
    with SqlLedger(rig.ledger)._reading() as connection:
        rows = connection.exec_driver_sql("SELECT state FROM revisions WHERE state NOT IN ('settled', 'void')")
        return [row.state for row in rows]
