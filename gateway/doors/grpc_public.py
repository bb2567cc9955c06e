"""What the gRPC doors serve to anybody: health and reflection. They require no token, so the resources held for unauthenticated
clients are bounded, in total and for each address: concurrent messages, the time they may take, and open streams."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from gateway.doors.bodies import Bodies
from gateway.errors import GatewayError

READ_S = 2.0  # for a message of a few bytes; between two of reflection's as well
MOST_MESSAGES, MOST_OF_ONE_ADDRESS = 64, 16  # of 2 MiB at most, before one is found to be longer than LONGEST
MOST_STREAMS = {"Watch": 500, "ServerReflectionInfo": 12}
MOST_OF_ONE = {"Watch": 100, "ServerReflectionInfo": 4}  # address
LONGEST = 512  # bytes: the name of a service or a file
Method: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"


class PublicServices:
    """health: what it says."""

    def __init__(self) -> None:
        self.health = health.aio.HealthServicer()
        self._messages, self._open = Bodies(MOST_MESSAGES, MOST_OF_ONE_ADDRESS), Counter[tuple[str, str]]()

    def handlers(self, names: tuple[str, ...]) -> list[grpc.GenericRpcHandler]:
        """Of health, and of reflection of the services `names`; without names there is no reflection."""
        watch: Method = grpc.stream_stream_rpc_method_handler(
            self._watch, response_serializer=health_pb2.HealthCheckResponse.SerializeToString
        )
        check: Method = grpc.stream_unary_rpc_method_handler(
            self._check, response_serializer=health_pb2.HealthCheckResponse.SerializeToString
        )
        found = [grpc.method_handlers_generic_handler(health.SERVICE_NAME, {"Check": check, "Watch": watch})]
        if not names:
            return found
        # v1 has the messages of v1alpha, field by field, under another name (grpc/reflection/v1/reflection.proto).
        versions = (reflection.SERVICE_NAME, REFLECTION_V1)
        servicer = reflection.aio.ReflectionServicer((*names, health.SERVICE_NAME, *versions))

        async def reflect(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Message]:
            with self._stream("ServerReflectionInfo", _address(context)) as is_free:
                if not is_free:
                    await _refuse(context, "Too many reflection streams are open.")
                async for answer in servicer.ServerReflectionInfo(self._asked(requests, context), context):
                    yield answer

        method: Method = grpc.stream_stream_rpc_method_handler(
            reflect, response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString
        )
        return [*found, *(grpc.method_handlers_generic_handler(one, {"ServerReflectionInfo": method}) for one in versions)]

    async def _check(self, requests: AsyncIterator[bytes], context: Any) -> Any:
        asked = await self._message(requests, context, health_pb2.HealthCheckRequest)
        return await self.health.Check(asked or health_pb2.HealthCheckRequest(), context)

    async def _watch(self, requests: AsyncIterator[bytes], context: Any) -> None:
        asked = await self._message(requests, context, health_pb2.HealthCheckRequest)
        with self._stream("Watch", _address(context)) as is_free:
            if not is_free:
                await _refuse(context, "Too many health watches are open.")
            await self.health.Watch(asked or health_pb2.HealthCheckRequest(), context)

    async def _asked(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        while (message := await self._message(requests, context, reflection_pb2.ServerReflectionRequest)) is not None:
            yield message

    async def _message(self, requests: AsyncIterator[bytes], context: Any, kind: type[Message]) -> Any:
        """The next message, None at the end. A unary handler is not used, because grpc would read its message beforehand and
        wait for it without a time limit."""
        until = asyncio.get_running_loop().time() + READ_S
        try:
            async with self._messages.turn(_address(context), until), asyncio.timeout_at(until):
                text = await anext(requests, None)
        except (TimeoutError, GatewayError):
            await _refuse(context, "The message did not arrive in time.")
        if text is not None and len(text) > LONGEST:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"A message may have at most {LONGEST} bytes.")
        try:
            return None if text is None else kind.FromString(text)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"The message cannot be decoded as a {kind.DESCRIPTOR.name}.")

    @contextmanager
    def _stream(self, method: str, address: str) -> Iterator[bool]:
        """Yields whether one more stream may be open. A refused stream is not counted, so it takes nobody's place."""
        bounds = {(method, ""): MOST_STREAMS[method], (method, address): MOST_OF_ONE[method]}
        if any(self._open[place] >= most for place, most in bounds.items()):
            yield False
            return
        self._open.update(bounds.keys())
        try:
            yield True
        finally:
            self._open.subtract(bounds.keys())
            self._open += Counter()  # without those that are 0


def _address(context: Any) -> str:
    """Of the peer, without its port."""
    return str(context.peer()).rpartition(":")[0]


async def _refuse(context: Any, words: str) -> NoReturn:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, words)
    raise AssertionError("abort raises")
