"""The HTTP clients for Graph. A Transport sends one request once, without retries, and says whether a failed one may have
reached Graph. An answer that is passed on to a caller comes as a stream: its head, then its body piece by piece.

Built-in: aiohttp_transport (default), and requests_transport for proxies that need an adapter of requests. Plug-ins register in
the entry-point group `compliance_gateway.transports`, and have to pass gateway.testing.transport_contract and stream_contract.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One HTTP request; `headers` may hold a token, so it is kept out of the repr. body: JSON text or None. urgent: it is a
    write, or a write waits for it, so it may not wait for a connection that other reads hold."""

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
    """An answer whose body is still to come. headers: lower-case keys. pieces: of the body, decompressed, each no larger than
    what is read at once, as they come; raises TransportError where it does not come whole. Of any size: who reads, counts."""

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
    """No whole answer. sent: whether the request may have reached Graph. why: in our words, no upstream text."""

    def __init__(self, why: str, *, sent: bool) -> None:
        self.why, self.sent = why, sent
        super().__init__(why)


def whole(response: Response) -> Response:
    """The response, if it is one: an empty body that no header announces is what a head cut in two looks like.

    Raises TransportError.
    """
    announced = {"content-length", "transfer-encoding"} & response.headers.keys()
    if not (response.body or announced or response.status in (204, 304)):
        raise TransportError("the answer was cut off", sent=True)
    return response


class Transport(Protocol):
    """Sends requests over connections that it keeps alive."""

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        """Sends once and reads the whole answer, within `timeout` seconds. fresh: on a new connection.

        Follows no redirect. Raises TransportError; cancelling the task ends the wait at once.
        """
        ...

    def stream(self, request: Request, timeout: float) -> AbstractAsyncContextManager[Streamed]:
        """Sends once; the block has the answer as soon as its head is there, and `timeout` seconds for all of it. Who leaves
        before the end closes the connection. Otherwise as `send`; raises TransportError."""
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...
