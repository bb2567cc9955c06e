"""compliance-gateway's stubs (`compliance_gateway.v1`) and `connect`, which makes one ready to use."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub

__all__ = ["connect"]

SERVICE = "compliance_gateway.v1.ComplianceAssignmentService"
RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
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


@contextmanager
def connect(
    target: str,
    token: str | Callable[[], str],
    *,
    tenant: str | None = None,
    timeout: float = 30,
    plain_text: bool = False,
    ca: bytes | None = None,
) -> Iterator[ComplianceAssignmentServiceStub]:
    """A stub for the gateway at `target` (host:port); its channel is closed at the end of the block.

    token: the caller's, or a function that gives it anew for each call. tenant: which one, where there are several.
    timeout: seconds, for calls that set none. plain_text: without TLS, for loopback. ca: PEM of a private CA.
    """
    options = [("grpc.service_config", json.dumps(RETRIES)), ("grpc.enable_retries", 1)]
    if plain_text:
        channel = grpc.insecure_channel(target, options)
    else:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(ca), options)
    with channel:
        get_token = token if callable(token) else lambda: token
        yield ComplianceAssignmentServiceStub(grpc.intercept_channel(channel, _Defaults(get_token, tenant, timeout)))


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: grpc.ClientCallDetails, timeout: float, metadata: list[tuple[str, str | bytes]]) -> None:
        self.method, self.credentials = details.method, details.credentials
        self.wait_for_ready, self.compression = details.wait_for_ready, details.compression
        self.timeout, self.metadata = timeout, tuple(metadata)


class _Defaults(grpc.UnaryUnaryClientInterceptor):
    def __init__(self, token: Callable[[], str], tenant: str | None, timeout: float) -> None:
        self._token, self._tenant, self._timeout = token, tenant, timeout

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {self._token()}")]
        if self._tenant is not None:
            metadata.append(("x-graph-tenant", self._tenant))
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            named = type(request)()
            named.CopyFrom(request)
            named.request_id = str(uuid.uuid4())
            request = named
        timeout = self._timeout if details.timeout is None else details.timeout
        return continuation(_Details(details, timeout, metadata), request)
