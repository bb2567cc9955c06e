"""Whether calls are taken: once the gate is closed, new calls are refused, and running ones can be waited for."""

import asyncio

from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason
from gateway.ledger.write import Write
from gateway.pace import rest

RETRY_S = 1.0


class Gate:
    """The step."""

    def __init__(self) -> None:
        self._closed = False
        self._running: dict[asyncio.Timeout, Call] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises SHUTTING_DOWN; OUTCOME_UNKNOWN for a write that was sent to Graph. If many calls come at once, only some start
        in each turn of the event loop."""
        await rest()
        if self._closed:
            raise GatewayError(Reason.SHUTTING_DOWN, retry_after=RETRY_S)
        try:
            async with asyncio.timeout(None) as limit:
                self._running[limit] = call
                self._empty.clear()
                try:
                    return await next_handler(call)
                finally:
                    del self._running[limit]
                    if not self._running:
                        self._empty.set()
        except TimeoutError:
            write = (call.record.call or call).write
            sent = isinstance(write, Write) and write.entry.sent is not None
            raise GatewayError(Reason.OUTCOME_UNKNOWN if sent else Reason.SHUTTING_DOWN, retry_after=RETRY_S) from None

    def close(self) -> None:
        """Refuses calls from now on; running ones go on."""
        self._closed = True

    async def emptied(self, seconds: float) -> bool:
        """Waits up to so many seconds. Returns whether all running calls have ended."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def clear(self, *, writes: bool) -> None:
        """Cancels the running reads, and with `writes` the running writes too."""
        now = asyncio.get_running_loop().time()
        for limit, call in self._running.items():
            if writes or not call.operation.writes:
                limit.reschedule(now)
