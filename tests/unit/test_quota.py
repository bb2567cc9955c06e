"""Turns in Graph's quota: never more in any 20 s than the limit, a burst at once, and honest refusals."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, Reason
from gateway.graph.quota import WINDOW_S, Turns, gcra, rate_for


@given(st.integers(1, 200), st.lists(st.floats(0, 3), min_size=1, max_size=400))
def test_no_window_ever_has_more_turns_than_the_limit(limit: int, gaps: list[float]):
    rate, arrival, now, sent = rate_for(limit), 0.0, 100.0, []
    for gap in gaps:
        now += gap
        wait, arrival = gcra(rate, arrival, now)
        sent.append(now + wait)
    assert sent == sorted(sent), "in the order they were asked for"
    for i, start in enumerate(sent):
        assert sum(start <= t < start + WINDOW_S - 1e-6 for t in sent[i:]) <= limit


@pytest.mark.parametrize(("limit", "burst"), [(100, 9), (1000, 95), (1, 1)])
def test_a_burst_waits_for_nobody(limit: int, burst: int):
    rate, arrival, waits = rate_for(limit), 0.0, []
    for _ in range(burst + 1):
        wait, arrival = gcra(rate, arrival, 50.0)
        waits.append(wait)
    assert waits[:-1] == pytest.approx([0.0] * burst, abs=1e-9)
    assert waits[-1] > 0


async def test_a_turn_beyond_the_deadline_is_refused_at_once_and_not_taken():
    loop = asyncio.get_running_loop()
    turns = Turns(1)
    await turns.take(loop.time() + 1)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await turns.take(loop.time() + 1)
        assert caught.value.reason is Reason.QUOTA_EXHAUSTED
        assert 15 < caught.value.retry_after <= WINDOW_S


async def test_a_turn_given_back_is_there_for_the_next():
    loop = asyncio.get_running_loop()
    turns = Turns(1)
    for _ in range(5):
        await turns.take(loop.time() + 1)
        turns.give_back()


async def test_a_deadline_that_has_passed_is_no_matter_of_quota():
    with pytest.raises(GatewayError) as caught:
        await Turns(100).take(asyncio.get_running_loop().time())
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
