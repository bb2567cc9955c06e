"""Both built-in locks keep the contract; Redis ones also against a real server that fails."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from redis_server import NEEDS_REDIS, Server

from gateway.assignments.locks import InProcessLocks, Locks
from gateway.assignments.redis_locks import PREFIX, RedisLocks
from gateway.errors import GatewayError, Reason
from gateway.testing.lock_contract import LockContract


class TestInProcessLocks(LockContract):
    locks: InProcessLocks | None = None

    def make(self) -> Locks:
        self.locks = self.locks or InProcessLocks()
        return self.locks

    async def test_names_that_nobody_uses_take_no_memory(self) -> None:
        locks = InProcessLocks()
        for i in range(100):
            async with locks.hold(str(i)):
                assert len(locks._locks) == 1
        assert not locks._locks


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@NEEDS_REDIS
class TestRedisLocks(LockContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: Server) -> None:
        self.server = redis_server

    def make(self, ttl: float = 15) -> Locks:
        return RedisLocks(self.server.url, ttl=ttl)

    async def test_a_lease_is_renewed_while_it_is_held(self) -> None:
        locks = self.make(ttl=1)
        async with locks.hold("a") as lease:
            await asyncio.sleep(2.5)
            assert lease.held()
            with self.server.client() as redis:
                assert redis.pttl(PREFIX + "a") > 0
        with self.server.client() as redis:
            assert not redis.exists(PREFIX + "a")
        await locks.close()

    async def test_a_lease_that_another_took_is_not_held_and_not_released(self) -> None:
        locks = self.make(ttl=1)
        with self.server.client() as redis:
            async with locks.hold("a") as lease:
                redis.set(PREFIX + "a", "another")
                await asyncio.sleep(0.6)
                assert not lease.held()
            assert redis.get(PREFIX + "a") == b"another"
            redis.delete(PREFIX + "a")
        await locks.close()

    async def test_a_lease_is_not_held_once_its_time_is_up_without_a_renewal(self) -> None:
        server = Server()
        locks = RedisLocks(server.url, ttl=1)
        async with locks.hold("a") as lease:
            server.stop()
            assert lease.held(), "nobody else can have it yet"
            await asyncio.sleep(1.1)
            assert not lease.held()
        await locks.close()

    async def test_the_lock_of_a_dead_replica_is_free_after_its_time(self) -> None:
        with self.server.client() as redis:
            redis.set(PREFIX + "dead", "a process that is no more", px=500)
        locks = self.make()
        started = time.monotonic()
        async with locks.hold("dead") as lease:
            assert lease.held()
        assert 0.3 < time.monotonic() - started < 3
        await locks.close()

    async def test_no_server_is_a_clear_error(self) -> None:
        locks = RedisLocks("redis://127.0.0.1:1")
        with pytest.raises(GatewayError) as caught:
            async with locks.hold("a"):
                pass
        assert caught.value.reason is Reason.LOCK_UNAVAILABLE
        await locks.close()
