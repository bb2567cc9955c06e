"""The default transport: aiohttp, on the event loop."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from gateway.authorities import context_for
from gateway.graph.transports import Request, Response, Settings, TransportError, whole

# Reads wait for a connection; a write never does: its body is stale by then. The quota bounds how many there are at once.
CONNECTIONS = {True: 100, False: 0}
# Below the idle time-out of Graph's front end: a connection closed there while we send would leave a write in doubt.
KEEPALIVE_S = 15


class AiohttpTransport:
    """See Transport. Proxies come from the environment (HTTPS_PROXY, NO_PROXY), and nothing else does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tls = context_for(settings.ca_file)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # of reads, of writes

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        reads = request.method == "GET"
        if fresh:
            async with self._new_session(reads) as session:
                return await self._send(session, request, timeout)
        if reads not in self._sessions:
            self._sessions[reads] = self._new_session(reads)
        return await self._send(self._sessions[reads], request, timeout)

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    def _new_session(self, reads: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=CONNECTIONS[reads], keepalive_timeout=KEEPALIVE_S)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)

    async def _send(self, session: aiohttp.ClientSession, request: Request, timeout: float) -> Response:
        limits = aiohttp.ClientTimeout(
            total=timeout,
            sock_connect=min(timeout, self._settings.connect_timeout),
            sock_read=self._settings.read_timeout,
            ceil_threshold=3600,
        )
        try:
            async with session.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                proxy=_proxy_for(request.url),
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

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._settings.max_body_bytes
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > limit:
                response.close()
                raise TransportError(f"the answer is over {limit} bytes", sent=True)
        return bytes(body)


def _proxy_for(url: str) -> str | None:
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
