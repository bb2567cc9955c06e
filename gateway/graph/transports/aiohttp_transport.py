"""The transport over aiohttp, on the event loop."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from gateway.authorities import context_for
from gateway.graph.transports import Request, Response, Settings, Streamed, TransportError, whole

# Callers' reads wait for a connection. What is urgent never does: a write's body is stale by then, and however slow Graph is to
# callers' reads, a write's own go on. The quota bounds how many there are at once.
CONNECTIONS = {True: 0, False: 100}
# Below the idle time-out of Graph's front end: a connection closed there while we send would leave a write in doubt.
KEEPALIVE_S = 15
# A body of more goes out in pieces, so that it does not hold the loop; aiohttp asks for that.
LARGE_BYTES = 1 << 20


class AiohttpTransport:
    """See Transport. Proxies come from the environment (HTTPS_PROXY, NO_PROXY) at the first request to a host: looking them up
    costs more than the rest of a request. Nothing else is taken from the environment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = context_for(settings.ca_file)
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}  # urgent or not, on new connections or not
        self._proxies: dict[str, str | None] = {}  # by scheme and host

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        with _told():
            async with self._sent(request, timeout, fresh) as response:
                body = await self._read(response)
                return whole(Response(response.status, _headers(response), body))

    @asynccontextmanager
    async def stream(self, request: Request, timeout: float) -> AsyncIterator[Streamed]:
        with _told():
            response = await self._sent(request, timeout, fresh=False)
        try:
            yield Streamed(response.status, _headers(response), _pieces(response))
        finally:
            response.close() if not response.content.at_eof() else response.release()

    def _sent(self, request: Request, timeout: float, fresh: bool) -> Any:
        session = self._sessions.get((request.urgent, fresh)) or self._new_session(request.urgent, fresh)
        limits = aiohttp.ClientTimeout(
            total=timeout,
            sock_connect=min(timeout, self._settings.connect_timeout),
            sock_read=self._settings.read_timeout,
            ceil_threshold=3600,
        )
        root = "/".join(request.url.split("/", 3)[:3])
        if root not in self._proxies:
            self._proxies[root] = proxy_for(*urlsplit(root)[:2])
        return session.request(
            request.method,
            request.url,
            data=BytesIO(request.body) if request.body and len(request.body) > LARGE_BYTES else request.body,
            headers=request.headers,
            proxy=self._proxies[root],
            timeout=limits,
            allow_redirects=False,
        )

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _new_session(self, urgent: bool, fresh: bool) -> aiohttp.ClientSession:
        kept: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": KEEPALIVE_S}
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=CONNECTIONS[urgent], **kept)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)
        self._sessions[urgent, fresh] = session
        return session

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_body_bytes
        body = bytearray()
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > limit:
                response.close()
                raise TransportError(f"the answer is over {limit} bytes", sent=True)
        return bytes(body)


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with _told():
        async for chunk in response.content.iter_any():
            yield chunk


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong inside the block as a TransportError."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as exc:
        raise TransportError("no connection in time", sent=False) from exc
    except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL) as exc:
        raise TransportError("no connection", sent=False) from exc
    except TimeoutError as exc:
        raise TransportError("no answer in time", sent=True) from exc
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        # Not chained: these carry what the server sent.
        raise TransportError(f"the answer was cut off or is not HTTP ({type(exc).__name__})", sent=True) from None


def proxy_for(scheme: str, host: str) -> str | None:
    return None if proxy_bypass(host) else getproxies().get(scheme)
