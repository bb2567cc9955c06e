"""Whose turn it is: shares by weight, nobody starves, and one edit does not wait behind another caller's thousand."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.quota.fair_queue import FairQueue, Weight

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.01, 100), min_size=2)


def queue_of(weights: dict[str, float], **waiting: int) -> FairQueue[str]:
    queue: FairQueue[str] = FairQueue({name: Weight(weight) for name, weight in weights.items()})
    for caller, many in waiting.items():
        for number in range(many):
            queue.push(caller, f"{caller} {number}")
    return queue


@given(WEIGHTS, st.integers(50, 400))
def test_those_who_wait_all_the_time_get_turns_by_weight(weights: dict[str, float], turns: int):
    queue = queue_of(weights, **dict.fromkeys(weights, turns))
    got = Counter(caller for caller, _ in (queue.pop() for _ in range(turns)))
    total = sum(weights.values())
    for caller, weight in weights.items():
        assert got[caller] >= int(turns * weight / total) - len(weights), "within a turn of each of the others"


@given(WEIGHTS)
def test_nobody_starves_for_any_weights(weights: dict[str, float]):
    lightest = min(weights, key=lambda name: weights[name])
    queue = queue_of(weights, **dict.fromkeys(weights, 1))
    patience = int(sum(weights.values()) / weights[lightest]) + 2 * len(weights)
    for number in range(patience):
        caller, _ = queue.pop()
        if caller == lightest:
            return
        queue.push(caller, f"{caller} again {number}")
    pytest.fail("it never had a turn")


def test_callers_who_are_always_new_do_not_hold_up_one_who_waits():
    queue = queue_of({}, old=3, busy=50)
    served = []
    for number in range(400):
        queue.push(f"new {number}", f"new {number}")
        served.append(queue.pop()[0])
    assert served.count("old") == 3


def test_one_edit_waits_for_a_turn_of_each_other_caller_at_most():
    elephants = {f"elephant {number}": 500 for number in range(16)}
    queue = queue_of({}, **elephants)
    for _ in range(100):
        queue.pop()
    queue.push("mouse", "edit")
    assert queue.turns_before("mouse") <= 17
    before = 0
    while queue.pop()[0] != "mouse":
        before += 1
    assert before <= 16


@given(st.lists(st.sampled_from([1, 2, 13]), min_size=20, max_size=40))
def test_who_asks_for_less_than_its_share_is_next_although_it_has_just_been_served(pauses: list[int]):
    """Eight elephants of weight 2 and a mouse of weight 10, whose share is more than a third: it asks for a seventh at most."""
    weights = {f"elephant {number}": 2.0 for number in range(8)} | {"mouse": 10.0}
    queue = queue_of(weights, **dict.fromkeys(list(weights)[:-1], 300))
    for pause in (8, *pauses):
        for _ in range(max(pause, 14 - pause)):
            assert queue.pop()[0] != "mouse"
        for _ in range(2):
            queue.push("mouse", "edit")
            assert queue.pop()[0] == "mouse"


def test_what_was_borrowed_is_paid_back():
    queue, served = queue_of({}, **{f"elephant {number}": 500 for number in range(4)}), Counter()
    for number in range(500):  # always away for a moment, so that it comes anew each time
        queue.push("comes and goes", f"edit {number}")
        served[queue.pop()[0]] += 1
        if not queue.waits("comes and goes"):
            served[queue.pop()[0]] += 1
    assert served["comes and goes"] == pytest.approx(sum(served.values()) / 5, rel=0.05)


def test_the_first_whose_turn_comes_pays_for_all_who_share_it():
    queue = queue_of({}, elephant=100)
    queue.push("elephant", "shared")
    queue.push("mouse", "shared")
    served = [queue.pop() for _ in range(3)]
    assert ("mouse", "shared") in served
    left = [queue.pop() for _ in range(len(queue))]
    assert len(left) == 98
    assert "shared" not in {item for _, item in left}
    assert queue.pop() is None


def test_what_is_removed_costs_nobody_a_turn():
    queue = queue_of({}, a=3, b=1)
    queue.remove("a 1")
    queue.remove("nobody's")
    assert [queue.pop() for _ in range(3)] == [("a", "a 0"), ("b", "b 0"), ("a", "a 2")]


def reserved(reserve: float = 0.1) -> FairQueue[str]:
    return FairQueue({"incident": Weight(1, priority=True)}, reserve, most_owed=10)


def test_a_reserve_is_there_at_once_after_its_callers_were_away_and_lent_out_meanwhile():
    queue = reserved()
    for number in range(300):
        queue.push(f"elephant {number % 20}", f"edit {number}")
    assert [queue.pop()[0].split()[0] for _ in range(100)] == ["elephant"] * 100, "lent out"
    for number in range(30):
        queue.push("incident", f"incident {number}")
    assert queue.turns_before("incident") < 300
    assert [queue.pop()[0] for _ in range(10)] == ["incident"] * 10
    later = [queue.pop()[0] for _ in range(100)].count("incident")
    assert 10 <= later <= 10 + 100 / 21 + 3, "its reserve, and its share of the rest"


def test_without_priority_nobody_touches_the_reserve():
    queue = reserved()
    for caller in ("incident", "pretender"):
        for number in range(20):
            queue.push(caller, f"{caller} {number}")
    assert [queue.pop()[0] for _ in range(10)] == ["incident"] * 10


def test_thousands_of_names_leave_nothing_behind():
    queue = queue_of({}, elephant=10)
    for number in range(20_000):
        queue.push(f"name {number}", "one")
        if queue.pop()[0] == "elephant":
            queue.push("elephant", f"more {number}")
    assert len(queue.waiting()) <= 2
    kept = sum(len(value) for value in vars(queue).values() if isinstance(value, dict | list))
    assert kept < 5_000
    while queue.pop():
        pass
    assert not queue.waiting()


def test_weights_may_change_while_callers_wait():
    queue = queue_of({}, a=100, b=100)
    queue.pop()
    queue.set_weights({"a": Weight(4)}, 0.0)
    got = Counter(queue.pop()[0] for _ in range(100))
    assert got["a"] == pytest.approx(80, abs=2)


def test_a_caller_that_waits_here_alone_has_all_of_its_weight_here():
    """Of three queues that divide all turns; the elephants wait at each."""
    elephants = {f"elephant {number}": 300 for number in range(10)}
    queue = queue_of({}, **elephants, alone=300)
    queue.set_parts(dict.fromkeys(elephants, 1.0), 3.0)
    got = Counter(queue.pop()[0] for _ in range(260))
    assert got["alone"] == pytest.approx(60, abs=3)
