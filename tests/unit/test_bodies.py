"""Bodies that have not come whole: bounded in all and for each caller, and turns come back."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.doors.bodies import Bodies
from gateway.errors import GatewayError, Reason

NOW, LATER = 0.0, 60.0


def until(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def refused(bodies: Bodies, caller: str) -> Reason | None:
    try:
        async with bodies.turn(caller, until(NOW)):
            return None
    except GatewayError as error:
        return error.reason


async def test_who_has_its_share_waits_and_others_go_on():
    bodies = Bodies(most=3, most_of_one=2)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(bodies.turn("one", until(LATER)))
        assert await refused(bodies, "one") is Reason.CALLER_TOO_BUSY
        assert await refused(bodies, "other") is None
    assert await refused(bodies, "one") is None


async def test_all_together_have_no_more_than_there_is():
    bodies = Bodies(most=3, most_of_one=2)
    async with AsyncExitStack() as held:
        for caller in ("one", "one", "other"):
            await held.enter_async_context(bodies.turn(caller, until(LATER)))
        assert await refused(bodies, "third") is Reason.CALLER_TOO_BUSY
    assert await refused(bodies, "third") is None


@pytest.mark.parametrize("waiting", [1, 5])
async def test_who_gives_up_waiting_takes_nothing_and_nobody_is_remembered(waiting: int):
    bodies = Bodies(most=1, most_of_one=1)

    async def wait() -> None:
        async with bodies.turn("one", until(LATER)):
            raise AssertionError("there is no room")

    async with bodies.turn("one", until(LATER)):
        tasks = [asyncio.create_task(wait()) for _ in range(waiting)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)
    assert await refused(bodies, "one") is None
    assert bodies._own == {}
