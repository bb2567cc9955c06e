"""Helpers for the tests of the writer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import grpc
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from rig import Rig

from gateway.emulator.seeds import EMPTY
from gateway.metrics import EDITS_WAITING

MERGE = {"graph": {"create_route": "assign", "read_back_s": 5, "doubt_s": 0.3}}
ASSIGN, LIST = {"method": "POST", "path": "/assign$"}, {"method": "GET", "path": "/assignments"}


def guid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def group(number: int) -> dict:
    return {"group": {"groupId": guid(number)}}


def create(rig: Rig, target: dict, policy: str = EMPTY, timeout: float = 20, **fields):
    request = {"deviceCompliancePolicyId": policy, "assignment": {"target": target}, **fields}
    return rig.call("CreateComplianceAssignment", request, timeout=timeout)


def delete(rig: Rig, row_id: str, policy: str = EMPTY):
    request = {"deviceCompliancePolicyId": policy, "deviceCompliancePolicyAssignmentId": row_id}
    return rig.call("DeleteComplianceAssignment", request)


async def waiting(count: int, asked: Sequence[asyncio.Task] = ()) -> None:
    """Waits until `count` edits wait for their write or its end, or one of the `asked` calls has ended."""
    async with asyncio.timeout(300):
        while EDITS_WAITING.labels("emulator")._value.get() != count and not any(task.done() for task in asked):
            await asyncio.sleep(0.005)


def created(answers: list) -> list:
    return [answer for answer in answers if isinstance(answer, Assignment)]


@asynccontextmanager
async def callers(rig: Rig, count: int) -> AsyncIterator[list[Rig]]:
    """Callers with a connection each, because one connection may not have all the calls."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            channel = grpc.aio.insecure_channel(rig.address, options=[("grpc.use_local_subchannel_pool", 1)])
            await stack.enter_async_context(channel)
            await channel.channel_ready()
            found.append(replace(rig, channel=channel))
        yield found
