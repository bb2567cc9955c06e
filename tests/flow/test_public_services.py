"""Health and reflection ask for no token, and hold nothing for who sends by halves."""

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from rig import gateway

from gateway.doors.grpc_public import LONGEST, MOST_STREAMS
from gateway.emulator import Emulator

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


async def code_of(call: grpc.aio.Call) -> grpc.StatusCode:
    async with asyncio.timeout(60):
        return await call.code()


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
async def test_who_sends_no_message_is_not_waited_for(live: Emulator, path: str):
    """On the wire it is the same as a message that never ends."""
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


async def test_so_many_watch_and_no_more_and_checks_go_on(live: Emulator):
    async with gateway(live) as rig:
        watch = rig.channel.unary_stream(WATCH)
        channels = [grpc.aio.insecure_channel(rig.address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(3)]
        watching = [channels[n // 200].unary_stream(WATCH)(b"") for n in range(MOST_STREAMS["Watch"])]
        for call in watching:
            assert await call.read()
        assert await code_of(watch(b"")) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await rig.channel.unary_unary(CHECK)(b"") == b"\x08\x01"
        for channel in channels:
            await channel.close()


async def test_streams_of_reflection_are_bounded(live: Emulator):
    async with gateway(live) as rig:
        asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
        calls = [rig.channel.stream_stream(REFLECTION)() for _ in range(MOST_STREAMS["ServerReflectionInfo"])]
        for call in calls:
            await call.write(asked)
            assert await call.read()
        assert await code_of(rig.channel.stream_stream(REFLECTION)(iter([asked]))) is grpc.StatusCode.RESOURCE_EXHAUSTED
