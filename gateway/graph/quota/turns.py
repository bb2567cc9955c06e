"""Turns of one window, for coroutines that wait for one. The pure modules beside this one make the decisions.

Promises: urgent bids go first, then bids that come at the time they were told, then callers by their shares. A bid that would
not be served before its deadline is refused at once, as far as that is foreseeable, with a time at which it will be served."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, cast

from gateway.errors import GatewayError, Reason
from gateway.graph.quota.fair_queue import FairQueue, Weight
from gateway.graph.quota.limit import WINDOW_S
from gateway.graph.quota.told_times import Bidder, ToldTimes
from gateway.graph.quota.window import Window
from gateway.stake import Granted, Stake

ANSWER_S = 0.05  # a refusal has to reach its caller before the deadline
NEVER_S = 3600.0  # the time to retry if no more times can be reserved


class Sharing(NamedTuple):
    """How callers share turns. weights: by caller. reserve: the part of all turns for callers with priority, beside their
    shares. most_waiting: turns that one caller may wait for."""

    weights: Mapping[str, Weight] = {}
    reserve: float = 0.0
    most_waiting: int = 500


EVENLY = Sharing()
MOST_TOLD = 100  # the most callers, and times, that are reported to other replicas


@dataclass(eq=False)
class Bid:
    """A request for a turn, by all callers that share the request to Graph: the first one whose turn comes pays for all. payer:
    that caller. is_open: whether more may join."""

    bidders: dict[Bidder, None]
    payer: str = ""
    is_open: bool = True
    turns: "Turns | None" = None
    turn: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @classmethod
    def of(cls, *bidders: Bidder) -> "Bid":
        """A bid by these bidders."""
        return cls(dict.fromkeys(bidders))

    def join(self, bidder: Bidder) -> None:
        """Adds a bidder."""
        self.bidders[bidder] = None
        if self.turns is not None:
            self.turns.joined(self, bidder)


class Turns:
    """The turns of one window. name: as callers see it. reserve: see Window. go_on: whether turns are useful without the
    ledger."""

    def __init__(self, name: str, limit: int, sharing: Sharing = EVENLY, reserve: float = 0.0, *, go_on: bool = False) -> None:
        self.name, self.sharing, self._go_on = name, sharing, go_on
        self.window, self.told_times = Window(limit, reserve), ToldTimes()
        self.queue: FairQueue[Bid] = FairQueue(sharing.weights, sharing.reserve, max(limit * sharing.reserve, 1.0))
        self._urgent: OrderedDict[Bid, None] = OrderedDict()
        self._used: deque[tuple[float, str]] = deque()  # when each turn stops counting for its payer, and the payer
        self._used_by: Counter[str] = Counter()
        self._share: int | None = None
        self._taken = self._told = 0  # turns so far, and how many of them were reported to other replicas
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def now() -> float:
        """The event loop's clock; all times here are its."""
        return asyncio.get_running_loop().time()

    @property
    def are_scarce(self) -> bool:
        """Whether a bid would have to wait."""
        return bool(self.waiting or self.window.wait(self.now()))

    @property
    def closed_for(self) -> float:
        """Seconds; see Window.closed_for."""
        return self.window.closed_for(self.now())

    @property
    def interval(self) -> float:
        """Seconds between turns in the long run."""
        return self.window.interval(self.now())

    @property
    def waiting(self) -> int:
        """How many bids wait."""
        return len(self._urgent) + len(self.queue)

    def wait_now(self, caller: str = "") -> float:
        """Seconds that a bid of this caller would wait now."""
        now = self.now()
        return self._wait_with(now, self.queue.turns_before(caller)) if self.are_scarce else 0.0

    async def take(self, deadline: float, bid: Bid, *, urgent: bool = False) -> None:
        """Waits for a turn. The turn has to be followed by `answered` or `give_back`. deadline: event loop's clock. Raises
        QUOTA_EXHAUSTED, at once if the turn would foreseeably come too late; DEADLINE_EXCEEDED."""
        now = self.now()
        if now >= deadline:
            raise GatewayError(Reason.DEADLINE_EXCEEDED)
        is_told = bool(self.told_times) and True in [
            self.told_times.claim(bidder, now) for bidder in bid.bidders
        ]  # a list: `any` would stop at the first, and each bidder has to use up its own time
        bid.payer = bid.payer or next(iter(bid.bidders)).caller
        if not self.waiting and not self.window.wait(now, urgent=urgent):
            self._take(now, bid.payer)
            return
        self._enter(bid, now, deadline, urgent=urgent, is_told=is_told)
        self.give()
        try:
            async with asyncio.timeout_at(deadline - ANSWER_S):
                await bid.turn
        except TimeoutError:
            if not _was_given(bid):
                self._withdraw(bid)
                raise self._refusal(bid, self.now(), self._wait(bid, self.now())) from None
        except asyncio.CancelledError:
            self._withdraw(bid)
            if _was_given(bid):  # the turn came in the same step of the loop as the cancellation: nobody will use it
                self.give_back()
            raise

    def _enter(self, bid: Bid, now: float, deadline: float, *, urgent: bool, is_told: bool) -> None:
        """Queues the bid. Raises QUOTA_EXHAUSTED."""
        goes_first = urgent or is_told
        wait = self._wait_for_the_first(now) if goes_first else self._wait(bid, now)
        waits_too_often = all(self.queue.waits(bidder.caller) >= self.sharing.most_waiting for bidder in bid.bidders)
        if now + wait >= deadline - ANSWER_S or (waits_too_often and not goes_first):
            raise self._refusal(bid, now, wait)
        bid.turns = self
        if urgent:
            self._urgent[bid] = None
        elif is_told:
            self.queue.push_due(bid.payer, bid)
        else:
            for bidder in bid.bidders:
                self.queue.push(bidder.caller, bid)

    def joined(self, bid: Bid, bidder: Bidder) -> None:
        """One more bidder waits for the bid; its turn may come sooner than the others'."""
        if self.told_times.claim(bidder, self.now()):
            self.queue.push_due(bidder.caller, bid)
        else:
            self.queue.push(bidder.caller, bid)

    def answered(self) -> None:
        """A taken turn was used, and Graph has answered."""
        self.window.answered(self.now())

    def give_back(self) -> None:
        """A taken turn was not used."""
        self.window.give_back(self.now())
        self.give()

    def refused(self, retry_after: float | None) -> None:
        """Graph answered 429; see Limit.refused."""
        self.window.limit.refused(self.now(), retry_after)
        self.give()

    def accepted(self) -> None:
        """Graph accepted the request."""
        if self.window.limit.refusals:
            self.window.limit.refusals = 0

    def used_by(self) -> Counter[str]:
        """Turns taken in the last 20 s, by payer."""
        now = self.now()
        while self._used and self._used[0][0] <= now:
            _, payer = self._used.popleft()
            self._used_by[payer] -= 1
            if not self._used_by[payer]:
                del self._used_by[payer]
        return self._used_by

    def share_of(self, caller: str) -> int:
        """The caller's share now, beside those that wait, in turns for each 20 s."""
        return max(int(self.window.size(self.now()) * self.queue.share(caller)), 1)

    def stake(self, tenant: str) -> Stake:
        """This replica's report to the others."""
        now, self._told = self.now(), self._taken
        took, waits = self.used_by(), self.queue.waiting() + self.told_times.counts()
        callers = {
            caller: (self.queue.weight(caller), took[caller], waits[caller])
            for caller, _ in (took + waits).most_common(MOST_TOLD)
        }
        used = self.window.used(now)
        holds = max(used, self.window.size(now) if self._share is None else self._share)
        limit = self.window.limit
        told, alone = self.told_times.soon(now, MOST_TOLD), limit.ceiling if self._go_on else 0
        return Stake(tenant, self.name, used, holds, limit.at(now), max(limit.closed_until - now, 0.0), callers, told, alone)

    def share(self, granted: Granted) -> None:
        """Takes over the share that the ledger granted after `stake` was reported."""
        now, self._share = self.now(), granted.share
        since = self._taken - self._told
        self.window.set_share(now, granted.share, max(granted.untold - since, 0), granted.replicas)
        self.queue.set_parts(granted.parts, float(granted.replicas))
        self.told_times.hear(granted.told, now)
        limit = self.window.limit
        limit.others_closed_until = max(limit.others_closed_until, now + granted.closed_s if granted.closed_s else 0.0)
        self.give()

    def cut(self, replicas: int) -> None:
        """The ledger cannot be reached: keeps the last share, but at most an equal part for each replica, and at most half of
        all."""
        part = max(self.window.limit.ceiling // max(replicas, 2), 1)
        self._share = part if self._share is None else min(self._share, part)
        self.window.set_share(self.now(), self._share)
        self.give()

    def change(self, limit: int, sharing: Sharing) -> None:
        """Applies a changed configuration. It causes no debts and no bursts, and waiting bids keep their places."""
        self.sharing = sharing
        self.queue.set_weights(sharing.weights, sharing.reserve)
        self.window.change(self.now(), limit)
        self.give()

    def give(self) -> None:
        """Gives out the turns that there are, and schedules itself for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self.waiting:
            now, urgent = self.now(), bool(self._urgent)
            if wait := self.window.wait(now, urgent=urgent):
                self.window.hold(now, urgent=urgent)
                self._timer = asyncio.get_running_loop().call_later(wait, self.give)
                return
            bid = self._next()
            bid.turns = None
            if not bid.turn.done():  # otherwise its waiter was cancelled and has not run yet: the turn would be lost
                self._take(now, bid.payer)
                bid.turn.set_result(None)

    def _take(self, now: float, payer: str) -> None:
        self.window.take(now)
        self._taken += 1
        self._used.append((now + WINDOW_S, payer))
        self.used_by()[payer] += 1

    def _next(self) -> Bid:
        """The next bid; at least one has to wait."""
        if self._urgent:
            return self._urgent.popitem(last=False)[0]
        payer, bid = cast(tuple[str, Bid], self.queue.pop())
        bid.payer = payer
        return bid

    def _withdraw(self, bid: Bid) -> None:
        self._urgent.pop(bid, None)
        self.queue.remove(bid)

    def _wait(self, bid: Bid, now: float) -> float:
        """Approximate seconds until the bid's turn."""
        return self._wait_with(now, min(self.queue.turns_before(bidder.caller) for bidder in bid.bidders))

    def _wait_with(self, now: float, before: float) -> float:
        """Approximate seconds with `before` callers' turns ahead; bids that were told to come meanwhile go first too."""
        interval = self.window.interval(now)
        wait = self.window.wait(now, urgent=False) + (len(self._urgent) + self.queue.due + before) * interval
        return wait + self.told_times.due(now, now + wait) * interval

    def _wait_for_the_first(self, now: float) -> float:
        """Approximate seconds for a bid that goes before callers' shares."""
        return self.window.wait(now) + (len(self._urgent) + self.queue.due) * self.window.interval(now)

    def _refusal(self, bid: Bid, now: float, wait: float) -> GatewayError:
        """The refusal of a bid, with the time that it was told before, or with a newly reserved one."""
        told = min((time for bidder in bid.bidders if (time := self.told_times.told(bidder, now))), default=None)
        if told is None:
            payer = min((bidder.caller for bidder in bid.bidders), key=self.queue.turns_before)
            share = self.queue.share(payer, self.told_times.callers - 1.0, spare=1.0)  # another caller may come at any time
            told = self.told_times.tell(bid.bidders, payer, now + wait, now, self.window.interval(now), share)
        retry_after = max(wait, NEVER_S) if told is None else max(told - now, 0.001)
        facts = {"window": self.name, "reserved": str(told is not None).lower()}
        return GatewayError(Reason.QUOTA_EXHAUSTED, retry_after=retry_after, metadata=facts)


def _was_given(bid: Bid) -> bool:
    return bid.turn.done() and not bid.turn.cancelled()
