"""Bounds the request bodies that are being received at a door, in total and for each caller, and so the memory of incomplete
ones. A body that waits for its turn is not read meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import GatewayError, Reason

# Each may have as many bytes as a request may: 64 MiB in all, and 8 MiB of one caller, if nothing else is configured.
MOST, MOST_OF_ONE = 64, 8
RETRY_S = 1.0


class Bodies:
    """Of one door."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._all, self._most_of_one = asyncio.Semaphore(most), most_of_one
        self._own: dict[str, asyncio.Semaphore] = {}
        self._asking: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, caller: str, until: float) -> AsyncIterator[None]:
        """Inside the block, a body of this caller may be received. until: event loop's clock. Raises CALLER_TOO_BUSY if there
        was no room by then."""
        own = self._own.setdefault(caller, asyncio.Semaphore(self._most_of_one))
        self._asking[caller] += 1
        try:
            await _taken(own, until)
            try:
                await _taken(self._all, until)
                try:
                    yield
                finally:
                    self._all.release()
            finally:
                own.release()
        finally:
            self._asking[caller] -= 1
            if not self._asking[caller]:
                del self._asking[caller], self._own[caller]


async def _taken(room: asyncio.Semaphore, until: float) -> None:
    """Where there is room, no clock is needed."""
    if not room.locked():
        await room.acquire()
        return
    try:
        async with asyncio.timeout_at(until):
            await room.acquire()
    except TimeoutError:
        raise GatewayError(
            Reason.CALLER_TOO_BUSY, "Too many request bodies are incomplete at the moment.", retry_after=RETRY_S
        ) from None
