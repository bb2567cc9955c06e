"""Graph's quota for one app in one tenant, kept from our side: 100 writes and 1,000 requests in 20 s (graph-facts §4).

A turn that has to wait is a chance: edits that come meanwhile join the write. So a burst is small, and the rest is spread;
waiting beyond the deadline is refused at once, with the time to come back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.errors import GatewayError, Reason

WINDOW_S = 20.0
SAFE = 0.95  # of the limit: what we send evenly may arrive in a bunch
BURST = 0.1  # of the limit


class Rate(NamedTuple):
    """One turn each `interval` seconds in the long run, `burst` at once after a rest."""

    interval: float
    burst: int


def rate_for(limit: int) -> Rate:
    """The rate that never lets more than `limit` turns into any window of 20 s."""
    safe = max(limit * SAFE, 1.0)
    burst = max(int(safe * BURST), 1)
    return Rate(WINDOW_S / max(safe - burst, 1.0), burst)


def gcra(rate: Rate, arrival: float, now: float) -> tuple[float, float]:
    """The generic cell rate algorithm. arrival: the theoretical one of the turn to come, as returned last time (0.0 at
    first). Returns the seconds this turn has to wait, and the arrival for the next."""
    arrival = max(arrival, now)
    wait = arrival - (rate.burst - 1) * rate.interval - now
    return max(wait, 0.0), arrival + rate.interval


class Turns:
    """Turns at a rate, in the order they were asked for. clock: the event loop's."""

    def __init__(self, limit: int, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._rate, self._arrival, self._sleep = rate_for(limit), 0.0, sleep

    async def take(self, deadline: float) -> None:
        """Waits for a turn. Raises at once: QUOTA_EXHAUSTED where it would come after the deadline, DEADLINE_EXCEEDED."""
        now = asyncio.get_running_loop().time()
        if now >= deadline:
            raise GatewayError(Reason.DEADLINE_EXCEEDED)
        wait, arrival = gcra(self._rate, self._arrival, now)
        if now + wait >= deadline:
            raise GatewayError(Reason.QUOTA_EXHAUSTED, retry_after=max(wait, 0.001))
        self._arrival = arrival
        if wait:
            await self._sleep(wait)

    def give_back(self) -> None:
        """A turn that was taken and not used."""
        self._arrival -= self._rate.interval


class Quota:
    """The turns of one tenant."""

    def __init__(self, writes: int = 100, requests: int = 1000) -> None:
        self.writes, self.requests = Turns(writes), Turns(requests)
