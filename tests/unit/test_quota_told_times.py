"""Who is refused is told a time that is kept for it: spread, bounded, and known when it comes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.quota.told_times import GRACE_S, HORIZON_S, MOST, MOST_OF_ONE, TOLD, Bidder, ToldTimes

A = Bidder("a", "1")


def tell(times: ToldTimes, who: Bidder, now: float = 0.0, earliest: float = 5.0, share: float = 1.0) -> float | None:
    return times.tell([who], who.caller, earliest, now, 0.2, share)


def test_who_comes_at_its_time_is_known_once():
    times = ToldTimes()
    told = tell(times, A)
    assert told is not None
    assert told >= 5.0
    assert not times.claim(A, told - 1), "too early: it is still told"
    assert times.told(A, told - 1) == told
    assert not times.claim(Bidder("a", "2"), told), "bound to the request id"
    assert not times.claim(Bidder("b", "1"), told), "and to the caller"
    assert times.claim(A, told + GRACE_S / 2)
    assert not times.claim(A, told + GRACE_S / 2)


def test_it_lapses_after_the_grace():
    times = ToldTimes()
    told = tell(times, A)
    assert not times.claim(A, told + GRACE_S + 0.1)
    assert len(times) == 0


@given(st.floats(-0.6, 0.6), st.floats(0, GRACE_S - 0.7), st.integers(1, 3))
def test_who_comes_to_another_replica_is_known_there_once_for_each_time_that_it_was_told(age: float, late: float, often: int):
    """age: of what is heard, when it is heard."""
    mine, others = ToldTimes(), ToldTimes()
    told = [mine.tell([A], "a", 5.0 + number, 0.0, 0.2, 1.0) for number in range(often)]

    def hear(now: float) -> None:
        others.hear(mine.soon(now - age, 100), now)

    hear(told[0] - 4)
    assert not others, "not yet"
    for time in told:
        for now in (time - 1.2, time - 0.7, time):
            hear(now)
        assert not others.claim(Bidder("a", "2"), time + late)
        assert not others.claim(Bidder("b", "1"), time + late)
        assert others.claim(A, time + late)
        hear(time + late)
    assert not others.claim(A, told[-1] + late), "others say it still, and it has come"
    hear(told[-1] + 10)
    assert not others


def test_another_number_of_turns_is_told_for_from_then_on():
    times = ToldTimes()
    few = [tell(times, Bidder("a", str(number))) for number in range(20)]
    slow = [times.tell([Bidder("b", str(number))], "b", 5.0, 0.0, 2.0, 1.0) for number in range(20)]
    assert min(slow) >= 5.0 + 20 * 2.0 / TOLD - 2.5, "after those that were told before, who need so long now"
    assert all(later - earlier >= 2.0 / TOLD - 1e-6 for earlier, later in pairwise(slow))
    assert all(times.claim(Bidder("a", str(number)), told) for number, told in enumerate(few))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 2), st.floats(0, 20)), max_size=100))
def test_no_more_come_in_a_while_than_there_are_turns(asked):
    times, now, told = ToldTimes(), 50.0, []
    for number, (caller, pause, wait) in enumerate(asked):
        now += pause
        time = tell(times, Bidder(caller, str(number)), now, now + wait, 0.5)
        assert time is not None
        assert time >= now + wait
        told.append(time)
    told.sort()
    assert all(later - earlier >= 0.2 / TOLD - 1e-6 for earlier, later in pairwise(told))


def test_a_caller_with_many_leaves_room_for_one_with_one():
    times = ToldTimes()
    for number in range(200):
        tell(times, Bidder("elephant", str(number)), share=0.5)
    assert tell(times, Bidder("mouse", "1")) < 6


def test_those_who_share_a_write_come_together_and_take_one_turn():
    times, three = ToldTimes(), [Bidder("a", "1"), Bidder("a", "2"), Bidder("b", "3")]
    told = times.tell(three, "a", 5.0, 0.0, 0.2, 1.0)
    assert all(times.claim(one, told) for one in three)
    assert times.due(told - 0.1, told + 0.1) == 1


def test_how_much_is_told_is_bounded():
    times = ToldTimes()
    told = [tell(times, Bidder("a", str(number))) for number in range(MOST_OF_ONE + 10)]
    assert told[-11] is not None
    assert told[-10:] == [None] * 10
    for number in range(MOST):
        tell(times, Bidder(f"name {number}", ""))
    assert len(times) <= MOST
    assert max(filter(None, told)) < HORIZON_S
    later = HORIZON_S * 3
    assert tell(times, Bidder("a", "later"), later, later) is not None
    assert len(times) == 1, "all that has passed is forgotten"
