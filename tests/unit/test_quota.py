"""Turns of a tenant, as callers wait for them: under a clock that jumps."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any

import pytest
from virtual_time import run

from gateway.errors import GatewayError, Reason
from gateway.graph.quota import Bid, Bidder, Quota, Sharing, Turns, Weight


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def runs(*arguments: Any, **named: Any) -> None:
        run(test(*arguments, **named))

    return runs


def now() -> float:
    return asyncio.get_running_loop().time()


async def take(turns: Turns, caller: str = "a", request_id: str = "", within: float = 60.0, **options: bool) -> float:
    """Seconds until the turn came. It is answered at once."""
    began = now()
    await turns.take(began + within, Bid.of(Bidder(caller, request_id)), **options)
    turns.answered()
    return now() - began


@in_virtual_time
async def test_a_turn_beyond_the_deadline_is_refused_at_once_and_not_taken():
    turns = Turns("writes", 1)
    await take(turns)
    began = now()
    for number in range(3):
        with pytest.raises(GatewayError) as caught:
            await take(turns, request_id=str(number), within=1)
        assert caught.value.reason is Reason.QUOTA_EXHAUSTED
        assert caught.value.metadata == {"window": "writes", "reserved": "true"}
        assert caught.value.retry_after > 15
    assert now() == began


@in_virtual_time
async def test_a_turn_given_back_is_there_for_the_next():
    turns = Turns("writes", 1)
    for _ in range(5):
        await turns.take(now() + 1, Bid.of(Bidder("a")))
        turns.give_back()


@in_virtual_time
async def test_a_deadline_that_has_passed_is_no_matter_of_quota():
    with pytest.raises(GatewayError) as caught:
        await Turns("writes", 100).take(now(), Bid.of(Bidder("a")))
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED


@in_virtual_time
async def test_reads_leave_a_reserve_for_writes():
    requests = Quota(writes=100, requests=1000).requests
    reads = [asyncio.create_task(take(requests)) for _ in range(900)]
    await asyncio.sleep(0)
    assert [await take(requests, urgent=True) for _ in range(25)] == [0] * 25
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


@in_virtual_time
async def test_a_limit_of_one_has_no_reserve():
    assert await take(Quota(requests=1).requests) == 0


async def elephant(turns: Turns, name: str, served: Counter[str], policies: int = 40) -> None:
    """Always waits for that many turns."""

    async def policy() -> None:
        while True:
            try:
                await take(turns, name)
            except GatewayError as error:
                await asyncio.sleep(error.retry_after)
            else:
                served[name] += 1

    await asyncio.gather(*(policy() for _ in range(policies)))


@in_virtual_time
async def test_one_edit_does_not_wait_behind_another_callers_thousand():
    turns, served = Turns("writes", 100), Counter()
    busy = [asyncio.create_task(elephant(turns, f"elephant {number}", served)) for number in range(16)]
    await asyncio.sleep(120)
    served.clear()
    waits = []
    for _ in range(100):
        await asyncio.sleep(5)
        waits.append(await take(turns, "mouse", within=10))
    assert max(waits) <= 2
    counts = [served[f"elephant {number}"] for number in range(16)]
    assert max(counts) <= min(counts) * 1.05 + 2
    await cancelled(busy)


@in_virtual_time
async def test_weights_are_kept_to_within_5_percent():
    weights = {"light": Weight(1), "heavy": Weight(4)}
    turns, served = Turns("writes", 100, Sharing(weights)), Counter()
    busy = [asyncio.create_task(elephant(turns, name, served)) for name in weights]
    await asyncio.sleep(600)
    assert served["heavy"] / served["light"] == pytest.approx(4, rel=0.05)
    assert sum(served.values()) >= 0.95 * 5 * 600
    await cancelled(busy)


async def cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@in_virtual_time
async def test_who_comes_at_the_time_it_was_told_is_served_under_ten_times_overload():
    rng, turns = random.Random(1), Turns("writes", 100)
    kept, told, tasks = 0, [], []

    async def comes(caller: str, request_id: str) -> None:
        nonlocal kept
        try:
            await take(turns, caller, request_id, within=5)
        except GatewayError as error:
            assert error.metadata["reserved"] == "true"
            moment = now() + error.retry_after
            told.append(moment)
            await asyncio.sleep(error.retry_after + rng.uniform(0, 0.9))
            try:
                await take(turns, caller, request_id, within=5)
                kept += 1
            except GatewayError:
                pass

    for number in range(1500):  # 50 a second for half a minute, where 5 are served
        tasks.append(asyncio.create_task(comes(f"caller {rng.randrange(10)}", str(number))))
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)
    assert len(told) > 1000
    assert kept / len(told) >= 0.95
    assert max(Counter(int(moment) for moment in told).values()) <= 5, "no herd"


@in_virtual_time
async def test_who_comes_too_early_is_told_the_same_time_again():
    turns, told = Turns("writes", 1), []
    await take(turns)
    for _ in range(3):
        with pytest.raises(GatewayError) as caught:
            await take(turns, request_id="1", within=1)
        told.append(now() + caught.value.retry_after)
        await asyncio.sleep(2)
    assert told == pytest.approx([told[0]] * 3)


@in_virtual_time
async def test_a_caller_may_wait_for_so_many_turns_and_no_more():
    turns = Turns("writes", 1, Sharing(most_waiting=3))
    await take(turns)
    waiting = [asyncio.create_task(take(turns, within=600)) for _ in range(3)]
    await asyncio.sleep(0.1)
    began = now()
    with pytest.raises(GatewayError):
        await take(turns, within=600)
    assert now() == began
    other = asyncio.create_task(take(turns, "b", within=600))
    assert len(await asyncio.gather(*waiting, other)) == 4


@in_virtual_time
async def test_who_shares_a_write_has_the_turn_that_comes_first():
    turns, served = Turns("writes", 20), Counter()
    busy = asyncio.create_task(elephant(turns, "elephant", served, policies=50))
    await asyncio.sleep(30)
    bid = Bid.of(Bidder("elephant", "1"))
    waiting = asyncio.create_task(turns.take(now() + 300, bid))
    await asyncio.sleep(1)
    assert not waiting.done()
    began = now()
    bid.join(Bidder("mouse", "2"))
    await waiting
    turns.answered()
    assert now() - began < 3
    assert bid.payer == "mouse"
    await cancelled([busy])


@in_virtual_time
async def test_a_turn_whose_waiter_goes_is_there_for_the_next():
    turns = Turns("writes", 2)
    for _ in range(100):
        gone = asyncio.create_task(turns.take(now() + 60, Bid.of(Bidder("gone"))))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        if not gone.cancelled():
            turns.give_back()
    await asyncio.sleep(25)
    assert turns.waiting == 0
    assert await take(turns) == 0


@in_virtual_time
async def test_urgent_ones_go_before_all_others():
    turns, order = Turns("requests", 10), []
    await take(turns)

    async def one(name: str, **options: bool) -> None:
        await take(turns, name, within=600, **options)
        order.append(name)

    tasks = [asyncio.create_task(one(name)) for name in "abc"]
    await asyncio.sleep(0.1)
    tasks.append(asyncio.create_task(one("look back", urgent=True)))
    await asyncio.gather(*tasks)
    assert order[0] == "look back"


@in_virtual_time
async def test_graphs_refusal_holds_up_all_who_wait_until_its_time():
    turns = Turns("writes", 100)
    turns.refused(7.5)
    assert await take(turns) == pytest.approx(7.5)
    turns.refused(None)
    with pytest.raises(GatewayError) as caught:
        await take(turns, within=0.5)
    assert caught.value.retry_after >= 1


@in_virtual_time
async def test_thousands_of_callers_under_overload_are_kept_in_bounds():
    turns, rng = Turns("writes", 100, Sharing(most_waiting=5)), random.Random(2)
    tasks = []

    async def one(name: str, request_id: str) -> None:
        with suppress(GatewayError):
            await take(turns, name, request_id, within=3)

    for number in range(3000):
        tasks.append(asyncio.create_task(one(f"name {rng.randrange(5000)}", str(number))))
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)
    assert turns.waiting == 0
    assert len(turns.told_times) <= 3000
    await asyncio.sleep(7200)
    assert await take(turns) == 0
    assert turns.told_times.told(Bidder("name 1", "1"), now()) is None
    assert len(turns.told_times) == 0
