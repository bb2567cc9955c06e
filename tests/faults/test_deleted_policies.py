"""Others delete a policy while the gateway writes it, or Graph says so for a moment."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from at_rest import at_rest, effects, unsettled, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, group
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 0.5, "late_s": 1, "doubt_s": 0.3, "read_back_s": 1}


async def asked(rig: Rig, kind: str) -> Any:
    if kind == "one":
        return await create(rig, group(0), requestId="once")
    edits = [{"create": {"assignment": {"target": group(number)}}} for number in range(2)]
    edits += [{"delete": {"target": group(0)}}] if kind == "a move" else []
    fields = {"deviceCompliancePolicyId": EMPTY, "requestId": "once", "edits": edits[kind == "a move" :]}
    return await rig.call("EditComplianceAssignments", fields)


async def written_and_deleted(rig: Rig, kind: str = "one", **fault: Any) -> None:
    """The policy is deleted before what was written can be read back."""
    world, looks = rig.emulator.world, asyncio.Event()
    world.graph.page_size = 100
    if kind == "a move":
        assert isinstance(await create(rig, group(0)), Assignment)
        await at_rest(rig)
    world.faults.order([Fault(**LIST), Fault(**ASSIGN, **fault), Fault(**LIST, until=looks)])
    writing, known = asyncio.create_task(asked(rig, kind)), len(effects(rig.emulator))
    await until(lambda: len(effects(rig.emulator)) > known)
    del world.intune.policies[EMPTY]
    looks.set()
    assert (await writing).reason == "OUTCOME_UNKNOWN"


async def test_a_read_that_does_not_find_the_policy_for_a_moment_is_no_answer(live: Emulator):
    """A replica of Graph's that does not know the policy yet. The write was carried out."""
    async with gateway(live, graph=GRAPH) as rig:
        gone = {"error": {"code": "ResourceNotFound", "message": "There is no such policy."}}
        live.world.faults.order([Fault(**LIST), Fault(**LIST, status=404, body=gone)])
        assert isinstance(await create(rig, group(0)), Assignment)


ASKED = [("the same gateway", kind, fault) for kind in ("one", "several", "a move") for fault in ({}, {"cut": "after"})]


@pytest.mark.parametrize(("asked_of", "kind", "fault"), [*ASKED, ("nobody", "one", {"cut": "after"})])
async def test_of_a_deleted_policy(live: Emulator, tmp_path: Path, asked_of: str, kind: str, fault: dict):
    """What was sent may have been carried out: nobody is told that it was refused."""
    sections = {"graph": GRAPH, "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db", "lease_s": 1}}
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(gateway(live, **sections))
        await written_and_deleted(rig, kind, **fault)
        if asked_of == "nobody":
            await stack.aclose()
            rig = await stack.enter_async_context(gateway(live, **sections))
            await until(lambda: rig.entries(request_id="once")[0].state == "finished")
        async with asyncio.timeout(30):
            while (answer := await asked(rig, kind)).reason in ("OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS"):
                await asyncio.sleep(0.1)
        assert (answer.reason, "deleted" in answer.message) == ("SET_CHANGED", True)
        [entry] = rig.entries(request_id="once")
        assert (entry.state, entry.outcome, entry.changes) == ("finished", "SET_CHANGED", None)


async def test_the_watch_of_a_deleted_policy_ends(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        await written_and_deleted(rig)
        await until(lambda: not unsettled(rig), 60)
        await asyncio.sleep(0.1)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == f"writer {EMPTY}"]
