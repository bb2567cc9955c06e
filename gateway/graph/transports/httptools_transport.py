"""The default transport: connections of its own, on the event loop, for the requests that the gateway makes for itself. What is
rare or comes in pieces it leaves to aiohttp: hosts behind a proxy, and answers that are passed on (docs/decisions/0009)."""

import asyncio
import re
import socket
from collections import deque
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohappyeyeballs
from yarl import URL

from gateway.authorities import context_for
from gateway.graph.transports import Request, Response, Settings, Streamed, TransportError, whole
from gateway.graph.transports.aiohttp_transport import CONNECTIONS, KEEPALIVE_S, AiohttpTransport, proxy_for
from gateway.graph.transports.http_connection import Connection

# RFC 8305: how long the first address of a host is tried alone.
NEXT_ADDRESS_S = 0.25
# What a request line takes as it is (RFC 3986 §3.3, §3.4); anything else is quoted first.
PLAIN = re.compile(r"/[\w!$%&'()*+,\-./:;=?@~]*", re.ASCII)
PORTS = {"https": 443, "http": 80}


@dataclass(eq=False)
class Origin:
    """Where requests go. authority: as the Host header has it. idle: connections, the last used one last."""

    host: str
    port: int
    is_tls: bool
    is_proxied: bool
    authority: str
    idle: deque[Connection] = field(default_factory=deque)

    def kept(self, now: float) -> Connection | None:
        """An idle connection."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open and now - connection.idle_since < KEEPALIVE_S:
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection, now: float) -> None:
        while self.idle and now - self.idle[0].idle_since >= KEEPALIVE_S:
            self.idle.popleft().close()
        if connection.is_open:
            self.idle.append(connection)


class HttptoolsTransport:
    """See Transport. The environment decides about proxies alone (HTTPS_PROXY, NO_PROXY), at the first request to a host."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = context_for(settings.ca_file)
        self._origins: dict[str, Origin] = {}
        self._connections = WeakSet[Connection]()
        # Callers' reads; what is urgent never waits for a connection (see CONNECTIONS).
        self._reads = asyncio.Semaphore(CONNECTIONS[False])
        self._aiohttp = AiohttpTransport(settings)

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        root = "/".join(request.url.split("/", 3)[:3])
        origin = self._origins.get(root) or self._new_origin(root)
        if origin.is_proxied:
            return await self._aiohttp.send(request, timeout, fresh=fresh)
        message = _message(request, origin.authority, root)
        ends = asyncio.get_running_loop().time() + timeout
        if request.urgent:
            return await self._send(origin, message, ends, fresh)
        try:
            # A time-out costs as much as the rest of this method.
            async with asyncio.timeout_at(ends) if self._reads.locked() else nullcontext():
                await self._reads.acquire()
        except TimeoutError as exc:
            raise TransportError("no connection in time", sent=False) from exc
        try:
            return await self._send(origin, message, ends, fresh)
        finally:
            self._reads.release()

    def stream(self, request: Request, timeout: float) -> AbstractAsyncContextManager[Streamed]:
        return self._aiohttp.stream(request, timeout)

    async def close(self) -> None:
        for connection in self._connections:
            connection.close()
        await self._aiohttp.close()

    async def _send(self, origin: Origin, message: bytes, ends: float, fresh: bool) -> Response:
        loop = asyncio.get_running_loop()
        connection = None if fresh else origin.kept(loop.time())
        if connection is None:
            connection = await self._connect(origin, ends)
        if (left := ends - loop.time()) <= 0:
            connection.close()
            raise TransportError("no time left to send", sent=False)
        response = await connection.ask(message, left)
        origin.keep(connection, loop.time())
        return whole(response)

    async def _connect(self, origin: Origin, ends: float) -> Connection:
        loop = asyncio.get_running_loop()
        tls, name = (self._tls, origin.host) if origin.is_tls else (None, None)
        try:
            async with asyncio.timeout_at(min(ends, loop.time() + self._settings.connect_timeout)):
                addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
                connected = await aiohappyeyeballs.start_connection(
                    addresses, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1, loop=loop
                )
                try:
                    _, connection = await loop.create_connection(
                        partial(Connection, self._settings), sock=connected, ssl=tls, server_hostname=name
                    )
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError as exc:
            raise TransportError("no connection in time", sent=False) from exc
        except OSError as exc:
            raise TransportError("no connection", sent=False) from exc
        self._connections.add(connection)
        return connection

    def _new_origin(self, root: str) -> Origin:
        try:
            url = URL(root)
            scheme, port, host = url.scheme, url.port, url.raw_host
        except ValueError:
            raise TransportError("no connection", sent=False) from None
        if not (host and port and scheme in PORTS):
            raise TransportError("no connection", sent=False)
        authority = url.host_port_subcomponent or host
        proxied = proxy_for(*urlsplit(root)[:2]) is not None
        self._origins[root] = origin = Origin(host, port, scheme == "https", proxied, authority)
        return origin


def _message(request: Request, authority: str, root: str) -> bytes:
    """The request as it is sent. Raises TransportError for what HTTP cannot carry."""
    target = request.url[len(root) :] or "/"
    if not PLAIN.fullmatch(target):
        target = URL(request.url).raw_path_qs
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {authority}", "Accept-Encoding: gzip"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    body = request.body or b""
    if request.body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or "\0" in head or not head.isascii():
        raise TransportError("a header has characters that HTTP does not allow", sent=False)
    return b"%b\r\n\r\n%b" % (head.encode("ascii"), body)
