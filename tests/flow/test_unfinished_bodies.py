"""Incomplete bodies of known callers take a bounded part of the memory, and delay nobody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from rest_caller import RestCaller, rest
from rest_mistakes import GOOD, SET
from rig import Rig, gateway

from gateway.doors.bodies import MOST_OF_ONE
from gateway.emulator import Emulator

LIST = "/compliance_gateway.v1.ComplianceAssignmentService/ListComplianceAssignments"
LARGE = GOOD + b" " * 100_000
BATCH = b'{"requests": [' + json.dumps({"id": "1", "method": "GET", "url": SET.removeprefix("/beta")}).encode() + b"]}"
# Who has to wait for a turn does so until its deadline; who has none to wait for is not to be cut off by a slow machine.
ONE_SECOND, LONG = ({"Content-Type": "application/json", "Prefer": f"wait={seconds}"} for seconds in (1, 60))
PATIENT = {"server": {"default_deadline_s": 300}}


@asynccontextmanager
async def halves(caller: RestCaller, count: int, path: str) -> AsyncIterator[None]:
    """`count` requests with incomplete bodies, inside the block."""
    host, port = caller.root.removeprefix("http://").split(":")
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\nContent-Type: application/json\r\n"
    async with AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            writer.write(f"{head}Content-Length: {1 << 20}\r\n\r\n".encode() + LARGE)
        yield


async def sent(caller: RestCaller, path: str, body: bytes, *statuses: int) -> None:
    """Sends the body repeatedly, until the answer has one of these statuses."""
    headers = ONE_SECOND if 429 in statuses else LONG
    async with asyncio.timeout(60):
        while (await caller.send("POST", path, data=body, headers=headers)).status not in statuses:
            pass


async def test_halves_of_bodies_hold_up_large_ones_of_their_sender_alone(live: Emulator):
    """For a batch and for an operation."""
    async with rest(live, **PATIENT) as (_, caller):
        async with halves(caller, MOST_OF_ONE, SET):
            await sent(caller, SET, LARGE, 429)
            await sent(caller, SET, GOOD, 201, 409)  # 409: a large one came before the halves
            await sent(caller, "/beta/$batch", BATCH + b" " * 100_000, 429)
            await sent(caller, "/beta/$batch", BATCH, 200)
        await sent(caller, SET, LARGE, 201, 409)
        async with halves(caller, MOST_OF_ONE, "/beta/$batch"):
            await sent(caller, SET, LARGE, 429)


async def is_refused(rig: Rig) -> bool:
    answer = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": "p"}, timeout=3)
    return getattr(answer, "reason", "") == "CALLER_TOO_BUSY"


async def test_calls_without_a_message_hold_up_their_sender_alone_and_for_a_while(live: Emulator):
    async with gateway(live, **PATIENT) as rig, asyncio.timeout(60):
        own = (("authorization", f"Bearer {rig.token}"),)
        calls = [rig.channel.stream_unary(LIST)(metadata=own, timeout=300) for _ in range(MOST_OF_ONE)]
        while not await is_refused(rig):
            pass
        for call in calls:
            call.cancel()
        while await is_refused(rig):
            pass
        assert {await call.code() for call in calls} == {grpc.StatusCode.CANCELLED}
