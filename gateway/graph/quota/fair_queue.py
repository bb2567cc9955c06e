"""Which caller gets the next turn: start-time fair queuing (Goyal, Vin and Cheng, 1996) with the virtual time of WF2Q+, so that
ever new callers cannot hold up those that wait. Pure, and without a clock: it counts turns.

Promises: callers that wait all the time get turns in proportion to their weights; a caller that asks for less than its share
waits for at most about one turn of each other caller, however many turns those wait for; nobody starves. Memory grows with the
callers that wait now, not with all callers that ever did."""

import itertools
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Weight(NamedTuple):
    """A caller's weight; unlisted callers have 1. priority: whether it may use the reserve."""

    weight: float = 1.0
    priority: bool = False


class Head(NamedTuple):
    """The position of a caller's first item: the smallest start is served first; of equal ones, a caller that had no turn yet,
    then the one that waited first. tag: what the caller's next start is counted from."""

    start: float
    again: bool
    number: int
    caller: str
    tag: float


class FairQueue(Generic[Item]):
    """Items wait under one or several callers; an item that is taken or removed is gone under all of them.

    weights: by caller; 1 for others. reserve: the part of all turns for callers with priority, beside their shares. While none
    of them waits, others use it, and up to `most_owed` turns of it are owed to callers with priority when they come."""

    def __init__(self, weights: Mapping[str, Weight], reserve: float = 0.0, most_owed: float = 10.0) -> None:
        self._weights, self._reserve, self._most_owed = weights, reserve, most_owed
        self._owed = most_owed
        self._parts: Mapping[str, float] = {}
        self._other_part = 1.0
        self._queues: dict[str, OrderedDict[Item, None]] = {}
        self._callers: dict[Item, set[str]] = {}
        # The heads of the callers that wait; and the same in order, separately with and without priority.
        self._starts: dict[str, Head] = {}
        self._order: dict[bool, list[Head]] = {False: [], True: []}
        self._numbers = itertools.count()
        self._due: OrderedDict[Item, Head] = OrderedDict()  # items that go before all shares
        # Callers that do not wait but had more than their share: the tags that they would start with; and the same in order.
        self._ahead: dict[str, float] = {}
        self._ahead_order: list[tuple[float, str]] = []
        self._time = self._active = 0.0  # virtual time; the weights of all callers that wait or are ahead

    def __len__(self) -> int:
        return len(self._callers) + len(self._due)

    @property
    def due(self) -> int:
        """How many go before those who wait for their share."""
        return len(self._due)

    def waiting(self) -> Counter[str]:
        """How many items wait, by caller."""
        due = Counter(head.caller for head in self._due.values())
        return Counter({caller: len(queue) for caller, queue in self._queues.items()}) + due

    def waits(self, caller: str) -> int:
        """How many of this caller's."""
        return len(self._queues.get(caller, ()))

    def weight(self, caller: str) -> float:
        """Of a caller, whether it waits or not."""
        return self._weights.get(caller, Weight()).weight

    def _here(self, caller: str) -> float:
        """Its weight among those who wait here."""
        return self.weight(caller) * self._parts.get(caller, self._other_part)

    def set_parts(self, parts: Mapping[str, float], other: float) -> None:
        """Callers wait in several queues that divide all turns: a caller's weight in this one is so many times its own; other:
        that of callers that are not named."""
        self._parts, self._other_part = parts, other
        self._active = sum(map(self._here, (*self._queues, *self._ahead)))

    def share(self, caller: str, expected: float = 0.0, spare: float = 0.0) -> float:
        """Which part of all turns this caller may have beside those who wait. expected: the weight of others, if that is more;
        spare: what is left free beside them."""
        weight = self._here(caller)
        others = self._active - (weight if self._counts(caller) else 0.0)
        return weight / (max(others, expected) + weight + spare)

    def set_weights(self, weights: Mapping[str, Weight], reserve: float) -> None:
        """From now on; those who wait keep their places."""
        self._weights, self._reserve = weights, reserve
        self._active = sum(map(self._here, (*self._queues, *self._ahead)))
        self._order = {False: [], True: []}
        for head in self._starts.values():
            insort(self._order[self._has_priority(head.caller)], head)

    def turns_before(self, caller: str) -> float:
        """About how many turns come before that of one more item of this caller."""
        weight, time = self._here(caller), self._time
        start = self._starts[caller].tag + self.waits(caller) / weight if caller in self._starts else self._start(caller)
        by_time = max(start - time, 0.0) * (self._active + (0.0 if self._counts(caller) else weight))
        by_tags = sum(bisect_right(order, start, key=_start_of) for order in self._order.values())
        turns = min(max(by_time, by_tags), len(self))
        if self._reserve and self._has_priority(caller):
            others = sum(self.waits(head.caller) for head in self._order[True])
            turns = min(turns, others if others < self._owed else others / self._reserve)
        return turns

    def push(self, caller: str, item: Item) -> None:
        """It waits under this caller (too)."""
        callers = self._callers.setdefault(item, set())
        if caller in callers:
            return
        callers.add(caller)
        if caller not in self._queues:
            self._queues[caller] = OrderedDict()
            start = self._start(caller)
            tag = self._forget(caller) if caller in self._ahead else start
            self._active += self._here(caller)
            self._place(caller, tag, start=start)
        self._queues[caller][item] = None

    def push_due(self, caller: str, item: Item) -> None:
        """It goes before all who wait for their share, in order with others like it and with callers who begin to wait."""
        self.remove(item)
        level = min(self._time, self._earliest())
        self._due[item] = Head(level, False, next(self._numbers), caller, level)

    def remove(self, item: Item) -> None:
        """It waits no more, and costs nobody a turn."""
        self._due.pop(item, None)
        for caller in self._callers.pop(item, ()):
            queue = self._queues[caller]
            del queue[item]
            if not queue:
                del self._queues[caller]
                self._active -= self._here(caller)
                self._remember(caller, self._displace(caller))
        if not (self._callers or self._due):  # nothing is scarce any more, so past shares are forgotten
            self._time = self._active = 0.0
            self._ahead, self._ahead_order = {}, []

    def pop(self) -> tuple[str, Item] | None:
        """The next item, and who pays for its turn."""
        if not len(self):
            return None
        by_reserve = bool(self._order[True]) and self._owed >= 1.0
        caller = (self._order[True][0] if by_reserve else min(self._heads())).caller
        due = next(iter(self._due.items()), None)
        if due and not by_reserve and due[1].caller == caller and due[1] == min(self._heads()):
            item = due[0]
        else:
            item = next(iter(self._queues[caller]))
        if by_reserve:
            self._owed -= 1.0 - self._reserve
        else:
            self.charge(caller)
        self.remove(item)
        return caller, item

    def charge(self, caller: str) -> None:
        """A turn was this caller's, whether it waited here or not."""
        self._owed = min(self._owed + self._reserve, self._most_owed)
        if not len(self):
            return
        step = 1.0 / self._here(caller)
        self._time = max(self._time + (1.0 / self._active if self._active else step), self._earliest())
        if self.waits(caller) > 1:
            self._place(caller, self._displace(caller) + step, again=True)
        elif caller in self._queues:  # it leaves: an early turn still counts against its share
            self._place(caller, max(self._displace(caller), self._time) + step, again=True)
        else:
            start = self._forget(caller) if caller in self._ahead else self._time
            self._remember(caller, max(start, self._time) + step)
        while self._ahead_order and self._ahead_order[0][0] <= self._time:
            self._forget(self._ahead_order[0][1])

    def _heads(self) -> Iterator[Head]:
        """The first of each kind."""
        yield from (order[0] for order in self._order.values() if order)
        yield from itertools.islice(self._due.values(), 1)

    def _earliest(self) -> float:
        return min((head.start for head in self._heads()), default=self._time)

    def _start(self, caller: str) -> float:
        """Where a caller begins to wait: level with the first of those who do, but not as if it had waited for a whole turn.
        Who comes back while it is ahead may borrow a round (borrowed virtual time, Duda and Cheriton, 1999), and pays later."""
        level = max(min(self._time, self._earliest()), self._time - 1.0)
        return max(level, self._ahead[caller] - 1.0) if caller in self._ahead else level

    def _place(self, caller: str, tag: float, *, start: float | None = None, again: bool = False) -> None:
        """start: where it stands, if that is not its tag."""
        head = self._starts[caller] = Head(tag if start is None else start, again, next(self._numbers), caller, tag)
        insort(self._order[self._has_priority(caller)], head)

    def _displace(self, caller: str) -> float:
        head = self._starts.pop(caller)
        order = self._order[self._has_priority(caller)]
        del order[bisect_left(order, head)]
        return head.tag

    def _remember(self, caller: str, start: float) -> None:
        """That it had more than its share, as long as that counts."""
        if start > self._time:
            self._ahead[caller] = start
            insort(self._ahead_order, (start, caller))
            self._active += self._here(caller)

    def _forget(self, caller: str) -> float:
        start = self._ahead.pop(caller)
        del self._ahead_order[bisect_left(self._ahead_order, (start, caller))]
        self._active -= self._here(caller)
        return start

    def _counts(self, caller: str) -> bool:
        return caller in self._queues or caller in self._ahead

    def _has_priority(self, caller: str) -> bool:
        return self._weights.get(caller, Weight()).priority


_start_of: Callable[[Head], float] = attrgetter("start")
