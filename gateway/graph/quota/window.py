"""How many turns one of Graph's windows has, and when. Pure; the clock is given, in seconds; one that steps back stands still.

Promise: a turn counts from when it is taken until 20 s after its request was answered. Whenever in between Graph has counted
the request, no 20 s of Graph's have more than the limit, however late, early or in a bunch requests arrive.
"""

import math
from collections import deque

from gateway.graph.quota.limit import WINDOW_S, Limit

MARGIN_S = 0.05  # Graph's clock need not run exactly as fast as ours
BURST = 0.05  # of the limit: so many turns at once after a rest, and at most a second that is missed after them
RESERVE = 0.5  # of the burst: what those who are not urgent leave to those who are, where that is wanted
SHARE_S = 0.5  # who has no share may have one by then
LEASE_S = 5.0  # how long a share is good for
ENOUGH = 1 - 1e-9  # of a turn: sums of floats are not exact


class Window:
    """limit: see Limit. reserve: of the burst, for urgent turns only. share: of the limit, where replicas divide it."""

    def __init__(self, ceiling: int, reserve: float = 0.0) -> None:
        self.limit = Limit(ceiling)
        self._reserve = reserve
        self._share: int | None = None
        self._replicas = 1
        self._untold: int | None = None  # turns that may be taken before the next share
        self._lease_ends = math.inf
        self._now = self._at = 0.0
        self._tokens = float(self._burst(ceiling))
        self._most: float | None = None  # tokens that there may be while somebody waits
        self._open = 0
        self._ends: deque[float] = deque()

    def size(self, now: float) -> int:
        """How many turns may count at a time."""
        whole = self._whole(now)
        return whole if self._share is None else min(self._share, whole)

    def used(self, now: float) -> int:
        """How many turns count now."""
        self._settle(now)
        return self._open + len(self._ends)

    def interval(self, now: float) -> float:
        """Seconds between turns in the long run."""
        return WINDOW_S / max(self.size(now), self._whole(now) // self._replicas, 1)

    def wait(self, now: float, *, urgent: bool = True) -> float:
        """Seconds until the next turn could be taken, if nobody else does."""
        now, size = self._settle(now), self.size(now)
        if not size or self._untold == 0 or now > self._lease_ends:
            return SHARE_S
        needed = 1 + self._left(size, urgent)
        pace = (needed - self._tokens) * WINDOW_S / size if self._tokens < needed - 1 + ENOUGH else 0.0
        too_many = self._open + len(self._ends) - size
        if too_many < 0:
            room = 0.0
        elif too_many < len(self._ends):
            room = self._ends[too_many] - now
        else:  # turns that are not answered yet
            room = self.interval(now)
        return max(pace, room, self.limit.closed_for(now))

    def closed_for(self, now: float) -> float:
        """Seconds that a turn which was taken may not be used for: Graph closed the window meanwhile, or we stood still for so
        long that others may have our share."""
        return max(self.limit.closed_for(now), SHARE_S if self._settle(now) > self._lease_ends else 0.0)

    def take(self, now: float) -> None:
        """A turn; `wait` was 0."""
        self._settle(now)
        self._most = None
        if self._untold is not None:
            self._untold -= 1
        self._tokens -= 1
        self._open += 1

    def answered(self, now: float) -> None:
        """A turn that was taken has been used, and Graph has answered, or never will."""
        self._ends.append(self._settle(now) + WINDOW_S + MARGIN_S)
        self._open -= 1

    def give_back(self, now: float) -> None:
        """A turn that was taken, and was not used: nothing was sent."""
        self._settle(now)
        self._tokens = min(self._tokens + 1, self._burst(self.size(self._now)))
        self._open -= 1

    def hold(self, now: float, *, urgent: bool) -> None:
        """Somebody waits for the next turn: those that are missed meanwhile are no burst later. A burst is for after a rest."""
        self._settle(now)
        self._most = 1.0 + self._left(self.size(self._now), urgent)
        self._tokens = min(self._tokens, self._most)

    def set_share(self, now: float, share: int | None, untold: int | None = None, replicas: int = 1) -> None:
        """What replicas leave to this one from now on; None: all. Turns that count already go on to. untold: how many may be
        taken before it is asked again, which has to be within LEASE_S; None: any, and it goes on. replicas: how many there are;
        who waits here has its part soon."""
        self._lease_ends = self._settle(now) + (math.inf if untold is None else LEASE_S)
        self._share, self._untold, self._replicas = share, untold, replicas
        self._tokens = min(self._tokens, self._burst(self.size(self._now)))

    def change(self, now: float, ceiling: int) -> None:
        """Another ceiling; neither a debt nor a burst comes of it."""
        self.limit.change(self._settle(now), ceiling)
        self._tokens = min(self._tokens, self._burst(self.size(self._now)))

    def _settle(self, now: float) -> float:
        """Up to now, which it returns."""
        now = self._now = max(now, self._now)
        while self._ends and self._ends[0] <= now:
            self._ends.popleft()
        if now > self._at:
            size = self.size(now)
            most = self._burst(size) if self._most is None else self._most
            self._tokens = min(self._tokens + (now - self._at) * size / WINDOW_S, most)
            self._at = now
        return now

    def _whole(self, now: float) -> int:
        return max(int(self.limit.at(now) + 1e-9), 1)

    def _left(self, size: int, urgent: bool) -> int:
        return 0 if urgent else int(self._burst(size) * self._reserve)

    @staticmethod
    def _burst(size: int) -> int:
        return max(int(size * BURST), 1)
