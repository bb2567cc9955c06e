"""How long the writer waits, and how often it looks."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import Kind

# Between the first looks after a write; the last again and again. Terraform's provider looks 30 times, 2 s apart.
PAUSES_S = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
# The longest pause between reads that are too old.
OLD_READ_S = 2.0
# What may be otherwise when it is tried again.
MAY_PASS = (Kind.RESOURCE_EXHAUSTED, Kind.UNAVAILABLE, Kind.ABORTED)


@dataclass(frozen=True)
class Patience:
    """read_back: seconds until an accepted write shows. doubt: seconds for one whose answer was lost. attempts: rounds of
    one batch. jitter, sleep: for tests."""

    read_back: float = 60.0
    doubt: float = 2.0
    attempts: int = 6
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def looks(self, seconds: float) -> AsyncIterator[None]:
        """Paces looks: at once, then with growing pauses, the last one after `seconds`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pauses = iter(PAUSES_S)
        pause = PAUSES_S[-1]
        while True:
            pause = next(pauses, pause)
            left = end - loop.time()
            await self.sleep(max(0.0, min(pause, left)))
            yield
            if left <= pause and pause > 0:
                return
