"""A caller with many calls slows only itself: reads and writes are counted separately, and writes do not wait for reads."""

import asyncio

from attacks import bearer
from edits_over_the_wire import guid
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

LIST = {"deviceCompliancePolicyId": EMPTY}
CREATE = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"group": {"groupId": guid(1)}}}}
READER, WRITER = new_token(), new_token()
CALLERS = {"callers": {"static": {"reader": hash_token(READER), "writer": hash_token(WRITER)}}}


def busy(failures: list) -> list[Failure]:
    return [failure for failure in failures if isinstance(failure, Failure) and failure.reason == "CALLER_TOO_BUSY"]


async def test_a_callers_reads_and_writes_are_counted_apart(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=3.0, times=200)])
    async with gateway(live, server={"in_flight": {"reads": 3, "writes": 2}}, **CALLERS) as rig:
        me = bearer(WRITER)
        reads = [asyncio.create_task(rig.call("ListComplianceAssignments", LIST, metadata=me)) for _ in range(10)]
        writes = [asyncio.create_task(rig.call("CreateComplianceAssignment", CREATE, metadata=me)) for _ in range(10)]
        refused = busy(await asyncio.gather(*reads)), busy(await asyncio.gather(*writes))
    assert tuple(map(len, refused)) == (7, 8)
    assert {failure.message for failure in refused[0]} == {
        "You already have 3 concurrent reads, the most that one caller may have."
    }
    assert {failure.message for failure in refused[1]} == {
        "You already have 2 concurrent writes, the most that one caller may have."
    }


async def test_by_default_a_reader_has_a_hundred_calls_under_way(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=60.0, times=200)])
    async with gateway(live, **CALLERS) as rig:
        ask = {"metadata": bearer(READER), "timeout": 120}
        reads = [asyncio.create_task(rig.call("ListComplianceAssignments", LIST, **ask)) for _ in range(120)]
        async with asyncio.timeout(60):
            while sum(read.done() for read in reads) < 20:
                await asyncio.sleep(0.02)
        assert len(busy([read.result() for read in reads if read.done()])) == 20
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)


async def test_reads_do_not_take_the_quota_from_writes(live: Emulator):
    """Two hundred reads wait minutes for four turns a second; another caller's write is carried out at once."""
    quota = {"writes_per_20s": 100, "requests_per_20s": 100}
    async with gateway(live, server={"in_flight": 1000}, graph=quota, **CALLERS) as rig:
        ask, policies = {"metadata": bearer(READER), "timeout": 600}, [f"policy-{number}" for number in range(200)]
        for policy in policies:  # different ones: who reads the same one shares a turn
            live.world.intune.add_policy(policy, policy, [])
        asked = ({"deviceCompliancePolicyId": policy} for policy in policies)
        reads = [asyncio.create_task(rig.call("ListComplianceAssignments", one, **ask)) for one in asked]
        await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        created = await rig.call("CreateComplianceAssignment", CREATE, metadata=bearer(WRITER), timeout=20)
        assert not isinstance(created, Failure), created
        assert sum(not read.done() for read in reads) > 100, "they still wait"
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
