"""Yields the event loop during long computations: a coroutine that does not blocks every other call."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Generator
from typing import TypeVar

# How long one thing may hold the loop, and all that begin in one turn of it; and steps after which others have it anyway:
# what these steps set going runs then.
SLICE_S = 0.01
STEPS = 50

T = TypeVar("T")


class _Turn(threading.local):
    """Of this thread's loop, since somebody asked how long it takes."""

    loop: asyncio.AbstractEventLoop | None = None
    began = 0.0

    def took(self, loop: asyncio.AbstractEventLoop) -> float:
        """Seconds."""
        now = time.perf_counter()
        if self.loop is not loop:
            self.loop, self.began = loop, now
            loop.call_soon(self._over)
        return now - self.began

    def _over(self) -> None:
        self.loop = None


_turn = _Turn()


async def rest() -> None:
    """Continues in a later turn of the loop if this one has taken long enough, so that many coroutines that start or wake
    together take turns."""
    loop = asyncio.get_running_loop()
    while _turn.took(loop) > SLICE_S:  # noqa: ASYNC110 - it is the turn that is waited for
        await asyncio.sleep(0)


async def slowly(steps: Generator[None, None, T]) -> T:
    """Runs the steps to their end, with pauses, and returns their result. Cancelling it waits for the remaining steps."""
    try:
        while True:
            began = time.perf_counter()
            for _ in range(STEPS):
                next(steps)
                if time.perf_counter() - began > SLICE_S:
                    break
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                deque(steps, maxlen=0)
                raise
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def at_once(steps: Generator[None, None, T]) -> T:
    """The same, without pauses."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
