"""Graph's quota for one app in one tenant, kept from our side: 100 writes and 1,000 requests in 20 s (docs/graph.md §4).

A turn that has to wait is a chance: edits that come meanwhile join the write. So a burst is small, and the rest is spread;
waiting beyond the deadline is refused at once, with the time to come back.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from gateway.errors import GatewayError, Reason

WINDOW_S = 20.0
SAFE = 0.95  # of the limit: what we send evenly may arrive in a bunch
BURST = 0.1  # of the limit
RESERVE = 0.5  # of the burst: what callers' reads leave of the requests for what writes need


class Rate(NamedTuple):
    """One turn each `interval` seconds in the long run, `burst` at once after a rest."""

    interval: float
    burst: int


def rate_for(limit: int) -> Rate:
    """The rate that never lets more than `limit` turns into any window of 20 s."""
    safe = max(limit * SAFE, 1.0)
    burst = max(int(safe * BURST), 1)
    return Rate(WINDOW_S / max(safe - burst, 1.0), burst)


def gcra(rate: Rate, arrival: float, now: float, reserve: int = 0) -> tuple[float, float]:
    """The generic cell rate algorithm. arrival: the theoretical one of the turn to come, as returned last time (0.0 at
    first). reserve: turns of the burst that are left for others. Returns the seconds this turn has to wait, and the arrival for
    the next."""
    arrival = max(arrival, now)
    wait = arrival - (rate.burst - reserve - 1) * rate.interval - now
    return max(wait, 0.0), arrival + rate.interval


class Turns:
    """Turns at a rate, in the order they were asked for; urgent ones first, and they alone may have the last of the burst:
    reserve, a share of it."""

    def __init__(self, limit: int, reserve: float = 0.0) -> None:
        self._rate, self._arrival = rate_for(limit), 0.0
        self._reserve = int(self._rate.burst * reserve)
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def are_scarce(self) -> bool:
        """Whether a turn would have to be waited for."""
        return bool(self._urgent or self._others or gcra(self._rate, self._arrival, asyncio.get_running_loop().time())[0])

    def wait_now(self) -> float:
        """Seconds that a turn which is asked for now would be waited for."""
        wait, _ = gcra(self._rate, self._arrival, asyncio.get_running_loop().time(), self._reserve)
        return wait + (len(self._urgent) + len(self._others)) * self._rate.interval

    async def take(self, deadline: float, *, urgent: bool = False) -> None:
        """Waits for a turn; deadline: event loop's clock. Raises QUOTA_EXHAUSTED, at once where it can be foreseen that the
        turn would come after the deadline; DEADLINE_EXCEEDED."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= deadline:
            raise GatewayError(Reason.DEADLINE_EXCEEDED)
        ahead = len(self._urgent) + (0 if urgent else len(self._others))
        wait, arrival = gcra(self._rate, self._arrival, now, 0 if urgent else self._reserve)
        if not ahead and not wait:
            self._arrival = arrival
            return
        wait += ahead * self._rate.interval
        if now + wait >= deadline:
            raise GatewayError(Reason.QUOTA_EXHAUSTED, retry_after=max(wait, 0.001))
        turn: asyncio.Future[None] = loop.create_future()
        (self._urgent if urgent else self._others).append(turn)
        self._give(loop)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:  # urgent ones went before
            raise GatewayError(Reason.QUOTA_EXHAUSTED, retry_after=self._rate.interval * (ahead + 1)) from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """A turn that was taken and not used."""
        self._arrival -= self._rate.interval
        if self._timer is not None:
            self._give(asyncio.get_running_loop())

    def _give(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives the turns that there are, and comes back for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while queue := self._urgent or self._others:
            if queue[0].done():  # nobody waits for it any more
                queue.popleft()
                continue
            wait, arrival = gcra(self._rate, self._arrival, loop.time(), 0 if queue is self._urgent else self._reserve)
            if wait:
                self._timer = loop.call_later(wait, self._give, loop)
                return
            self._arrival = arrival
            queue.popleft().set_result(None)


class Quota:
    """The turns of one tenant. A write, and what it has to read, goes before callers' reads: there are few writes, as their own
    turns bound them, and any number of reads."""

    def __init__(self, writes: int = 100, requests: int = 1000) -> None:
        self.writes, self.requests = Turns(writes), Turns(requests, RESERVE)
