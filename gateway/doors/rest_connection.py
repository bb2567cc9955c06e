"""One connection of the REST door."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.doors.rest_http import refused, response_of
from gateway.errors import GatewayError, Reason, invalid
from gateway.logs import log_bug
from gateway.odata import dumps

log = logging.getLogger(__name__)

TOO_LARGE = (
    "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json; charset=utf-8\r\n"
    "Content-Length: {}\r\nConnection: close\r\n\r\n"
)


class Connection(web.RequestHandler):
    """aiohttp's connection, except that unreadable HTTP is answered in Graph's format, and neither logged nor echoed: it may
    contain a token. lost: called when the connection is lost. The client has `head_s` seconds to send its first head, and
    `answer_s` to read each answer. most_ahead: the most bytes of an incomplete head, and of requests that wait for earlier
    ones."""

    def __init__(
        self, *given: Any, lost: Callable[[], None], head_s: float, answer_s: float, most_ahead: int, **more: Any
    ) -> None:
        super().__init__(*given, **more)
        self._lost, self._head_s, self._answer_s, self._most_ahead = lost, head_s, answer_s, most_ahead
        self._silent: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._unfinished = self._waiting = 0
        self._body: StreamReader = EMPTY_PAYLOAD

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Writing pauses as soon as anything is left, so that the end of an answer has to be taken in time too. (At 0, TLS of
        # asyncio's would pause with nothing left.)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=1, low=0)
        self._silent = asyncio.get_running_loop().call_later(self._head_s, self.force_close)

    def data_received(self, data: bytes) -> None:
        """Bounds unread input. aiohttp bounds only each header, the number of headers and the number of waiting requests: that
        allows 4 MiB for a head, and 32 of them."""
        if not self._messages:
            self._waiting = 0
        heads, of_a_body = self._request_count, not self._body.is_eof()
        super().data_received(data)
        if self._request_count > heads:
            self._body = self._messages[-1][1]
            self._waiting += len(data) + self._unfinished if len(self._messages) > 1 else 0
            self._unfinished = 0
        elif not of_a_body:
            self._unfinished += len(data)
        if self._unfinished + self._waiting > self._most_ahead and self.transport is not None:
            self._refuse(self.transport)

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Of a head that is not whole; another's answer is not cut into."""
        if self._current_request is None and not self._messages:
            json = dumps(refused(GatewayError(Reason.HEADERS_TOO_LARGE), {}).body).encode()
            transport.write(TOO_LARGE.format(len(json)).encode() + json)
            self.force_close()
        else:
            transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._stuck = asyncio.get_running_loop().call_later(self._answer_s, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def heard(self) -> None:
        """Its first head has come."""
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.heard()
        self._taken()
        self._lost()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if exc is not None and status >= 500:
            log_bug(log, exc, door="rest")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way") from exc
        error = invalid("request", "is not valid HTTP", Reason.MESSAGE_MALFORMED)
        response = response_of(refused(error if status < 500 else GatewayError(Reason.INTERNAL), {}))
        response.force_close()
        return response
