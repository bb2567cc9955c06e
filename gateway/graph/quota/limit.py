"""What the limit of a window is taken to be: additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989).
Others may use the tenant too: another app, people in the portal. Pure; the clock is given, in seconds that never go back."""

import math

WINDOW_S = 20.0
FALL = 0.75  # to so much of it, at most once a window: one overload is answered by many refusals
RISE = 0.05  # of the ceiling, in a window without a refusal
FIRST_S = 1.0  # a window is closed so long by a refusal that says nothing, then twice as long each time, up to a whole window
LONGEST_S = 3600.0  # whatever a refusal says


class Limit:
    """Turns in 20 s. ceiling: it is never more; the configuration says it. closed_until: nothing is sent before;
    others_closed_until: nor before that, as other replicas were told, which is not told again. refusals: by Graph, since it
    took a request."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling, self.closed_until, self.others_closed_until = ceiling, 0.0, 0.0
        self._assumed, self._since = float(ceiling), 0.0
        self._fell_at = -math.inf
        self.refusals = 0

    def at(self, now: float) -> float:
        """What it is taken to be."""
        if self._assumed >= self.ceiling:
            return self.ceiling
        return min(self._assumed + self.ceiling * RISE * max(now - self._since, 0.0) / WINDOW_S, self.ceiling)

    def refused(self, now: float, retry_after: float | None) -> None:
        """Graph answered 429. retry_after: seconds, None or 0 where it did not say; then we back off, as refused requests
        count."""
        wait = min(retry_after or min(FIRST_S * 2.0 ** min(self.refusals, 10), WINDOW_S), LONGEST_S)
        self.refusals += 1
        self.close(now + wait)
        if now >= self._fell_at + WINDOW_S:
            self._assumed, self._fell_at = max(self.at(now) * FALL, 1.0), now
            self._since = now
        elif now >= self._since:
            self._assumed, self._since = self.at(now), max(now, self.closed_until)  # it does not rise while it is closed

    def closed_for(self, now: float) -> float:
        """Seconds until something may be sent again."""
        return max(self.closed_until - now, self.others_closed_until - now, 0.0)

    def close(self, until: float) -> None:
        """Nothing is sent before."""
        self.closed_until = max(self.closed_until, until)

    def change(self, now: float, ceiling: int) -> None:
        """Another ceiling. What was learnt stays learnt; where nothing was, the new one counts at once."""
        was = self.at(now)
        self._assumed, self._since = float(ceiling) if was >= self.ceiling else min(was, ceiling), now
        self.ceiling = ceiling
