"""Replicas divide a window: by what their callers want, and never more of it in sum than there is."""

import math
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.quota.limit import WINDOW_S
from gateway.graph.quota.window import LEASE_S, Window
from gateway.ledger.shares import ALONE_S, GONE_S, LAPSE_S, ShareRow, Watched, divided, fair, granted
from gateway.stake import Stake


def stake(**wanted: int) -> Stake:
    return Stake("t", "writes", 0, 0, 100, 0.0, {caller: (1.0, 0, turns) for caller, turns in wanted.items()})


def test_where_nobody_wants_anything_all_have_as_much():
    assert divided(100, {1: stake(), 2: stake(), 3: stake()}) == {1: 34, 2: 33, 3: 33}


def test_callers_and_not_replicas_get_as_much():
    parts = divided(100, {1: stake(a=500, b=500, c=500), 2: stake(d=500)})
    assert parts == {1: pytest.approx(75, abs=1), 2: pytest.approx(25, abs=1)}


def test_a_caller_at_two_replicas_has_one_share():
    parts = divided(100, {1: stake(a=500, b=500), 2: stake(a=500)})
    assert parts == {1: pytest.approx(75, abs=1), 2: pytest.approx(25, abs=1)}


def test_what_one_does_not_want_others_have():
    parts = divided(100, {1: stake(a=500), 2: stake(b=5)})
    assert parts[1] >= 93
    assert parts[2] >= 5


@given(
    st.integers(1, 1000),
    st.dictionaries(st.integers(1, 10), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2000)), min_size=1),
)
def test_all_of_a_window_is_divided_and_no_more(limit: int, wanted: dict):
    parts = divided(limit, {owner: stake(**callers) for owner, callers in wanted.items()})
    assert sum(parts.values()) == limit
    assert min(parts.values()) >= (1 if limit >= len(wanted) else 0)


def test_weights_count_and_nobody_gets_more_than_it_wants():
    assert fair(100, {"a": 1000, "b": 1000}, {"a": 1, "b": 4}) == {"a": 20, "b": 80}
    assert fair(100, {"a": 10, "b": 1000}, {"a": 1, "b": 4}) == {"a": 10, "b": 90}


def test_what_was_divided_badly_does_not_stay_so():
    """Who has little took little; what waits there counts."""
    rich = stake()._replace(wanted={"a": (1.0, 90, 50)})
    poor = stake()._replace(wanted={"a": (1.0, 10, 50)})
    assert divided(100, {1: rich, 2: poor}) == {1: 50, 2: 50}


def test_a_replica_knows_which_part_of_a_caller_waits_at_it():
    rows = {2: ShareRow(2, 1, stake(everywhere=30, elsewhere=9)), 3: ShareRow(3, 1, stake(everywhere=30))}
    _, got = granted(1, stake(everywhere=30, here=5), rows)
    assert got.parts == {"everywhere": 1.0, "elsewhere": 0.1}, "who waits here alone has all of its weight here"


@dataclass
class Replica:
    """As gateway.quotas has it: takes what its share gives, and says what it holds."""

    number: int
    window: Window = field(default_factory=lambda: Window(20))
    watched: Watched = field(default_factory=Watched)
    share: int = 0
    alone: int = 0
    replicas: int = 10
    asked: float = -math.inf
    open: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.window.set_share(0.0, 0)

    def beat(self, table: dict[int, ShareRow], alive: set[int], now: float, wants: int) -> None:
        used = self.window.used(now)
        wanted = {"a": (1.0, used, wants)}
        mine = Stake("t", "w", used, max(self.share, used), self.window.limit.at(now), 0.0, wanted, (), self.alone)
        rows, held, over, old = self.watched.counting(table.values(), alive, now)
        table |= {row.owner: row for row in old}
        for row in over:
            del table[row.owner]
        own = {self.number: table[self.number]} if self.number in table else {}
        table[self.number], got = granted(self.number, mine, rows | own, held)
        self.share, self.replicas, self.asked = got.share, got.replicas, now
        self.window.set_share(now, got.share, got.untold)

    def goes_on(self, now: float) -> None:
        """The ledger cannot be asked."""
        if now > self.asked + LEASE_S:
            self.share = min(self.share, 20 // max(self.replicas, 2))
            self.window.set_share(now, self.share)


@given(st.integers(1, 5), st.integers(0, 2**32), st.floats(0, 1))
def test_no_20_seconds_have_more_requests_of_all_replicas_than_the_limit(count: int, seed: int, when: float):
    """Replicas come, stand still, lose their connection and die; each has a monotonic clock of its own."""
    rng, now = random.Random(seed), 0.0
    clocks = [rng.uniform(0, 10_000) for _ in range(20)]
    replicas = [Replica(number) for number in range(1, count + 1)]
    table: dict[int, ShareRow] = {}
    counted: list[float] = []
    for _ in range(400):
        now += rng.expovariate(4)
        replica = rng.choice(replicas)
        seen = now + clocks[replica.number]
        chance = rng.random()
        if chance < 0.3:
            replica.beat(table, {one.number for one in replicas}, seen, rng.choice((0, 5, 100)))
        elif chance < 0.32:
            replicas.remove(replica)
            counted += [now + when * 5 for _ in replica.open]  # what it had under way may still arrive
            replicas.append(Replica(max(max(table, default=0), *(one.number for one in (*replicas, replica))) + 1))
            clocks.append(rng.uniform(0, 10_000))
        elif replica.open and chance < 0.6:
            taken = replica.open.pop()
            counted.append(taken + (now - taken) * when)
            replica.window.answered(seen)
        elif not replica.window.wait(seen):
            replica.window.take(seen)
            replica.open.append(now)
        assert sum(one.window.used(now + clocks[one.number]) for one in replicas) <= 20
    for start in counted:
        assert sum(start <= moment < start + WINDOW_S for moment in counted) <= 20


@given(st.integers(2, 4), st.integers(0, 2**32))
def test_readers_who_lose_the_ledger_one_or_all_read_on_and_never_more_in_sum(count: int, seed: int):
    """Four minutes, in which they take all that they can."""
    rng = random.Random(seed)
    replicas = [Replica(number, alone=20) for number in range(1, count + 1)]
    table: dict[int, ShareRow] = {}
    alive, counted, lonely = {one.number for one in replicas}, list[float](), Counter[int]()
    for tick in range(2400):
        now = tick / 10
        if rng.random() < 0.01:
            everyone = {one.number for one in replicas}
            alive = rng.choice((everyone, set(), everyone - {rng.choice(replicas).number}))
        for one in replicas:
            if (tick + one.number) % 5 == 0:
                one.beat(table, alive, now, 100) if one.number in alive else one.goes_on(now)
            while not one.window.wait(now):
                one.window.take(now)
                one.window.answered(now)
                counted.append(now)
                lonely[one.number] += one.number not in alive and now > one.asked + 30
    assert all(later - first >= WINDOW_S for first, later in zip(counted, counted[20:], strict=False))
    for one in replicas:
        assert lonely[one.number] or one.asked > 200, "it goes on"


def test_one_that_dies_again_and_again_leaves_half_of_the_window_to_the_others():
    table: dict[int, ShareRow] = {}
    first = Replica(1, alone=20)
    for number in range(2, 30):
        dies = Replica(number, alone=20)
        for one in (dies, first, dies, first):
            one.beat(table, {1, number}, number * 40.0, 100)
        for seconds in range(1, 40, 4):
            first.beat(table, {1}, number * 40.0 + seconds, 100)
    assert first.share >= 10
    for seconds in range(1200, int(1200 + ALONE_S + 10), 4):
        first.beat(table, {1}, seconds, 100)
    assert first.share == 20
    assert set(table) == {1}


def test_a_dead_replicas_share_comes_back():
    table: dict[int, ShareRow] = {}
    first, second = Replica(1), Replica(2)
    first.beat(table, {1, 2}, 0.0, 100)
    assert first.share == 20
    second.beat(table, {1, 2}, 0.0, 100)
    assert second.share == 0
    first.beat(table, {1, 2}, 0.5, 100)
    first.beat(table, {1, 2}, 1.0, 100)
    second.beat(table, {1, 2}, 1.0, 100)
    assert (first.share, second.share) == (10, 10)
    second.beat(table, {2}, 2.0, 100)
    assert second.share == 18, "but for what it may have used since it last said so"
    for seconds in range(3, int(GONE_S) + 4):
        second.beat(table, {2}, seconds, 100)
    assert second.share == 20
    assert set(table) == {2}


@pytest.mark.parametrize("crashes", range(1, 6))
def test_one_that_crashes_again_and_again_has_half_of_the_window_if_it_used_little(crashes: int):
    """One replica after the other, of which each is there for a second and takes the lease of reads without the ledger."""
    table: dict[int, ShareRow] = {}
    for number in range(1, crashes + 2):
        replica = Replica(number, alone=20)
        for half_seconds in range(3):
            replica.beat(table, {number}, number + half_seconds / 2, 100)
    assert replica.share >= 10, f"{replica.share} of 20"


def test_what_is_long_gone_does_not_count_anew_for_who_looks_first_now():
    row, watched = ShareRow(1, 1, stake()._replace(used=60, holds=80, alone=30)), Watched()
    held = {}
    for now in range(0, int(GONE_S) + 5, 4):
        living, held[now], over, old = watched.counting([row], set(), now)
        assert not living
        assert not over, "it may read on without the ledger"
        row = old[0] if old else row
    assert (held[0], held[now]) == (70, 30), "60 and what may be untold; then its part without the ledger"
    assert Watched().counting([row], set(), 0.0)[1] == 30


def test_a_replica_that_is_paused_keeps_what_it_holds_until_its_lease_is_over():
    table: dict[int, ShareRow] = {}
    first, second = Replica(1), Replica(2)
    first.beat(table, {1, 2}, 0.0, 100)
    for seconds in range(int(LAPSE_S)):
        second.beat(table, {1, 2}, seconds, 100)
        assert second.share == 0
    second.beat(table, {1, 2}, LAPSE_S, 100)
    assert second.share == 20


def test_what_graph_told_a_replica_that_is_paused_does_not_begin_anew_with_each_look():
    watched, row = Watched(), ShareRow(2, 1, stake()._replace(closed_s=10.0))
    left = [watched.counting([row], {1, 2}, now)[0][2].stake.closed_s for now in (0.0, 4.0, 8.0, 12.0)]
    assert left == [10.0, 6.0, 2.0, 0.0]
