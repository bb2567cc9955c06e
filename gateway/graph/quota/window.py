"""How many turns one of Graph's windows has, and when. Pure; callers pass the time in seconds; a time that goes back is
ignored.

Promise: a turn counts from when it is taken until 20 s after its request was answered. The gateway cannot know when in between
Graph counts a request; so no 20 s of Graph's have more than the limit, however requests are delayed or bunched on the way.
"""

import math
from collections import deque

from gateway.graph.quota.limit import WINDOW_S, Limit

MARGIN_S = 0.05  # Graph's clock may run at a slightly different rate
BURST = 0.05  # the burst after a rest, as a part of the limit: at most one second's worth of turns
RESERVE = 0.5  # the part of the burst that is left for urgent turns, if the window has a reserve
SHARE_S = 0.5  # the wait of a replica without a share: by then it may have one
LEASE_S = 5.0  # how long a share is valid
ENOUGH = 1 - 1e-9  # a whole turn: sums of floats are not exact


class Window:
    """limit: see Limit. reserve: the part of the burst for urgent turns only. Replicas divide the limit: see set_share."""

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
        """How many turns this replica may have within the window."""
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
        """Seconds until the next turn can be taken, if nobody else takes it."""
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
        else:  # too many requests are unanswered: nobody knows when their turns will be free
            room = self.interval(now)
        return max(pace, room, self.limit.closed_for(now))

    def closed_for(self, now: float) -> float:
        """Seconds for which a taken turn must not be used: Graph closed the window meanwhile, or this process was paused so
        long that other replicas may have its share."""
        return max(self.limit.closed_for(now), SHARE_S if self._settle(now) > self._lease_ends else 0.0)

    def take(self, now: float) -> None:
        """Takes a turn; `wait` has to be 0."""
        self._settle(now)
        self._most = None
        if self._untold is not None:
            self._untold -= 1
        self._tokens -= 1
        self._open += 1

    def answered(self, now: float) -> None:
        """A taken turn has been used, and Graph has answered or never will."""
        self._ends.append(self._settle(now) + WINDOW_S + MARGIN_S)
        self._open -= 1

    def give_back(self, now: float) -> None:
        """A taken turn was not used: nothing was sent."""
        self._settle(now)
        self._tokens = min(self._tokens + 1, self._burst(self.size(self._now)))
        self._open -= 1

    def hold(self, now: float, *, urgent: bool) -> None:
        """Somebody waits for the next turn: turns that cannot be used meanwhile do not add up to a burst, which needs a
        rest."""
        self._settle(now)
        self._most = 1.0 + self._left(self.size(self._now), urgent)
        self._tokens = min(self._tokens, self._most)

    def set_share(self, now: float, share: int | None, untold: int | None = None, replicas: int = 1) -> None:
        """Sets this replica's share of the limit; None: all of it. Turns that count already go on counting. untold: how many
        turns may be taken before the next share, which has to come within LEASE_S; None: any number, without a time limit.
        replicas: how many there are."""
        self._lease_ends = self._settle(now) + (math.inf if untold is None else LEASE_S)
        self._share, self._untold, self._replicas = share, untold, replicas
        self._tokens = min(self._tokens, self._burst(self.size(self._now)))

    def change(self, now: float, ceiling: int) -> None:
        """Sets another ceiling, without causing a debt or a burst."""
        self.limit.change(self._settle(now), ceiling)
        self._tokens = min(self._tokens, self._burst(self.size(self._now)))

    def _settle(self, now: float) -> float:
        """Advances the state to `now`, and returns it: the clock never goes back."""
        now = self._now = max(now, self._now)
        if now == self._at:  # what came since ends later
            return now
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
