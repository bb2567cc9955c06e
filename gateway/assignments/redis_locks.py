"""Locks in Redis, through redis-py's own Lock: a token of its own per holder, taken, renewed and released by scripts."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from gateway.assignments.locks import Lease
from gateway.errors import GatewayError, Reason

log = logging.getLogger(__name__)

PREFIX = "compliance-gateway:lock:"
POLL_S = 0.05


class _RedisLease:
    """Renewed in the background. valid_until: monotonic seconds, counted from before each renewal was asked for."""

    def __init__(self, lock: Lock, ttl: float, valid_until: float) -> None:
        self._lock, self._ttl, self._valid_until = lock, ttl, valid_until

    def held(self) -> bool:
        return time.monotonic() < self._valid_until

    async def renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3)
            asked = time.monotonic()
            try:
                await self._lock.reacquire()
                self._valid_until = asked + self._ttl
            except LockError:
                self._valid_until = 0.0  # someone else may have it
                log.warning("lock lost", extra={"lock": str(self._lock.name)})
                return
            except (RedisError, OSError) as exc:
                log.warning("lock not renewed", extra={"lock": str(self._lock.name), "error": type(exc).__name__})


class RedisLocks:
    """ttl: seconds after which the lock of a dead replica is free. Two thirds of it may pass without a renewal."""

    def __init__(self, url: str, password: str | None = None, ttl: float = 15.0) -> None:
        self._redis = Redis.from_url(url, password=password, socket_timeout=5, socket_connect_timeout=5)
        self._ttl = ttl

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Lease]:
        lock = self._redis.lock(PREFIX + name, timeout=self._ttl, sleep=POLL_S, thread_local=False)
        lease = await self._acquire(lock)
        renewal = asyncio.create_task(lease.renew(), name="lock-renewal")
        try:
            yield lease
        finally:
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewal
            with contextlib.suppress(LockError, RedisError, OSError):  # it ends by itself after the ttl
                await lock.release()

    async def close(self) -> None:
        await self._redis.aclose()

    async def _acquire(self, lock: Lock) -> _RedisLease:
        try:
            while True:
                asked = time.monotonic()
                if await lock.acquire(blocking=False):
                    return _RedisLease(lock, self._ttl, asked + self._ttl)
                await asyncio.sleep(POLL_S)
        except (RedisError, OSError) as exc:
            raise GatewayError(Reason.LOCK_UNAVAILABLE, retry_after=1.0) from exc
