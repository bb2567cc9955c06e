"""A connection of HttptoolsTransport: one request at a time, its answer parsed by httptools (llhttp, which refuses what is
ambiguous: two lengths, a length beside chunks, bare line feeds).

Promises: an answer belongs to the request that was sent last, or the connection is closed; what a server sends is bounded in
size and in time."""

import asyncio
import zlib
from dataclasses import dataclass, field
from typing import Any

import httptools

from gateway.graph.transports import Response, Settings, TransportError

# The most of an answer's head and trailers.
HEAD_BYTES = 64 << 10
# wbits of zlib for a gzip header and trailer.
GZIP = 31


@dataclass(eq=False)
class Answer:
    """An answer as it arrives. received: bytes, of which `head` are names and values of headers, and `body` content. is_whole:
    it has arrived. keeps_alive: then another request may be sent."""

    arrived: "asyncio.Future[None]"
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    status: int = 0
    received: int = 0
    head: int = 0
    body: int = 0
    is_whole: bool = False
    keeps_alive: bool = False

    def end(self, *, keeps_alive: bool) -> None:
        self.is_whole, self.keeps_alive = True, keeps_alive
        if not self.arrived.done():
            self.arrived.set_result(None)

    def fail(self, error: TransportError) -> None:
        if not self.arrived.done():
            self.arrived.set_exception(error)

    def check(self, limit: int) -> None:
        """Raises TransportError if it is too large."""
        if self.body > limit or self.received > 2 * limit + HEAD_BYTES:
            raise TransportError(f"the answer is over {limit} bytes", sent=True)
        if self.head > HEAD_BYTES or (not self.status and self.received > HEAD_BYTES):
            raise TransportError(f"the head of the answer is over {HEAD_BYTES} bytes", sent=True)

    def response(self, limit: int) -> Response:
        """Raises TransportError."""
        body = b"".join(self.pieces)
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding == "gzip" and body:
            body = unpacked(body, limit)
        elif encoding not in ("gzip", "identity"):
            raise TransportError("the answer has a compression that was not requested", sent=True)
        return Response(self.status, self.headers, body)


class Connection(asyncio.Protocol):
    """See above. idle_since: when the last answer had arrived, by the event loop's clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._loop = settings, asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = self._heard = self.idle_since = 0.0

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        return not self._transport.is_closing()

    async def ask(self, request: bytes, timeout: float) -> Response:
        """Sends a request, and returns its answer. Raises TransportError; on that, and if the task is cancelled, the connection
        is closed."""
        answer = self._answer = Answer(self._loop.create_future())
        self._heard = self._loop.time()
        self._deadline = self._heard + timeout
        self._transport.write(request)
        self._watch()
        try:
            await answer.arrived
            return answer.response(self._settings.max_body_bytes)
        except BaseException:
            answer.keeps_alive = False
            raise
        finally:
            self._answer, self.idle_since = None, self._heard
            if self._timer:
                self._timer.cancel()
            if not answer.keeps_alive:
                self._transport.abort()

    def close(self) -> None:
        """Also ends a request that is under way."""
        self._transport.abort()

    def _watch(self) -> None:
        """Ends the wait at the deadline, or when nothing has come for too long. One timer for each request: it is set anew only
        when it fires."""
        ends = min(self._deadline, self._heard + self._settings.read_timeout)
        if self._loop.time() < ends:
            self._timer = self._loop.call_at(ends, self._watch)
        elif self._answer is not None:
            self._answer.fail(TransportError("no answer in time", sent=True))

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # taken for the next request's answer, it could be anything
            self._transport.abort()
            return
        self._heard = self._loop.time()
        answer.received += len(data)
        try:
            self._parser.feed_data(data)
            if not answer.is_whole:
                answer.check(self._settings.max_body_bytes)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            answer.keeps_alive = False
            answer.fail(cut_off(exc))
        except TransportError as error:
            answer.fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        answer = self._answer
        if answer is None or answer.is_whole:
            return
        if exc is None and answer.status >= 200 and {"content-length", "transfer-encoding"}.isdisjoint(answer.headers):
            answer.end(keeps_alive=False)
        else:
            answer.fail(cut_off(exc or ConnectionResetError()))

    # What the parser calls; they must not raise. After the whole answer nothing may come.

    def on_message_begin(self) -> None:
        if self._answer and self._answer.is_whole:
            self._answer.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        answer = self._answer
        if answer and not answer.is_whole:
            answer.head += len(name) + len(value)
            answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1").rstrip()

    def on_headers_complete(self) -> None:
        if self._answer and not self._answer.is_whole:
            self._answer.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        answer = self._answer
        if answer and not answer.is_whole:
            answer.body += len(data)
            answer.pieces.append(data)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or answer.is_whole:
            return
        if answer.status < 200:  # 100 or 103: the answer is still to come
            answer.status = 0
            answer.headers.clear()
        else:
            answer.end(keeps_alive=self._parser.should_keep_alive())


def unpacked(body: bytes, limit: int) -> bytes:
    """The content of one gzip member. Raises TransportError."""
    unpacking = zlib.decompressobj(GZIP)
    try:
        content = unpacking.decompress(body, limit + 1)
    except zlib.error as exc:
        raise cut_off(exc) from None
    if len(content) > limit:
        raise TransportError(f"the answer is over {limit} bytes", sent=True)
    if not unpacking.eof or unpacking.unused_data:
        raise cut_off(zlib.error())
    return content


def cut_off(exc: Exception) -> TransportError:
    """Without the exception's text, which has what the server sent."""
    return TransportError(f"the answer was cut off or is not HTTP ({type(exc).__name__})", sent=True)
