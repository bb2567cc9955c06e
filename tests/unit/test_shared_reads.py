"""Who shares which read, under a clock that jumps: few requests, and nobody reads what was there before it came."""

import asyncio
import json
from collections.abc import Mapping

import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from gateway.assignments.shared_reads import SharedReads
from gateway.call import Record
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.quota import Quota
from gateway.graph.transports import Request, Response
from gateway.revision import PolicyName
from gateway.sets import SETS

[COMPLIANCE] = SETS.values()
NAME = PolicyName("tenant", COMPLIANCE.name, "policy")


class World:
    """A Graph of one policy, whose row says how often it was written; a read shows it as when it was sent, the oldest that
    may be. took: seconds of each read in turn."""

    def __init__(self, took: list[float], quota: int = 1_000_000) -> None:
        self.version = self.requests = 0
        self._took = took
        client = GraphClient("https://graph", self, self, quota=Quota(requests=quota))
        self.reads = SharedReads({NAME.tenant: client}, self)

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        shown = json.dumps({"value": [{"id": str(self.version)}]}).encode()
        took = self._took[self.requests % len(self._took)]
        self.requests += 1
        await asyncio.sleep(took)
        return Response(200, {"content-length": "1"}, shown)

    async def token(self) -> str:
        return "token"

    def read(self, *_: object) -> None:
        """What `Drift` would be shown."""

    async def seen(self, within: float = 60.0) -> int:
        """The version that a reader sees who comes now."""
        deadline = asyncio.get_running_loop().time() + within
        rows = await self.reads.read(NAME, COMPLIANCE, deadline, Record())
        return int(rows.rows[0]["id"])


def test_sixty_four_readers_at_twenty_milliseconds_cost_a_twentieth():
    world = World([0.02])

    async def reader() -> None:
        for _ in range(50):
            await world.seen()

    async def all_readers() -> None:
        await asyncio.gather(*(reader() for _ in range(64)))

    virtual_time.run(all_readers())
    assert world.requests <= 64 * 50 // 20


def test_one_reader_alone_waits_for_nobody():
    world = World([0.02])

    async def alone() -> float:
        for _ in range(50):
            await world.seen()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(alone()) < 1000 + 50 * 0.0201
    assert world.requests == 50


EVENTS = st.lists(st.tuples(st.floats(0, 0.2), st.sampled_from(["read", "read", "write", "leave"])), min_size=1, max_size=40)


@given(EVENTS, st.lists(st.floats(0.001, 0.5), min_size=1, max_size=8))
def test_nobody_reads_what_was_there_before_it_came(events: list[tuple[float, str]], took: list[float]):
    world = World(took)
    seen: list[tuple[int, int]] = []

    async def reader() -> None:
        came = world.version
        seen.append((came, await world.seen()))

    async def go() -> None:
        tasks: list[asyncio.Task[None]] = []
        for pause, event in events:
            await asyncio.sleep(pause)
            if event == "read":
                tasks.append(asyncio.create_task(reader()))
            elif event == "write":
                world.version += 1
            elif tasks:
                tasks[-1].cancel()
        left = [task.cancelling() for task in tasks]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or gone for end, gone in zip(ends, left, strict=True)), "who stays is served"

    virtual_time.run(go())
    assert all(came <= shown for came, shown in seen)


def test_who_has_less_time_than_its_turn_takes_is_refused_at_once():
    """Others who share the read may wait for longer; it is told when to come again."""
    world = World([0.02], quota=20)

    async def go() -> Mapping[str, object]:
        patient = [asyncio.create_task(world.seen()) for _ in range(3)]
        await asyncio.sleep(0)
        for _ in range(20):
            await world.seen()
        began = asyncio.get_running_loop().time()
        try:
            await world.seen(0.2)
        except GatewayError as error:
            took = asyncio.get_running_loop().time() - began
            await asyncio.gather(*patient)
            return {"reason": error.reason.name, "again": error.retry_after, "took": took}
        return {}

    told = virtual_time.run(go())
    assert told["reason"] == "QUOTA_EXHAUSTED"
    assert told["took"] == 0
    assert told["again"]
