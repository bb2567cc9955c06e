"""The HTTP clients for Graph. A Transport sends one request once, without retries, and says whether a failed one may have
reached Graph. An answer that is passed on to a caller comes as a stream: its head, then its body piece by piece.

Built-in: httptools_transport (default); aiohttp_transport, which the default uses for streams and behind proxies; and
requests_transport for proxies that need an adapter of requests. Plug-ins register in the entry-point group
`compliance_gateway.transports`, and have to pass gateway.testing.transport_contract and stream_contract.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One HTTP request. headers: may have a token, so they are not in the repr. body: JSON text or None. urgent: a write, or a
    read that a write waits for, so it must not wait for a connection that other reads hold."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    urgent: bool = False


@dataclass(frozen=True)
class Response:
    """A whole answer. headers: lower-case keys."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Streamed:
    """An answer whose body is still to come. headers: lower-case keys. pieces: the decompressed body in bounded pieces as they
    arrive; raises TransportError if it does not arrive completely. The whole size is not bounded: the reader has to count."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes] = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Time-outs in seconds; `max_body_bytes`: of an answer; `ca_file`: PEM, None for the system's trust."""

    ca_file: Path | None = None
    connect_timeout: float = 5
    read_timeout: float = 20
    max_body_bytes: int = 8 << 20


class TransportError(Exception):
    """There is no complete answer. sent: whether the request may have reached Graph. why: the transport's own words, no
    upstream text."""

    def __init__(self, why: str, *, sent: bool) -> None:
        self.why, self.sent = why, sent
        super().__init__(why)


def whole(response: Response) -> Response:
    """The response, unless its body is empty and no header says so: that is how a head that was cut in two looks. Raises
    TransportError."""
    announced = {"content-length", "transfer-encoding"} & response.headers.keys()
    if not (response.body or announced or response.status in (204, 304)):
        raise TransportError("the answer was cut off", sent=True)
    return response


class Transport(Protocol):
    """Sends requests over connections that it keeps alive."""

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        """Sends once, and reads the whole answer within `timeout` seconds. fresh: on a new connection. Redirects are not
        followed. Raises TransportError; cancelling the task ends the wait at once."""
        ...

    def stream(self, request: Request, timeout: float) -> AbstractAsyncContextManager[Streamed]:
        """Sends once; the block gets the answer when its head has arrived, and has `timeout` seconds for all of it. Leaving the
        block early closes the connection. Otherwise as `send`; raises TransportError."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...
