"""The quota as callers meet it: told which window is full and when to come back, and served then."""

import asyncio

from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import group
from rig import Rig, gateway

from gateway.emulator import Emulator

GRAPH = {"create_route": "assign", "writes_per_20s": 20}


async def create(rig: Rig, number: int, timeout: float):
    policy = f"policy-{number}"
    if policy not in rig.emulator.world.intune.policies:
        rig.emulator.world.intune.add_policy(policy, policy, [])
    request = {"deviceCompliancePolicyId": policy, "assignment": {"target": group(number)}}
    fields = {"requestId": f"00000000-0000-4000-8000-{number:012}"}
    return await rig.call("CreateComplianceAssignment", request | fields, timeout=timeout)


async def test_who_is_refused_is_told_the_window_and_served_at_the_time_it_was_told(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        assert isinstance(await create(rig, 0, 60), Assignment)
        others = [asyncio.create_task(create(rig, number, 60)) for number in range(1, 5)]
        await asyncio.sleep(0.3)
        refused = await create(rig, 5, 1)
        assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
        assert refused.window == "window:writes"
        assert (refused.metadata["window"], refused.metadata["reserved"]) == ("writes", "true")
        again = await create(rig, 5, 0.9)
        assert abs(again.retry_after - refused.retry_after) < 1, "it has its time already"
        await asyncio.sleep(again.retry_after)
        assert isinstance(await create(rig, 5, 60), Assignment)
        assert [type(answer) for answer in await asyncio.gather(*others)] == [Assignment] * 4
