"""Background tasks for the length of a block."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.logs import log_bug

log = logging.getLogger(__name__)


@asynccontextmanager
async def repeating(name: str, pause: float, step: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Inside the block, runs `step` every `pause` seconds. An unexpected exception is logged, and the next run comes anyway."""

    async def again() -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                await step()
            except Exception as exc:  # noqa: BLE001 - nobody awaits this task
                log_bug(log, exc, task=name)

    async with beside(name, again()):
        yield


@asynccontextmanager
async def beside(name: str, work: "asyncio._CoroutineLike[None]") -> AsyncIterator[None]:
    """Inside the block, runs this task."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
