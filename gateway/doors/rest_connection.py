"""One connection of the REST door."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.doors.rest_http import refused, response_of
from gateway.errors import GatewayError, Reason, invalid
from gateway.logs import log_bug

log = logging.getLogger(__name__)


class Connection(web.RequestHandler):
    """aiohttp's, but what is no HTTP is answered in Graph's shape, and neither logged nor repeated: it may hold a token.

    lost: called when the connection is. It has `head_s` seconds to send its first head."""

    def __init__(self, *given: Any, lost: Callable[[], None], head_s: float, **more: Any) -> None:
        super().__init__(*given, **more)
        self._lost, self._head_s = lost, head_s
        self._silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._silent = asyncio.get_running_loop().call_later(self._head_s, self.force_close)

    def heard(self) -> None:
        """Its first head has come."""
        if self._silent is not None:
            self._silent.cancel()
            self._silent = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.heard()
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
        error = invalid("request", "is no HTTP that can be read", Reason.MESSAGE_MALFORMED)
        response = response_of(refused(error if status < 500 else GatewayError(Reason.INTERNAL), {}))
        response.force_close()
        return response
