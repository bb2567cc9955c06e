"""The gRPC door: a grpc.aio server with the services, health and reflection. Only this module imports grpc for a server, so it
also provides channelz for the admin door."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

from gateway.call import Call, CallWarning, Handler, Record
from gateway.config import Server
from gateway.doors.admin_door import number_of
from gateway.doors.bodies import Bodies
from gateway.doors.connections import connected_at, cut, cut_off, within_files
from gateway.doors.grpc_public import PublicServices
from gateway.doors.tls import Certificates
from gateway.errors import DOMAIN, GatewayError, Reason, invalid
from gateway.operations import OPERATIONS, SERVICES, Operation

# gRPC itself refuses a message over its limit with RESOURCE_EXHAUSTED, which clients may retry. So gRPC's limit is higher by
# this much than the gateway's: a message between the two gets INVALID_ARGUMENT with the rule.
SLACK = 1 << 20
# The most streams of a connection. A gRPC server has one queue for calls that the application has not started, including those
# that were reset already, and cancels new calls while the queue is long (by default from 1,000 on): one connection could fill
# the queue and get the calls of all others cancelled. With a limit of streams gRPC also refuses streams beyond it, counting
# those that have ended but are not freed yet (grpc.http.overload_protection): REFUSED_STREAM, UNAVAILABLE, before anything has
# been done. With 600 streams and busy cores, or without that protection, a flood of resets can outrun the server. With it, a
# client that keeps more than 400 calls on one connection gets many refused, also by a bare echo of grpc.aio. By default, a call
# that is in the queue for more than 30 s is cancelled; here it waits for as long as its client does.
STREAMS = 400
STREAMS_LEFT_BEHIND = 2
# gRPC reports a reset a few turns of the event loop after the call. A call waits for so many turns, so that one that was reset
# ends before it costs anything.
ROUNDS_TO_HEAR_OF_A_RESET = 10
HANDSHAKE_S = 10.0
# What is read of a connection at once. gRPC's own 4 MiB, of each of its threads, became a gigabyte of frames that mean nothing.
RECEIVED = 1 << 16
AGE_GRACE_S = 300.0
# How often a door that retires looks whether it has connections.
RETIRING_S = 0.1
# A message may take half of the time that its call has: the rest is for the operation.
MESSAGE_SHARE = 2
WARNING = "compliance-gateway-warning-bin"
CHANNELZ = channelz_pb2.DESCRIPTOR.services_by_name["Channelz"]


class GrpcDoor:
    """Serves `handle` on `settings.grpc`, and on `settings.mtls`, where `client_ca` verifies client certificates. shared:
    whether other processes serve there too. address, mtls_address: host and port, after `start`. Raises ConfigError for
    certificates that cannot be used."""

    def __init__(self, handle: Handler, settings: Server, client_ca: Path | None = None, *, shared: bool = False) -> None:
        self._handle, self._settings, self._bodies = handle, settings, Bodies()
        self._tls = Certificates(settings.tls).credentials() if settings.tls else None
        self._mutual_tls = Certificates(settings.tls, client_ca).credentials() if settings.tls and settings.mtls else None
        self._public = PublicServices()
        self._server = grpc.aio.server(options=(*options_of(settings), ("grpc.so_reuseport", int(shared))))
        self.address = self.mtls_address = ""
        self._answering = 0
        self._answered = asyncio.Event()
        self._answered.set()

    async def start(self) -> None:
        """Binds the addresses and serves. Raises OSError if an address cannot be bound."""
        names = tuple(service.full_name for service in SERVICES)
        for service in SERVICES:
            handlers = {method.name: self._method(OPERATIONS[method.name]) for method in service.methods}
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        self._server.add_generic_rpc_handlers(self._public.handlers(names if self._settings.reflection else ()))
        self.address = self._bind(self._settings.grpc, self._tls)
        if self._settings.mtls:
            self.mtls_address = self._bind(self._settings.mtls, self._mutual_tls)
        await self._server.start()
        for name in names:
            await self.say_health(name, healthy=True)

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:  # noqa: ARG002 - gRPC's health has no words
        """What the health service says of `name`."""
        status = health_pb2.HealthCheckResponse
        await self._public.health.set(name, status.SERVING if healthy else status.NOT_SERVING)

    async def leave(self) -> None:
        """Says NOT_SERVING from now on."""
        await self._public.health.enter_graceful_shutdown()

    async def retire(self) -> None:
        """Accepts no new connection, and returns when there is none. Each connection ends when it is idle or reaches its age;
        gRPC tells the client so, and no call is lost."""
        cut_off(self._addresses)
        while connected_at(self._addresses):  # noqa: ASYNC110 - they are gRPC's, which tells of none
            await asyncio.sleep(RETIRING_S)

    @property
    def _addresses(self) -> set[str]:
        return {address for address in (self.address, self.mtls_address) if address}

    async def stop(self, grace: float) -> None:
        """Lets running calls end within `grace` seconds, then accepts no new one. A gRPC server that stops cancels calls that
        it has read from the wire but not started, and clients do not retry CANCELLED. So the connections are cut first: their
        clients see UNAVAILABLE, which they retry."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._answered.wait()
        cut(self._addresses)
        await self._server.stop(None)

    def _bind(self, address: str, credentials: grpc.ServerCredentials | None) -> str:
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as exc:
            raise OSError(f"cannot bind {address}") from exc
        return f"{address.rpartition(':')[0]}:{port}"

    def _method(self, operation: Operation) -> "grpc.RpcMethodHandler[bytes, bytes]":
        async def answer(requests: AsyncIterator[bytes], context: Any) -> bytes:
            self._count(1)
            context.add_done_callback(lambda _: self._count(-1))
            for _ in range(ROUNDS_TO_HEAR_OF_A_RESET):
                await asyncio.sleep(0)
            remaining, default = context.time_remaining(), self._settings.default_deadline_s
            seconds, record = default if remaining is None else remaining, Record()
            call = Call(
                operation,
                decode=lambda: self._decode(operation, requests, min(seconds, default) / MESSAGE_SHARE, record.caller),
                record=record,
                metadata=_metadata(context.invocation_metadata()),
                deadline=asyncio.get_running_loop().time() + seconds,
                certificate=_certificate(context.auth_context()),
                door="grpc",
            )
            try:
                message = await self._handle(call)
            except GatewayError as error:
                await _abort(context, error, call)
            trailers = (*call.record.trailers.items(), *map(_warning, call.record.warnings))
            if trailers:
                context.set_trailing_metadata(trailers)
            return message.SerializeToString()

        # For a unary handler grpc reads the message before it is asked. On the wire it is the same.
        return grpc.stream_unary_rpc_method_handler(answer)

    def _count(self, more: int) -> None:
        """Counts calls whose answers have not been sent yet."""
        self._answering += more
        if self._answering:
            self._answered.clear()
        else:
            self._answered.set()

    async def _decode(self, operation: Operation, requests: AsyncIterator[bytes], seconds: float, caller: str) -> Message:
        limit, until = self._settings.max_request_bytes, asyncio.get_running_loop().time() + seconds
        try:
            async with self._bodies.turn(caller, until), asyncio.timeout_at(until):
                request = await anext(requests)
        except TimeoutError:
            raise GatewayError(Reason.REQUEST_TOO_SLOW) from None
        except StopAsyncIteration:
            raise invalid("request", "is missing", Reason.MESSAGE_MALFORMED) from None
        if len(request) > limit:
            raise invalid("request", f"may have at most {limit} bytes", Reason.MESSAGE_TOO_LARGE)
        try:
            return operation.request.FromString(request)
        except DecodeError as exc:
            rule = f"cannot be decoded as a {operation.request.DESCRIPTOR.name}"
            raise invalid("request", rule, Reason.MESSAGE_MALFORMED) from exc


def options_of(settings: Server) -> tuple[tuple[str, int], ...]:
    """gRPC's channel arguments, as grpc/impl/channel_arg_names.h names them."""
    connections = within_files(settings.connections)
    waiting = connections * STREAMS * STREAMS_LEFT_BEHIND
    return (
        ("grpc.max_receive_message_length", settings.max_request_bytes + SLACK),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_concurrent_streams", STREAMS),
        ("grpc.server_max_unrequested_time_in_server", round(settings.connection_age_s + AGE_GRACE_S)),
        ("grpc.server.max_pending_requests", waiting),
        ("grpc.server.max_pending_requests_hard_limit", waiting),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_connection_idle_ms", _ms(settings.idle_s)),
        ("grpc.max_connection_age_ms", _ms(settings.connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(AGE_GRACE_S)),
        ("grpc.server_handshake_timeout_ms", _ms(HANDSHAKE_S)),
        ("grpc.experimental.tcp_max_read_buffer_size", RECEIVED),
        ("grpc.enable_channelz", 1),
    )


def channelz_json(method: str, query: Mapping[str, str]) -> str:
    """The answer of a method of grpc.channelz.v1.Channelz. query: the fields of its request, all numbers. Raises ROUTE_UNKNOWN,
    INVALID_FIELD, NOT_FOUND."""
    found = CHANNELZ.methods_by_name.get(method)
    if found is None:
        raise GatewayError(Reason.ROUTE_UNKNOWN)
    request = GetMessageClass(found.input_type)()
    for name in query:
        if name not in found.input_type.fields_by_name:
            raise invalid(name[:64], f"is not a field of {found.input_type.name}")
        setattr(request, name, number_of(query, name))
    refusal = _Refusal()
    answer = getattr(channelz.ChannelzServicer(), method)(request, refusal)
    if refusal.details:
        raise GatewayError(Reason.NOT_FOUND, refusal.details)
    return json_format.MessageToJson(answer)


class _Refusal:
    """Takes what a servicer says of a failure."""

    details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Every failure of channelz is that there is no such thing."""

    def set_details(self, details: str) -> None:
        self.details = details


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _certificate(peer: Mapping[str, Any]) -> bytes | None:
    """The client's certificate, if TLS has verified one."""
    found = peer.get("x509_pem_cert")
    return bytes(found[0]) if found else None


def _metadata(pairs: Any) -> Mapping[str, tuple[str, ...]]:
    metadata: dict[str, list[str]] = {}
    for key, value in pairs or ():
        if isinstance(value, str):
            metadata.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in metadata.items()}


async def _abort(context: Any, error: GatewayError, call: Call) -> NoReturn:
    rich = rpc_status.to_status(status_of(error))
    trailers = [*rich.trailing_metadata, *call.record.trailers.items()]
    if error.retry_after is not None:
        # A client that was told to wait beyond its deadline would do so, and then say only that the deadline has passed.
        in_time = asyncio.get_running_loop().time() + error.retry_after < call.deadline
        trailers.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000)) if in_time else "-1"))
    await context.abort(rich.code, rich.details, tuple(trailers))
    raise AssertionError("abort raises")


def _warning(warning: CallWarning) -> tuple[str, bytes]:
    """The trailer of a success: google.rpc.ErrorInfo, once for each warning."""
    info = error_details_pb2.ErrorInfo(reason=warning.reason, domain=DOMAIN, metadata=warning.metadata)
    return WARNING, info.SerializeToString()


def status_of(error: GatewayError) -> status_pb2.Status:
    """google.rpc.Status with the details of AIP-193."""
    info = error_details_pb2.ErrorInfo(reason=error.reason.name, domain=DOMAIN, metadata=error.metadata)
    details: list[Message] = [info]
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.violations:
        rules = [
            error_details_pb2.BadRequest.FieldViolation(
                field=v.field, description=v.rule, reason=(v.reason or error.reason).name
            )
            for v in error.violations
        ]
        details.append(error_details_pb2.BadRequest(field_violations=rules))
    if error.resource:
        kind, name = error.resource
        details.append(error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name))
    if window := error.metadata.get("window"):
        full = f"Graph accepts no more {window} from this gateway in the tenant for now."
        violation = error_details_pb2.QuotaFailure.Violation(subject=f"window:{window}", description=full)
        details.append(error_details_pb2.QuotaFailure(violations=[violation]))
    return status_pb2.Status(code=error.reason.kind.grpc, message=error.message, details=map(_pack, details))


def _pack(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
