"""compliance-gateway's stubs (`compliance_gateway.v1`), and `connect` and `connect_async`, which return a stub that is ready
for use."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc

from compliance_gateway.answers import Answer, RateLimit
from compliance_gateway.calls import AsyncInterceptor, AsyncToken, Defaults, Interceptor, Token
from compliance_gateway.edits import creating, deleting, updating
from compliance_gateway.errors import GatewayError
from compliance_gateway.targets import all_devices, all_users, assignment, collection, excluding, exclusion, group, including
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from compliance_gateway.v1.compliance_policy_service_pb2_grpc import CompliancePolicyServiceStub

__all__ = [
    "Answer", "Gateway", "GatewayError", "RateLimit", "all_devices", "all_users", "assignment", "collection", "connect",
    "connect_async", "creating", "deleting", "excluding", "exclusion", "group", "including", "token_file", "updating",
]  # fmt: skip

SERVICES = [f"compliance_gateway.v1.{name}" for name in ("ComplianceAssignmentService", "CompliancePolicyService")]
# gRPC retries these statuses. A push-back of the gateway overrides the pauses.
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
    """The generated stub: the methods of all services."""

    def __init__(self, channel: Any) -> None:
        # mypy-protobuf describes the stubs by __new__; grpcio-tools makes them with __init__.
        ComplianceAssignmentServiceStub.__init__(self, channel)  # type: ignore[call-arg]
        CompliancePolicyServiceStub.__init__(self, channel)  # type: ignore[call-arg]


def token_file(path: str | Path) -> Callable[[], str]:
    """A token source for `connect`, which reads the file for each call."""
    return lambda: Path(path).read_text().strip()


@contextmanager
def connect(
    target: str,
    token: Token = None,
    *,
    tenant: str | None = None,
    timeout: float = 30,
    patience: float = 0,
    on_answer: Callable[[Answer], None] | None = None,
    plain_text: bool = False,
    ca: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
) -> Iterator[Gateway]:
    """A stub for the gateway at `target` (host:port); its channel is closed at the end of the block. Calls raise GatewayError.

    token: the caller's token, or a function that returns it and is called before each call; None with a client certificate. A
    call whose token is missing or does not fit into a header is not sent: GatewayError with UNAUTHENTICATED. tenant: the
    tenant's name, required only if the caller may use several. timeout: in seconds, for calls that set none. patience: for how
    many seconds a call that was refused with a time to retry is repeated at that time, with the same request ID, even beyond
    its timeout. on_answer: called with the Answer to each call, also if the call was refused. plain_text: connect without TLS,
    for loopback. ca: a private CA, in PEM; by default the system's. certificate, key: a client certificate, in PEM.
    """
    defaults = Defaults(token, tenant, timeout, patience, on_answer)
    if plain_text:
        channel = grpc.insecure_channel(target, OPTIONS)
    else:
        channel = grpc.secure_channel(target, _credentials(ca, certificate, key), OPTIONS)
    with channel:
        yield Gateway(grpc.intercept_channel(channel, Interceptor(defaults)))


@asynccontextmanager
async def connect_async(
    target: str,
    token: AsyncToken = None,
    *,
    tenant: str | None = None,
    timeout: float = 30,
    patience: float = 0,
    on_answer: Callable[[Answer], None] | None = None,
    plain_text: bool = False,
    ca: bytes | None = None,
    certificate: bytes | None = None,
    key: bytes | None = None,
) -> AsyncIterator[Any]:
    """As `connect`, with a stub whose methods are awaited. token: may also be a coroutine function."""
    interceptors = [AsyncInterceptor(Defaults(token, tenant, timeout, patience, on_answer))]
    if plain_text:
        channel = grpc.aio.insecure_channel(target, OPTIONS, interceptors=interceptors)
    else:
        channel = grpc.aio.secure_channel(target, _credentials(ca, certificate, key), OPTIONS, interceptors=interceptors)
    async with channel:
        yield Gateway(channel)


def _credentials(ca: bytes | None, certificate: bytes | None, key: bytes | None) -> grpc.ChannelCredentials:
    if (certificate is None) != (key is None):
        raise ValueError("a client certificate needs both, certificate and key")  # grpc would end the process
    return grpc.ssl_channel_credentials(ca, key, certificate)
