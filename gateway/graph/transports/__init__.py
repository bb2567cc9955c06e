"""The wire to Graph. A Transport sends one request once and says what is certain about a failure; it retries nothing.

Built-ins: aiohttp_transport (default), requests_transport (for proxies that need its adapters). Others register in the
entry-point group `compliance_gateway.transports` and prove themselves with gateway.testing.transport_contract.
"""

from collections.abc import Mapping
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

    async def close(self) -> None:
        """Closes every connection."""
        ...
