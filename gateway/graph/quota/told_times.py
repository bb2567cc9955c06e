"""The times at which refused bidders are told to retry. Pure; callers pass the time in seconds.

Promises: no more bidders are told to come in a period than it has turns, so that the promise can be kept; the times are spread,
so that no herd returns; a caller gets no more of them than its share, so that others find an early one. A bidder that comes at
its time, or within GRACE_S after it, is recognised, once; also at another replica, which hears of it shortly before. A time
that passes unused costs nobody a turn. The number of times is bounded."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

GRACE_S = 1.0
EARLY_S = 0.05  # callers' clocks may run slightly faster
TOLD = 0.8  # the part of all turns that is told; the rest is for bidders that come unannounced
HORIZON_S = 3600.0  # the latest time that is told, from now
MOST_OF_ONE, MOST = 1_000, 20_000  # times of one caller, and of all
SOON_S = 2.0  # how long before the time other replicas hear of it
HEARD_S = 1.0  # how far a time may be shifted by its way through the ledger


class Bidder(NamedTuple):
    """Who asks for a turn: the caller and its request ID, which is empty for a read."""

    caller: str
    request_id: str = ""


class ToldTimes:
    """Time is divided into slots; the callers of one write are told to come in each."""

    def __init__(self) -> None:
        self._told: dict[Bidder, list[float]] = {}
        self._ends: list[tuple[float, Bidder]] = []  # in order
        self._counts: Counter[str] = Counter()
        self._latest: dict[str, float] = {}  # of each payer with a time that is still to come
        self._taken: dict[int, int] = {}  # slot -> a later one, before which none is free
        self._width, self._passed = 1.0, 0
        # The times that other replicas told; and those of them that were used here.
        self._heard: dict[Bidder, list[float]] = {}
        self._came: dict[Bidder, list[float]] = {}

    def __bool__(self) -> bool:
        return bool(self._told or self._heard)

    def __len__(self) -> int:
        return sum(self._counts.values())

    @property
    def callers(self) -> int:
        """How many have one that is still to come."""
        return len(self._counts)

    def counts(self) -> Counter[str]:
        """How many times are still to come, by caller."""
        return self._counts.copy()

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
        if not self._taken or not 0.8 < self._width * TOLD / interval < 1.25:
            self._divide(now, interval / TOLD)
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
            insort(self._ends, (time + GRACE_S, bidder))
        return time

    def claim(self, bidder: Bidder, now: float) -> bool:
        """Whether this one was told to come now; once for each time that it was told."""
        time = self.told(bidder, now)
        if time is None or time - EARLY_S > now:
            return self._claim_heard(bidder, now)
        self._drop(bidder, time)
        return True

    def _claim_heard(self, bidder: Bidder, now: float) -> bool:
        times = self._heard.get(bidder, [])
        time = next((time for time in times if time - HEARD_S <= now <= time + GRACE_S), None)
        if time is None:
            return False
        times.remove(time)
        self._came.setdefault(bidder, []).append(time)
        return True

    def soon(self, now: float, most: int) -> list[tuple[str, str, float]]:
        """What other replicas are to hear: caller, request id and seconds of times that come soon, at most so many."""
        self._forget(now)
        soon = self._ends[: min(bisect_right(self._ends, (now + SOON_S + GRACE_S,)), most)]
        return [(*bidder, end - GRACE_S - now) for end, bidder in soon if self._at(bidder, end - GRACE_S) is not None]

    def hear(self, told: Iterable[tuple[str, str, float]], now: float) -> None:
        """All that other replicas say, as `soon` has it, in place of what they said before."""
        heard: dict[Bidder, list[float]] = defaultdict(list)
        came = {bidder: [time for time in times if time + 2 * HEARD_S + GRACE_S > now] for bidder, times in self._came.items()}
        self._came = {bidder: times for bidder, times in came.items() if times}
        over = {bidder: list(times) for bidder, times in self._came.items()}
        for caller, request_id, seconds in told:
            bidder, time = Bidder(caller, request_id), now + seconds
            known = next((one for one in over.get(bidder, ()) if abs(one - time) < HEARD_S), None)
            if known is None:
                heard[bidder].append(time)
            else:
                over[bidder].remove(known)
        self._heard = dict(heard)

    def due(self, now: float, until: float) -> int:
        """How many slots between are taken, of the first hundred."""
        first, last = int(now / self._width), int(until / self._width) + 1
        return sum(slot in self._taken for slot in range(first, min(last, first + 100)))

    def _divide(self, now: float, width: float) -> None:
        """Time into slots of so many seconds; what was told before takes as many of them, one after the other."""
        self._width, self._passed, self._taken = width, int(now / width), {}
        slot = -1
        for time in sorted({end - GRACE_S for end, _ in self._ends}):
            slot = max(slot + 1, int(time / width + 1e-6))
            self._taken[slot] = slot + 1

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
        passed = bisect_right(self._ends, (now,))
        for end, bidder in self._ends[:passed]:
            self._drop(bidder, end - GRACE_S)
        del self._ends[:passed]
        for slot in range(self._passed, int(now / self._width) if self._taken else 0):
            self._taken.pop(slot, None)
        self._passed = max(self._passed, int(now / self._width))

    def _drop(self, bidder: Bidder, time: float) -> None:
        times, at = self._told.get(bidder, []), self._at(bidder, time)
        if at is None:
            return  # it came
        del times[at]
        if not times:
            del self._told[bidder]
        self._counts[bidder.caller] -= 1
        if not self._counts[bidder.caller]:
            del self._counts[bidder.caller]
            self._latest.pop(bidder.caller, None)

    def _at(self, bidder: Bidder, time: float) -> int | None:
        """Where among what it was told; None: it came."""
        return next((at for at, one in enumerate(self._told.get(bidder, ())) if abs(one - time) < EARLY_S / 2), None)
