"""Turns in Graph's quota: never more in any 20 s than the limit, a burst at once, and honest refusals."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, Reason
from gateway.graph.quota import WINDOW_S, Quota, Turns, gcra, rate_for


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


async def test_reads_leave_a_reserve_for_writes():
    loop = asyncio.get_running_loop()
    requests, far = Quota(writes=100, requests=1000).requests, loop.time() + 60
    reads = [asyncio.create_task(requests.take(far)) for _ in range(900)]
    await asyncio.sleep(0)
    for _ in range(40):
        with pytest.raises(StopIteration):  # it would come to a future if it had to wait, however slow the machine is
            requests.take(far, urgent=True).send(None)
    assert sum(read.done() for read in reads) < 100
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


async def test_a_limit_of_one_has_no_reserve():
    await Quota(requests=1).requests.take(asyncio.get_running_loop().time() + 1)


@given(st.integers(1, 200), st.lists(st.tuples(st.floats(0, 3), st.booleans()), min_size=1, max_size=400))
def test_no_window_has_more_turns_than_the_limit_with_a_reserve_either(limit: int, asked: list[tuple[float, bool]]):
    """As Turns does it: whoever has to wait takes nothing before it may."""
    rate, arrival, now, sent = rate_for(limit), 0.0, 100.0, []
    for gap, urgent in asked:
        now += gap
        wait, then = gcra(rate, arrival, now, 0 if urgent else rate.burst // 2)
        if not wait:
            arrival = then
            sent.append(now)
    for i, start in enumerate(sent):
        assert sum(start <= t < start + WINDOW_S - 1e-6 for t in sent[i:]) <= limit
