"""The estimate of a window's limit: additive increase, multiplicative decrease, as in TCP (Chiu and Jain, 1989). It may be
below the configured limit, since others use the tenant too: other apps, people in the portal. Pure; callers pass the time, in
monotonic seconds."""

import math

WINDOW_S = 20.0
FALL = 0.75  # the factor after a refusal, applied at most once a window: one overload causes many refusals
RISE = 0.05  # the rise in a window without a refusal, as a part of the ceiling
FIRST_S = 1.0  # how long a refusal without Retry-After closes the window; it doubles each time, up to a whole window
LONGEST_S = 3600.0  # the longest time that a refusal closes the window, whatever its Retry-After


class Limit:
    """The limit in turns for each 20 s. ceiling: the configured maximum. closed_until: nothing is sent before, as Graph told
    this replica. others_closed_until: the same, as Graph told other replicas; kept apart, so that replicas do not report it to
    each other for ever. refusals: Graph's refusals since it last accepted a request."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling, self.closed_until, self.others_closed_until = ceiling, 0.0, 0.0
        self._assumed, self._since = float(ceiling), 0.0
        self._fell_at = -math.inf
        self.refusals = 0

    def at(self, now: float) -> float:
        """The estimate at that time."""
        if self._assumed >= self.ceiling:
            return self.ceiling
        return min(self._assumed + self.ceiling * RISE * max(now - self._since, 0.0) / WINDOW_S, self.ceiling)

    def refused(self, now: float, retry_after: float | None) -> None:
        """Graph answered 429. retry_after: in seconds; None or 0 if Graph did not say. Then the window is closed for a growing
        time, since Graph counts refused requests too (docs/graph.md §4)."""
        wait = min(retry_after or min(FIRST_S * 2.0 ** min(self.refusals, 10), WINDOW_S), LONGEST_S)
        self.refusals += 1
        self.close(now + wait)
        if now >= self._fell_at + WINDOW_S:
            self._assumed, self._fell_at = max(self.at(now) * FALL, 1.0), now
            self._since = now
        elif now >= self._since:
            self._assumed, self._since = self.at(now), max(now, self.closed_until)  # no rise while the window is closed

    def closed_for(self, now: float) -> float:
        """Seconds until something may be sent again."""
        return max(self.closed_until - now, self.others_closed_until - now, 0.0)

    def close(self, until: float) -> None:
        """Nothing is sent before."""
        self.closed_until = max(self.closed_until, until)

    def change(self, now: float, ceiling: int) -> None:
        """Sets another ceiling. An estimate below the old ceiling is kept; without one, the new ceiling counts at once."""
        was = self.at(now)
        self._assumed, self._since = float(ceiling) if was >= self.ceiling else min(was, ceiling), now
        self.ceiling = ceiling
