"""What is added to every call (token, tenant, deadline, request ID), and how its answer is handled."""

import asyncio
import inspect
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from compliance_gateway.answers import Answer, answer_of
from compliance_gateway.errors import GatewayError, NotSent

_SENDABLE = re.compile(r"[!-~]+")
Token = str | Callable[[], str] | None
AsyncToken = Token | Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Defaults:
    """What every call gets. gRPC's own retries come below it, and keep it. See `connect`."""

    token: AsyncToken = field(repr=False)
    tenant: str | None
    timeout: float
    patience: float
    on_answer: Callable[[Answer], None] | None

    def metadata(self, given: Any, token: Any) -> list[tuple[str, str | bytes]]:
        metadata = [*(given or ())]
        if self.token is not None:
            # grpc would refuse it too, but show it in its message.
            if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
                raise ValueError("it is empty, or not valid in a header")
            metadata.append(("authorization", f"Bearer {token}"))
        if self.tenant is not None:
            metadata.append(("x-graph-tenant", self.tenant))
        return metadata

    def named(self, request: Any) -> Any:
        """The request with a request ID, if it is a write: a copy, if it had none."""
        if "request_id" not in request.DESCRIPTOR.fields_by_name or request.request_id:
            return request
        named = type(request)()
        named.CopyFrom(request)
        named.request_id = str(uuid.uuid4())
        return named

    def told(self, error: Any, until: float) -> float | None:
        """Seconds after which to send the same request again; None: do not. until: time.monotonic()."""
        wait = getattr(error, "retry_after", None)
        return wait if wait is not None and time.monotonic() + wait < until else None

    def heard(self, method: str, trailers: Any) -> None:
        if self.on_answer:
            self.on_answer(answer_of(method.rpartition("/")[2], trailers))


@contextmanager
def _wanting_a_token() -> Iterator[None]:
    """A call without the token that it should have is not sent."""
    try:
        yield
    except TimeoutError as error:
        raise GatewayError(NotSent(grpc.StatusCode.DEADLINE_EXCEEDED, "no token in time")) from error
    except Exception as error:  # whatever the caller's function raises
        raise GatewayError(NotSent(grpc.StatusCode.UNAUTHENTICATED, f"no token: {error}")) from error


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: grpc.ClientCallDetails, defaults: Defaults) -> None:
        self.method, self.credentials = details.method, details.credentials
        self.wait_for_ready, self.compression = details.wait_for_ready, details.compression
        self.timeout = defaults.timeout if details.timeout is None else details.timeout
        with _wanting_a_token():
            token = defaults.token() if callable(defaults.token) else defaults.token
            self.metadata = tuple(defaults.metadata(details.metadata, token))


class _Outcome:
    """A call whose failure is a GatewayError."""

    def __init__(self, call: Any, request_id: str) -> None:
        self._call, self._request_id = call, request_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as error:
            raise GatewayError(error, self._request_id) from None

    def exception(self, timeout: float | None = None) -> Any:
        error = self._call.exception(timeout)
        return GatewayError(error, self._request_id) if isinstance(error, grpc.RpcError) else error


class Interceptor(grpc.UnaryUnaryClientInterceptor):
    """Of `connect`. With patience it waits for the end of a call that was to be a future."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        named, until = self._defaults.named(request), time.monotonic() + self._defaults.patience
        while True:
            outcome = _Outcome(continuation(_Details(details, self._defaults), named), getattr(named, "request_id", ""))
            outcome.add_done_callback(lambda call: self._defaults.heard(details.method, call.trailing_metadata()))
            wait = self._defaults.told(outcome.exception(), until) if self._defaults.patience else None
            if wait is None:
                return outcome
            time.sleep(wait)


class AsyncInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Of `connect_async`."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        named, until = self._defaults.named(request), time.monotonic() + self._defaults.patience
        while True:
            call = await continuation(await self._with_defaults(details), named)
            try:
                answer = await call
                self._defaults.heard(_text(details.method), await call.trailing_metadata())
            except grpc.aio.AioRpcError as error:
                self._defaults.heard(_text(details.method), error.trailing_metadata())
                failed = GatewayError(error, getattr(named, "request_id", ""))
                wait = self._defaults.told(failed, until)
                if wait is None:
                    raise failed from None
                await asyncio.sleep(wait)
            else:
                return answer

    async def _with_defaults(self, details: Any) -> grpc.aio.ClientCallDetails:
        timeout, began = self._defaults.timeout if details.timeout is None else details.timeout, time.monotonic()
        with _wanting_a_token():
            async with asyncio.timeout(timeout):
                token = self._defaults.token() if callable(self._defaults.token) else self._defaults.token
                token = await token if inspect.isawaitable(token) else token
            metadata = grpc.aio.Metadata(*self._defaults.metadata(details.metadata, token))
        left = timeout - (time.monotonic() - began)
        return grpc.aio.ClientCallDetails(details.method, left, metadata, details.credentials, details.wait_for_ready)


def _text(method: str | bytes) -> str:
    return method.decode() if isinstance(method, bytes) else method
