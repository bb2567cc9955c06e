"""Health and reflection need no token, and keep nothing for clients that send incomplete messages."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from frame_flood import DATA, END_HEADERS, END_STREAM, HEADERS, MESSAGE, PREFACE, block_of, frame
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from rig import gateway

from gateway.doors.grpc_public import LONGEST, MOST_OF_ONE, MOST_STREAMS
from gateway.emulator import Emulator

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


async def code_of(call: grpc.aio.Call) -> grpc.StatusCode:
    async with asyncio.timeout(60):
        return await call.code()


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
async def test_who_sends_no_message_is_not_waited_for(live: Emulator, path: str):
    """On the wire, no message and an endless message look the same."""
    async with gateway(live) as rig:
        kind = rig.channel.stream_unary if path == CHECK else rig.channel.stream_stream
        calls = [kind(path)(timeout=600) for _ in range(20)]
        codes = {await code_of(call) for call in calls}
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
@pytest.mark.parametrize("message", [b"\xff", health_pb2.HealthCheckRequest(service="x" * LONGEST).SerializeToString()])
async def test_what_is_no_message_or_too_long_is_refused(live: Emulator, path: str, message: bytes):
    async with gateway(live) as rig:
        kind = rig.channel.stream_unary if path == CHECK else rig.channel.stream_stream
        call = kind(path)(iter([message]))
        assert await code_of(call) is grpc.StatusCode.INVALID_ARGUMENT


@asynccontextmanager
async def watching(address: str, own: str, count: int) -> AsyncIterator[int]:
    """Opens `count` streams of Watch on one connection from the address `own`. Yields how many were accepted."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(own, 0))
    block = block_of(WATCH.encode())
    streams = range(1, 2 * count, 2)
    asked = (frame(HEADERS, END_HEADERS, n, block) + frame(DATA, END_STREAM, n, MESSAGE) for n in streams)
    writer.write(PREFACE + b"".join(asked))
    told: dict[int, bool] = {}
    async with asyncio.timeout(60):
        while len(told) < count:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3]))
            kind, stream = head[3], int.from_bytes(head[5:])
            if kind == DATA or (kind == HEADERS and head[4] & END_STREAM):
                told.setdefault(stream, kind == DATA)
    yield sum(told.values())
    writer.transport.abort()


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is loopback on Linux alone")
async def test_so_many_watch_and_no_more_and_checks_go_on(live: Emulator):
    async with gateway(live) as rig, AsyncExitStack() as stack:
        taken = 0
        for own in range(2, 2 + MOST_STREAMS["Watch"] // MOST_OF_ONE["Watch"]):
            taken += await stack.enter_async_context(watching(rig.address, f"127.0.0.{own}", MOST_OF_ONE["Watch"]))
        assert taken == MOST_STREAMS["Watch"]
        assert await code_of(rig.channel.unary_stream(WATCH)(b"")) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await rig.channel.unary_unary(CHECK)(b"") == b"\x08\x01"


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is loopback on Linux alone")
async def test_who_watches_without_end_keeps_nobody_else_from_it(live: Emulator):
    async with gateway(live) as rig, AsyncExitStack() as stack:
        taken = [await stack.enter_async_context(watching(rig.address, "127.0.0.2", 300)) for _ in range(2)]
        assert taken == [MOST_OF_ONE["Watch"], 0]
        assert await rig.channel.unary_stream(WATCH)(b"").read() == b"\x08\x01"


async def test_streams_of_reflection_are_bounded(live: Emulator):
    async with gateway(live) as rig:
        asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        calls = [rig.channel.stream_stream(REFLECTION)() for _ in range(MOST_OF_ONE["ServerReflectionInfo"])]
        for call in calls:
            await call.write(asked)
            assert await call.read()
        assert await code_of(rig.channel.stream_stream(REFLECTION)(iter([asked]))) is grpc.StatusCode.RESOURCE_EXHAUSTED
