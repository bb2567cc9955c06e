"""compliance-gateway's stubs (`compliance_gateway.v1`), and `connect` and `connect_async`, which make one ready to use."""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from compliance_gateway.errors import GatewayError
from compliance_gateway.targets import all_devices, all_users, assignment, collection, excluding, exclusion, group, including
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from compliance_gateway.v1.compliance_policy_service_pb2_grpc import CompliancePolicyServiceStub

__all__ = [
    "Gateway", "GatewayError", "all_devices", "all_users", "assignment", "collection", "connect", "connect_async", "excluding",
    "exclusion", "group", "including", "token_file",
]  # fmt: skip

SERVICES = [f"compliance_gateway.v1.{name}" for name in ("ComplianceAssignmentService", "CompliancePolicyService")]
# What the gateway says may be tried again; it tells when by its push-back, which comes before these pauses.
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": service} for service in SERVICES],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.5s",
                "maxBackoff": "10s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
OPTIONS = [("grpc.service_config", json.dumps(RETRIES)), ("grpc.enable_retries", 1)]


class Gateway(ComplianceAssignmentServiceStub, CompliancePolicyServiceStub):
    """The methods of all services."""

    def __init__(self, channel: Any) -> None:
        # mypy-protobuf describes the stubs by __new__; grpcio-tools makes them with __init__.
        ComplianceAssignmentServiceStub.__init__(self, channel)  # type: ignore[call-arg]
        CompliancePolicyServiceStub.__init__(self, channel)  # type: ignore[call-arg]


Token = str | Callable[[], str] | None


def token_file(path: str | Path) -> Callable[[], str]:
    """A token that is read anew for each call."""
    return lambda: Path(path).read_text().strip()


@contextmanager
def connect(
    target: str,
    token: Token = None,
    *,
    tenant: str | None = None,
    timeout: float = 30,
    plain_text: bool = False,
    ca: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
) -> Iterator[Gateway]:
    """A stub for the gateway at `target` (host:port); its channel is closed at the end of the block. Calls raise GatewayError.

    token: the caller's, or a function that gives it anew for each call; None with a client certificate. tenant: which one,
    where there are several. timeout: seconds, for calls that set none. plain_text: without TLS, for loopback. ca: PEM of a
    private CA. certificate, key: PEM of the client's.
    """
    defaults = _Defaults(token, tenant, timeout)
    if plain_text:
        channel = grpc.insecure_channel(target, OPTIONS)
    else:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, certificate), OPTIONS)
    with channel:
        yield Gateway(grpc.intercept_channel(channel, _Interceptor(defaults)))


@asynccontextmanager
async def connect_async(
    target: str,
    token: Token = None,
    *,
    tenant: str | None = None,
    timeout: float = 30,
    plain_text: bool = False,
    ca: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
) -> AsyncIterator[Any]:
    """As `connect`, with a stub whose methods are awaited."""
    interceptors = [_AsyncInterceptor(_Defaults(token, tenant, timeout))]
    if plain_text:
        channel = grpc.aio.insecure_channel(target, OPTIONS, interceptors=interceptors)
    else:
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        channel = grpc.aio.secure_channel(target, credentials, OPTIONS, interceptors=interceptors)
    async with channel:
        yield Gateway(channel)


@dataclass(frozen=True)
class _Defaults:
    """What every call gets. gRPC's own retries come below it, and keep it."""

    token: Token
    tenant: str | None
    timeout: float

    def metadata(self, given: Any) -> list[tuple[str, str | bytes]]:
        metadata = [*(given or ())]
        if self.token is not None:
            metadata.append(("authorization", f"Bearer {self.token() if callable(self.token) else self.token}"))
        if self.tenant is not None:
            metadata.append(("x-graph-tenant", self.tenant))
        return metadata

    def named(self, request: Any) -> Any:
        """A write has a request id; on a copy, where it had none."""
        if "request_id" not in request.DESCRIPTOR.fields_by_name or request.request_id:
            return request
        named = type(request)()
        named.CopyFrom(request)
        named.request_id = str(uuid.uuid4())
        return named


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: grpc.ClientCallDetails, defaults: _Defaults) -> None:
        self.method, self.credentials = details.method, details.credentials
        self.wait_for_ready, self.compression = details.wait_for_ready, details.compression
        self.timeout = defaults.timeout if details.timeout is None else details.timeout
        self.metadata = tuple(defaults.metadata(details.metadata))


class _Outcome:
    """A call whose failure is a GatewayError."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as error:
            raise GatewayError(error) from None

    def exception(self, timeout: float | None = None) -> Any:
        error = self._call.exception(timeout)
        return GatewayError(error) if isinstance(error, grpc.RpcError) else error


class _Interceptor(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, defaults: _Defaults) -> None:
        self._defaults = defaults

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return _Outcome(continuation(_Details(details, self._defaults), self._defaults.named(request)))


class _AsyncInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, defaults: _Defaults) -> None:
        self._defaults = defaults

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        with_defaults = grpc.aio.ClientCallDetails(
            details.method,
            self._defaults.timeout if details.timeout is None else details.timeout,
            grpc.aio.Metadata(*self._defaults.metadata(details.metadata)),
            details.credentials,
            details.wait_for_ready,
        )
        try:
            return await (await continuation(with_defaults, self._defaults.named(request)))
        except grpc.aio.AioRpcError as error:
            raise GatewayError(error) from None
