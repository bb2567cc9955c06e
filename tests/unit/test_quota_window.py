"""Turns in one of Graph's windows: never more in any 20 s than the limit, wherever between its turn and its answer Graph counts
a request, and whatever happens to limits, shares and clocks meanwhile."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.quota.limit import FALL, WINDOW_S, Limit
from gateway.graph.quota.window import LEASE_S, Window

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.floats(0, 3), st.booleans()),
        st.tuples(st.just("answer"), st.floats(0, 8), st.integers(0, 9)),
        st.tuples(st.just("give back"), st.floats(0, 1), st.integers(0, 9)),
        st.tuples(st.just("ceiling"), st.floats(0, 1), st.integers(1, 40)),
        st.tuples(st.just("share"), st.floats(0, 1), st.integers(0, 40)),
        st.tuples(st.just("refused"), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 5))),
        st.tuples(
            st.just("clock"), st.floats(-30, 0), st.none()
        ),  # one that jumps ahead makes turns old: the loop's never does
    ),
    max_size=300,
)


class World:
    """A window, and Graph, which counts each request somewhere between its turn and its answer. when: where, from 0 to 1."""

    def __init__(self, ceiling: int, when: float) -> None:
        self.window, self.now, self.clock, self.when = Window(ceiling, 0.5), 100.0, 0.0, when
        self.open: list[float] = []
        self.counted: list[float] = []
        self.limits = [(0.0, ceiling)]

    def step(self, what: str, seconds: float, value: Any) -> None:
        if what == "clock":
            self.clock += seconds
            return
        self.now += seconds
        seen = self.now + self.clock
        {
            "ask": self.ask,
            "answer": self.answer,
            "give back": self.give_back,
            "ceiling": self.ceiling,
            "share": self.window.set_share,
            "refused": self.window.limit.refused,
        }[what](seen, value)

    def ask(self, seen: float, urgent: bool) -> None:
        if not self.window.wait(seen, urgent=urgent):
            assert self.window.used(seen) < self.window.size(seen)
            self.window.take(seen)
            self.open.append(self.now)

    def answer(self, seen: float, which: int) -> None:
        if self.open:
            taken = self.open.pop(which % len(self.open))
            self.counted.append(taken + (self.now - taken) * self.when)
            self.window.answered(seen)

    def give_back(self, seen: float, which: int) -> None:
        if self.open:
            self.open.pop(which % len(self.open))
            self.window.give_back(seen)

    def ceiling(self, seen: float, ceiling: int) -> None:
        self.window.change(seen, ceiling)
        self.limits.append((self.now, ceiling))

    def most(self, start: float) -> int:
        """The largest limit that held in the 20 s from then on."""
        at_first = [limit for at, limit in self.limits if at <= start][-1]
        return max([at_first, *(limit for at, limit in self.limits if start < at < start + WINDOW_S)])


@given(st.integers(1, 40), STEPS, st.floats(0, 1))
def test_no_20_seconds_have_more_requests_than_the_largest_limit_that_held_in_them(first: int, steps: Any, when: float):
    world = World(first, when)
    for step in steps:
        world.step(*step)
    for start in world.counted:
        assert sum(start <= moment < start + WINDOW_S for moment in world.counted) <= world.most(start)


@pytest.mark.parametrize(("limit", "burst"), [(100, 5), (1000, 50), (1, 1)])
def test_a_burst_waits_for_nobody(limit: int, burst: int):
    window = Window(limit)
    for _ in range(burst):
        assert window.wait(50.0) == 0
        window.take(50.0)
    assert window.wait(50.0) > 0


def used_of(window: Window, seconds: float, start: float, latency: float = 0.0) -> list[float]:
    """When turns come to who always waits for one."""
    now, taken = start, []
    while now < start + seconds:
        if wait := window.wait(now):
            window.hold(now, urgent=True)
            now += wait
            continue
        window.take(now)
        window.answered(now + latency)
        taken.append(now)
    return taken


def test_under_overload_at_least_95_of_100_turns_are_used_and_none_is_long_in_coming():
    taken = used_of(Window(100), 600.0, 0.0)
    later = [moment for moment in taken if moment > 40]
    assert len(later) / (560 / WINDOW_S) >= 95
    assert max(b - a for a, b in pairwise(later)) < 0.5, "after the first window there is no gap"


def test_a_turn_that_was_given_back_is_there_for_the_next():
    window = Window(1)
    for now in range(5):
        assert window.wait(float(now)) == 0
        window.take(float(now))
        window.give_back(float(now))


def test_what_is_not_urgent_leaves_half_of_the_burst():
    window = Window(1000, 0.5)
    taken = 0
    while not window.wait(5.0, urgent=False):
        window.take(5.0)
        taken += 1
    assert taken == 25
    for _ in range(25):
        assert not window.wait(5.0)
        window.take(5.0)


def test_a_limit_of_one_has_no_reserve():
    assert Window(1, 0.5).wait(1.0, urgent=False) == 0


def test_another_ceiling_makes_neither_debts_nor_bursts():
    window, busy = Window(10), 0
    taken = used_of(window, 60.0, 0.0)
    window.change(60.0, 100)
    assert window.wait(60.0) <= 2.0, "no debt at the old rate"
    while not window.wait(60.0):
        window.take(60.0)
        busy += 1
    assert busy <= 1, "no burst: who waited all the time is not at rest"
    assert taken


def test_who_has_no_share_has_no_turn_until_it_gets_one():
    window = Window(100)
    window.set_share(1.0, 0)
    assert window.wait(1.0) > 0
    window.set_share(2.0, 1)
    assert window.wait(2.0) <= WINDOW_S
    window.set_share(3.0, None)
    assert window.size(3.0) == 100


def test_who_stood_still_has_no_turn_until_it_knows_its_share_and_uses_none_that_it_took():
    window = Window(100)
    window.set_share(1.0, 50, untold=10, replicas=2)
    assert window.wait(1.0 + LEASE_S) == window.closed_for(1.0 + LEASE_S) == 0
    assert window.wait(60.0) > 0
    assert window.closed_for(60.0) > 0
    window.set_share(60.0, 30, untold=10, replicas=2)
    assert window.wait(60.0) == window.closed_for(60.0) == 0
    window.set_share(61.0, 20)
    assert window.wait(120.0) == 0, "without the ledger there is none to wait for"


def test_a_refusal_closes_the_window_for_what_it_says():
    window = Window(100)
    window.limit.refused(10.0, 2.128)
    assert window.wait(10.0) == window.closed_for(10.0) == pytest.approx(2.128)
    window.limit.refused(10.5, 0.1)
    assert window.wait(10.5) == pytest.approx(1.628), "an earlier word that says more still counts"


def test_a_refusal_that_says_nothing_closes_it_longer_each_time_up_to_a_window():
    limit, now, waits = Limit(100), 0.0, []
    for _ in range(7):
        limit.refused(now, None)
        waits.append(limit.closed_until - now)
        now = limit.closed_until
    assert waits == [1, 2, 4, 8, 16, 20, 20]
    assert limit.closed_for(now - 20) == 20
    for nothing in (0.0, 9e9):
        limit.refused(now, nothing)
    assert limit.closed_for(now) == 3600, "and no longer than an hour"
    limit, now = Limit(100), 0.0
    limit.refused(now, 0.0)
    assert limit.closed_for(now) == 1, "no time is none"
    now = limit.closed_until
    limit.refusals = 0  # Graph took a request
    limit.refused(now, None)
    assert limit.closed_until - now == 1


def test_the_limit_falls_once_a_window_and_rises_slowly_up_to_the_ceiling():
    limit = Limit(100)
    for moment in (10.0, 10.1, 11.0):
        limit.refused(moment, 0.0)
    assert limit.at(11.0) == pytest.approx(100 * FALL, abs=0.5)
    limit.refused(31.0, 0.0)
    assert limit.at(31.0) < 65
    assert 64 < limit.at(71.0) < 75
    assert limit.at(1000.0) == 100


def test_a_limit_never_falls_to_nothing():
    limit = Limit(2)
    for second in range(0, 2000, 21):
        limit.refused(float(second), 0.0)
    assert limit.at(2001.0) >= 1


def test_what_was_learnt_outlives_a_new_ceiling_and_nothing_learnt_follows_it():
    new = Limit(100)
    new.change(1.0, 200)
    assert new.at(1.0) == 200
    learnt = Limit(100)
    learnt.refused(1.0, 0.0)
    learnt.change(2.0, 200)
    assert learnt.at(2.0) < 80
    learnt.change(3.0, 50)
    assert learnt.at(3.0) <= 50
