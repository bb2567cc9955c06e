"""The default transport: aiohttp, on the event loop."""

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from gateway.authorities import context_for
from gateway.graph.transports import Request, Response, Settings, TransportError, whole

# Callers' reads wait for a connection. What is urgent never does: a write's body is stale by then, and however slow Graph is to
# callers' reads, a write's own go on. The quota bounds how many there are at once.
CONNECTIONS = {True: 0, False: 100}
# Below the idle time-out of Graph's front end: a connection closed there while we send would leave a write in doubt.
KEEPALIVE_S = 15
# A body of more goes out in pieces, so that it does not hold the loop; aiohttp asks for that.
LARGE_BYTES = 1 << 20


class AiohttpTransport:
    """See Transport. Proxies come from the environment (HTTPS_PROXY, NO_PROXY), as it is when a host is first asked: to search
    it costs more than all else that is done for a request. Nothing else comes from there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = context_for(settings.ca_file)
        self._sessions: dict[tuple[bool, bool], aiohttp.ClientSession] = {}  # urgent or not, on new connections or not
        self._proxies: dict[str, str | None] = {}  # by scheme and host

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        kind = request.urgent, fresh
        session = self._sessions.get(kind) or self._new_session(*kind)
        limits = aiohttp.ClientTimeout(
            total=timeout,
            sock_connect=min(timeout, self._settings.connect_timeout),
            sock_read=self._settings.read_timeout,
            ceil_threshold=3600,
        )
        try:
            root = "/".join(request.url.split("/", 3)[:3])
            if root not in self._proxies:
                self._proxies[root] = _proxy_for(*urlsplit(root)[:2])
            async with session.request(
                request.method,
                request.url,
                data=BytesIO(request.body) if request.body and len(request.body) > LARGE_BYTES else request.body,
                headers=request.headers,
                proxy=self._proxies[root],
                timeout=limits,
                allow_redirects=False,
            ) as response:
                body = await self._read(response)
                return whole(Response(response.status, {k.lower(): v for k, v in response.headers.items()}, body))
        except aiohttp.ConnectionTimeoutError as exc:
            raise TransportError("no connection in time", sent=False) from exc
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.InvalidURL) as exc:
            raise TransportError("no connection", sent=False) from exc
        except TimeoutError as exc:
            raise TransportError("no answer in time", sent=True) from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # Not chained: these carry what the server sent.
            raise TransportError(f"the answer was cut off or is no HTTP ({type(exc).__name__})", sent=True) from None

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


def _proxy_for(scheme: str, host: str) -> str | None:
    return None if proxy_bypass(host) else getproxies().get(scheme)
