"""More calls at once than the gateway can start: each is served, or refused by the gateway with a time to retry."""

import asyncio
import time
from dataclasses import replace

import grpc
import pytest
from rig import Failure, gateway

from gateway.doors.grpc_door import STREAMS
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

LIST = "/compliance_gateway.v1.ComplianceAssignmentService/ListComplianceAssignments"
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@pytest.mark.machine
async def test_a_call_that_nobody_takes_up_for_half_a_minute_is_not_cancelled(live: Emulator):
    async with gateway(live) as rig:
        request = b"\x0a" + bytes([len(EMPTY)]) + EMPTY.encode()
        with grpc.insecure_channel(rig.address) as channel:  # with threads of its own
            metadata = (("authorization", f"Bearer {rig.token}"),)
            calls = [channel.unary_unary(LIST).future(request, metadata=metadata, timeout=120) for _ in range(20)]
            await asyncio.sleep(0)
            time.sleep(35)  # noqa: ASYNC251 - the loop stands still; gRPC's own time passes
            codes = await asyncio.gather(*(asyncio.to_thread(call.code) for call in calls))
    assert set(codes) == {grpc.StatusCode.OK}


async def test_every_call_of_a_burst_is_served_or_told_when_to_come_again(live: Emulator):
    """Each connection stays within its limit of streams, whatever the other connections do."""
    async with gateway(live, server={"in_flight": {"reads": 20}}) as rig:
        channels = [grpc.aio.insecure_channel(rig.address, options=OWN_CONNECTION) for _ in range(3)]
        callers = [replace(rig, channel=channel) for channel in channels]
        one = "ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY}
        found = await asyncio.gather(*(caller.call(*one) for caller in callers for _ in range(STREAMS // 2)))
        for channel in channels:
            await channel.close()
    refused = [answer for answer in found if isinstance(answer, Failure)]
    assert {(failure.reason, bool(failure.retry_after)) for failure in refused} <= {("CALLER_TOO_BUSY", True)}
    assert len(found) == 3 * STREAMS // 2
