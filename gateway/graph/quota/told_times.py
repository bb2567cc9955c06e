"""When those come back who were refused, and who of them is served. Pure; the clock is given, in seconds.

Promises: no more are told to come in a while than it has turns, so that what is told can be kept; the times are spread, so
that no herd returns; a caller gets no more of them than its share, so that others find one soon. Who comes at its time, or
within the grace after it, is known, once. A time that passes costs nobody a turn. How much is kept is bounded.
"""

import heapq
from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

GRACE_S = 1.0
EARLY_S = 0.05  # callers' clocks may run a little faster
TOLD = 0.8  # of the turns; the rest is for those who come unannounced
HORIZON_S = 3600.0  # nobody is told a later time
MOST_OF_ONE, MOST = 1_000, 20_000


class Bidder(NamedTuple):
    """Who is to come back: the caller, and its request id, empty for a read."""

    caller: str
    request_id: str = ""


class ToldTimes:
    """See above. Time is divided into slots, in each of which one write's callers are told to come."""

    def __init__(self) -> None:
        self._told: dict[Bidder, list[float]] = {}
        self._ends: list[tuple[float, Bidder]] = []  # a heap
        self._counts: Counter[str] = Counter()
        self._latest: dict[str, float] = {}  # of each payer with a time that is still to come
        self._taken: dict[int, int] = {}  # slot -> a later one, before which none is free
        self._width, self._passed = 1.0, 0

    def __bool__(self) -> bool:
        return bool(self._told)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def counts(self) -> dict[str, int]:
        """How many times are still to come, by caller."""
        return dict(self._counts)

    def told(self, bidder: Bidder, now: float) -> float | None:
        """What this one was told, if it is still to come."""
        self._forget(now)
        return min(self._told.get(bidder, ()), default=None)

    def tell(
        self, bidders: Collection[Bidder], payer: str, earliest: float, now: float, interval: float, share: float
    ) -> float | None:
        """A time for these, who share a turn, not before `earliest`. None: too many were told one.

        payer: whose turn it will be. interval: seconds between turns. share: of all turns, which the payer may have.
        """
        self._forget(now)
        if self._counts[payer] + len(bidders) > MOST_OF_ONE or len(self._ends) + len(bidders) > MOST:
            return None
        if not self._taken:
            self._width, self._passed = interval / TOLD, int(now * TOLD / interval)
        after = self._latest.get(payer, 0.0) + self._width / share
        slot = self._free(int(max(earliest, after) / self._width) + 1)
        time = slot * self._width
        if time > now + HORIZON_S:
            return None
        self._taken[slot] = slot + 1
        self._latest[payer] = time
        for bidder in bidders:
            self._told.setdefault(bidder, []).append(time)
            self._counts[bidder.caller] += 1
            heapq.heappush(self._ends, (time + GRACE_S, bidder))
        return time

    def claim(self, bidder: Bidder, now: float) -> bool:
        """Whether this one was told to come now; once for each time that it was told."""
        time = self.told(bidder, now)
        if time is None or time - EARLY_S > now:
            return False
        self._drop(bidder, time)
        return True

    def due(self, now: float, until: float) -> int:
        """How many slots between are taken, of the first hundred."""
        first, last = int(now / self._width), int(until / self._width) + 1
        return sum(slot in self._taken for slot in range(first, min(last, first + 100)))

    def _free(self, slot: int) -> int:
        """The first that is, from this one on."""
        passed = []
        while slot in self._taken:
            passed.append(slot)
            slot = self._taken[slot]
        for one in passed:
            self._taken[one] = slot
        return slot

    def _forget(self, now: float) -> None:
        """What has passed."""
        while self._ends and self._ends[0][0] < now:
            end, bidder = heapq.heappop(self._ends)
            self._drop(bidder, end - GRACE_S)
        for slot in range(self._passed, int(now / self._width) if self._taken else 0):
            self._taken.pop(slot, None)
        self._passed = max(self._passed, int(now / self._width))

    def _drop(self, bidder: Bidder, time: float) -> None:
        times = self._told.get(bidder, [])
        at = next((at for at, one in enumerate(times) if abs(one - time) < EARLY_S / 2), None)
        if at is None:
            return  # it came
        del times[at]
        if not times:
            del self._told[bidder]
        self._counts[bidder.caller] -= 1
        if not self._counts[bidder.caller]:
            del self._counts[bidder.caller]
            self._latest.pop(bidder.caller, None)
