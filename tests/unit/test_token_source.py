"""A remembered token: one fetch for all who wait, renewed ahead, never an expired one served."""

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio

from gateway.credentials import Issued, TokenSource
from gateway.errors import GatewayError, Reason


class FakeApp:
    """Issues token-1, token-2, …; `down` makes it fail; `gate` holds it back."""

    def __init__(self) -> None:
        self.numbers, self.down, self.asked = itertools.count(1), False, 0
        self.lifetime, self.refresh_in, self.version = 3600.0, None, 1
        self.gate, self.closed = threading.Event(), False
        self.gate.set()

    def acquire(self) -> Issued:
        self.asked += 1
        self.gate.wait(5)
        if self.down:
            raise GatewayError(Reason.ENTRA_UNAVAILABLE, retry_after=5)
        return Issued(f"token-{next(self.numbers)}", self.lifetime, self.refresh_in)

    def fingerprint(self) -> object:
        return self.version

    def close(self) -> None:
        self.closed = True


class FakeTime:
    """A clock that stands still until told; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.now, self.sleepers = 0.0, []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def advance(self, seconds: float) -> None:
        self.now += seconds
        for wake_at, future in self.sleepers:
            if wake_at <= self.now and not future.done():
                future.set_result(None)
        await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def world():
    app, time = FakeApp(), FakeTime()
    with ThreadPoolExecutor(2) as threads:
        source = TokenSource(app, threads, clock=time.clock, sleep=time.sleep, jitter=lambda: 0.0)
        yield app, time, source
        app.gate.set()
        await source.close()
    assert app.closed


async def test_fifty_cold_calls_are_one_fetch(world):
    app, _, source = world
    assert set(await asyncio.gather(*(source.token() for _ in range(50)))) == {"token-1"}
    assert app.asked == 1


async def test_a_remembered_token_is_not_fetched_again(world):
    app, time, source = world
    for _ in range(3):
        assert await source.token() == "token-1"
        await time.advance(100)
    assert app.asked == 1


async def test_a_caller_that_gives_up_does_not_end_the_fetch_of_the_others(world):
    app, _, source = world
    app.gate.clear()
    impatient, patient = asyncio.create_task(source.token()), asyncio.create_task(source.token())
    await asyncio.sleep(0.01)
    impatient.cancel()
    await asyncio.sleep(0.01)
    app.gate.set()
    assert await patient == "token-1"
    assert app.asked == 1


@pytest.mark.parametrize(("lifetime", "refresh_in", "renewed_at"), [(3600, None, 1800), (86400, 43200, 43200), (60, None, 30)])
async def test_renewal_runs_in_the_background_ahead_of_its_time(world, lifetime, refresh_in, renewed_at):
    app, time, source = world
    app.lifetime, app.refresh_in = lifetime, refresh_in
    await source.token()
    await time.advance(renewed_at - 1)
    assert app.asked == 1
    app.gate.clear()
    await time.advance(1.5)
    assert app.asked == 2
    assert await source.token() == "token-1", "a call does not wait for the renewal"
    app.gate.set()
    async with asyncio.timeout(60):
        while await source.token() != "token-2":
            await time.advance(0)


async def test_jitter_only_ever_brings_the_renewal_forward():
    app, time = FakeApp(), FakeTime()
    with ThreadPoolExecutor(1) as threads:
        source = TokenSource(app, threads, clock=time.clock, sleep=time.sleep, jitter=lambda: 0.999)
        await source.token()
        await asyncio.sleep(0)
        assert 1600 < time.sleepers[0][0] < 1800
        await source.close()


async def test_the_old_token_is_served_while_entra_is_down_and_never_past_its_end(world):
    app, time, source = world
    await source.token()
    app.down = True
    for _ in range(36):
        await time.advance(99)
        assert await source.token() == "token-1"
    assert app.asked > 5, "renewal goes on trying"
    await time.advance(60)
    with pytest.raises(GatewayError) as caught:
        await source.token()
    assert caught.value.reason is Reason.ENTRA_UNAVAILABLE
    app.down = False
    await time.advance(61)
    assert await source.token() == "token-2"
    await time.advance(1801)
    assert await source.token() == "token-3", "renewal has started again"


async def test_a_failure_is_the_answer_for_everyone_for_a_moment(world):
    app, time, source = world
    app.down = True
    for _ in range(5):
        with pytest.raises(GatewayError) as caught:
            await source.token()
        assert caught.value.retry_after is not None
    assert app.asked == 1
    await time.advance(6)
    app.down = False
    assert await source.token() == "token-1"


async def test_a_refused_token_is_dropped_once_and_fetched_once(world):
    app, _, source = world
    old = await source.token()
    source.drop(old)
    assert await asyncio.gather(*(source.token() for _ in range(5))) == ["token-2"] * 5
    source.drop(old)
    assert await source.token() == "token-2"
    assert app.asked == 2


async def test_nothing_shows_the_token(world):
    _, _, source = world
    token = await source.token()
    assert token not in f"{source!r} {source._token!r} {Issued(token, 1)!r}"
