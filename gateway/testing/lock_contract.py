"""What every Locks has to do. Subclass LockContract and define `make`; for locks of several processes, each call of `make`
gives another client of the same service."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.assignments.locks import Locks


class LockContract(ABC):
    """The contract; see Locks."""

    @abstractmethod
    def make(self) -> Locks:
        """A client of the locks under test."""

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[tuple[Locks, Locks]]:
        one = self.make()
        other = self.make()
        try:
            yield one, other
        finally:
            await one.close()
            await other.close()

    async def test_one_at_a_time(self) -> None:
        inside, most, turns = 0, 0, 0

        async def turn(locks: Locks) -> None:
            nonlocal inside, most, turns
            async with locks.hold("tenant/policy") as lease:
                inside, turns = inside + 1, turns + 1
                most = max(most, inside)
                assert lease.held()
                await asyncio.sleep(0.005)
                inside -= 1

        async with self.clients() as (one, other):
            await asyncio.gather(*(turn(locks) for _ in range(10) for locks in (one, other)))
        assert (turns, most) == (20, 1)

    async def test_other_names_do_not_wait(self) -> None:
        async with self.clients() as (one, other), one.hold("a"), asyncio.timeout(2), other.hold("b") as lease:
            assert lease.held()

    async def test_an_exception_frees_the_lock(self) -> None:
        async with self.clients() as (one, other):
            with pytest.raises(ZeroDivisionError):
                async with one.hold("a"):
                    raise ZeroDivisionError
            async with asyncio.timeout(2), other.hold("a"):
                pass

    async def test_a_cancelled_waiter_leaves_no_trace(self) -> None:
        async with self.clients() as (one, other):
            async with one.hold("a"):
                waiter = asyncio.create_task(self._hold_briefly(other))
                await asyncio.sleep(0.1)
                waiter.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiter
            async with asyncio.timeout(2), one.hold("a"):
                pass

    async def _hold_briefly(self, locks: Locks) -> None:
        async with locks.hold("a"):
            pass
