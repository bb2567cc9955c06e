"""Others delete a policy while the gateway writes it, or Graph says so for a moment."""

import asyncio
from typing import Any

import pytest
from at_rest import groups, unsettled, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, group, guid
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 0.5, "late_s": 1, "doubt_s": 0.3, "read_back_s": 1}


async def written_and_deleted(rig: Rig, **fault: Any) -> None:
    """One row is created, and the policy is deleted before it can be read back."""
    world = rig.emulator.world
    looks = asyncio.Event()
    world.faults.order([Fault(**LIST), Fault(**ASSIGN, **fault), Fault(**LIST, until=looks)])
    writing = asyncio.create_task(create(rig, group(0), requestId="once"))
    await until(lambda: guid(0) in groups(rig.emulator))
    del world.intune.policies[EMPTY]
    looks.set()
    assert (await writing).reason == "OUTCOME_UNKNOWN"


async def insisted(rig: Rig) -> Any:
    async with asyncio.timeout(30):
        while (answer := await create(rig, group(0), requestId="once")).reason in ("OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS"):
            await asyncio.sleep(0.1)
    return answer


async def test_a_read_that_does_not_find_the_policy_for_a_moment_is_no_answer(live: Emulator):
    """A replica of Graph's that does not know the policy yet. The write was carried out."""
    async with gateway(live, graph=GRAPH) as rig:
        gone = {"error": {"code": "ResourceNotFound", "message": "There is no such policy."}}
        live.world.faults.order([Fault(**LIST), Fault(**LIST, status=404, body=gone)])
        assert isinstance(await create(rig, group(0)), Assignment)


@pytest.mark.parametrize(
    ("fault", "reason"), [({}, "SET_CHANGED"), ({"cut": "after"}, "NOT_FOUND")], ids=["accepted", "answer lost"]
)
async def test_of_a_deleted_policy(live: Emulator, fault: dict, reason: str):
    """What Graph accepted was carried out; of what it did not answer nobody can know any more."""
    async with gateway(live, graph=GRAPH) as rig:
        await written_and_deleted(rig, **fault)
        answer = await insisted(rig)
        assert answer.reason == reason
        [entry] = rig.entries(request_id="once")
        assert (entry.state, entry.outcome) == ("finished", reason)
        assert len(rig.writes()) == 1


async def test_the_watch_of_a_deleted_policy_ends(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        await written_and_deleted(rig)
        await until(lambda: not unsettled(rig), 60)
        await asyncio.sleep(0.1)
        assert not [task for task in asyncio.all_tasks() if task.get_name() == f"writer {EMPTY}"]
