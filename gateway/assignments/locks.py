"""A lock per tenant and policy, so that of several replicas one at a time writes a policy.

Built-in: InProcessLocks, enough for one process; RedisLocks (redis_locks) for several. A lock is advice: Graph knows none.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from gateway.errors import GatewayError, Reason


class Lease(Protocol):
    """A lock that is held."""

    def held(self) -> bool:
        """Whether it is certain that no one else holds the lock now. Costs no round trip."""
        ...


class Locks(Protocol):
    """Gives locks by name."""

    def hold(self, name: str) -> AbstractAsyncContextManager[Lease]:
        """Waits for the lock, holds it inside the block. Raises LOCK_UNAVAILABLE."""
        ...

    async def close(self) -> None:
        """Closes connections."""
        ...


def check_held(lease: Lease) -> None:
    """Raises LOCK_LOST where someone else may hold the lock by now."""
    if not lease.held():
        raise GatewayError(Reason.LOCK_LOST, retry_after=1.0)


class _Held:
    def held(self) -> bool:
        return True


class InProcessLocks:
    """For one process. A name that nobody holds or waits for takes no memory."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Lease]:
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with lock:
                yield _Held()
        finally:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1

    async def close(self) -> None:
        pass
