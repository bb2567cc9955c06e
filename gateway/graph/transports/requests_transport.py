"""The transport over requests, in threads: for networks whose proxies need one of its adapters (NTLM, Kerberos)."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.utils import get_environ_proxies

from gateway.graph.transports import Request, Response, Settings, Streamed, TransportError, whole

THREADS = 32
CHUNK_BYTES = 1 << 16
NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    ssl.SSLCertVerificationError,
)


class RequestsTransport:
    """See Transport. `session` may be given with adapters mounted; its cookies and defaults are not used."""

    def __init__(self, settings: Settings, session: requests.Session | None = None) -> None:
        self._settings = settings
        self._session = session or requests.Session()
        if session is None:
            self._session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
            self._session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
        # Apart, so that callers' reads do not hold all of them.
        self._threads = {urgent: ThreadPoolExecutor(THREADS, thread_name_prefix="graph-requests") for urgent in (True, False)}

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        deadline = time.monotonic() + timeout
        work = asyncio.get_running_loop().run_in_executor(
            self._threads[request.urgent], partial(self._send, request, deadline, fresh)
        )
        try:
            async with asyncio.timeout(timeout):
                return await work
        except TimeoutError as exc:
            raise TransportError("no answer in time", sent=True) from exc

    @asynccontextmanager
    async def stream(self, request: Request, timeout: float) -> AsyncIterator[Streamed]:
        deadline = time.monotonic() + timeout
        loop, threads = asyncio.get_running_loop(), self._threads[request.urgent]
        work = loop.run_in_executor(threads, partial(self._streamed, request, deadline))
        try:
            async with asyncio.timeout(timeout):
                response = await asyncio.shield(work)
        except (TimeoutError, asyncio.CancelledError) as exc:
            work.add_done_callback(_closed)
            if isinstance(exc, TimeoutError):
                raise TransportError("no answer in time", sent=True) from exc
            raise

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await loop.run_in_executor(threads, partial(_piece, response, deadline)):
                yield piece

        try:
            yield Streamed(response.status_code, {k.lower(): v for k, v in response.headers.items()}, pieces())
        finally:
            response.close()

    async def close(self) -> None:
        self._session.close()
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, request: Request, deadline: float, fresh: bool) -> Response:
        adapter = HTTPAdapter() if fresh else self._session.get_adapter(request.url)
        try:
            with _told(), self._sent(adapter, request, deadline) as response:
                body = self._read(response, deadline)
                return whole(Response(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body))
        finally:
            if fresh:
                adapter.close()

    def _streamed(self, request: Request, deadline: float) -> requests.Response:
        with _told():
            return self._sent(self._session.get_adapter(request.url), request, deadline)

    def _sent(self, adapter: BaseAdapter, request: Request, deadline: float) -> requests.Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TransportError("no time left to send", sent=False)
        return adapter.send(
            requests.Request(request.method, request.url, dict(request.headers), data=request.body).prepare(),
            stream=True,
            timeout=(min(left, self._settings.connect_timeout), min(left, self._settings.read_timeout)),
            verify=str(self._settings.ca_file) if self._settings.ca_file else True,
            proxies=get_environ_proxies(request.url),
        )

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        limit = self._settings.max_body_bytes
        body = bytearray()
        while chunk := _piece(response, deadline):
            body += chunk
            if len(body) > limit:
                raise TransportError(f"the answer is over {limit} bytes", sent=True)
        return bytes(body)


def _piece(response: requests.Response, deadline: float) -> bytes:
    """What has come of the body, empty at its end. Raises TransportError."""
    with _told():  # read would wait for a whole chunk and let a dribbling peer pass the deadline
        piece: bytes = response.raw.read1(CHUNK_BYTES, decode_content=True)
    if piece and time.monotonic() > deadline:
        raise TransportError("no answer in time", sent=True)
    return piece


def _closed(work: "asyncio.Future[requests.Response]") -> None:
    """Nobody waits for it any more."""
    if not work.cancelled() and work.exception() is None:
        work.result().close()


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong inside the block as a TransportError."""
    try:
        yield
    except requests.exceptions.ConnectionError as exc:
        if isinstance(exc, requests.exceptions.ConnectTimeout) or _not_sent(exc):
            raise TransportError("no connection", sent=False) from exc
        raise TransportError("the connection was cut", sent=True) from None
    except requests.exceptions.Timeout as exc:
        raise TransportError("no answer in time", sent=True) from exc
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as exc:
        # Not chained: these carry what the server sent.
        raise TransportError(f"the answer was cut off or is not HTTP ({type(exc).__name__})", sent=True) from None


def _not_sent(exc: BaseException) -> bool:
    """Whether the connection failed before the request went out: urllib3 says so in the reason of its MaxRetryError."""
    inner = exc.args[0] if exc.args else None
    reason = getattr(inner, "reason", None)
    while reason is not None and not isinstance(reason, NOT_SENT):
        reason = reason.args[0] if reason.args and isinstance(reason.args[0], BaseException) else None
    return reason is not None
