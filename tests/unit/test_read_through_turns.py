"""A caller that takes its answers slowly does not keep others from reading."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

from google.protobuf.empty_pb2 import Empty

from gateway.call import Call, Caller, Read, decoded
from gateway.graph.quota import Quota
from gateway.graph.read_through import OF_A_CALLER, ReadThrough
from gateway.graph.transports import Streamed
from gateway.graph.transports.aiohttp_transport import CONNECTIONS
from gateway.operations import READ_THROUGH


class Graph:
    """Answers once `goes_on` is set. asked: how many requests of each caller it has."""

    root, quota = "https://graph.example", Quota()

    def __init__(self) -> None:
        self.asked, self.goes_on = Counter[str](), asyncio.Event()

    @asynccontextmanager
    async def stream(self, path, headers, *, deadline, record):
        self.asked[record.caller] += 1
        await self.goes_on.wait()
        yield Streamed(304, {}, None)


class Sink:
    async def begin(self, status, headers) -> None: ...


def call_of(name: str) -> Call:
    read = Read("/v1.0/groups", "groups", "groups", False, {}, "https://gateway.example", Sink())
    call = Call(READ_THROUGH, decoded(Empty()), {}, 0.0, caller=Caller(name), tenant="contoso", read=read)
    call.record.call = call
    return call


async def test_one_caller_takes_only_a_part_of_the_connections():
    graph = Graph()
    reads = ReadThrough({"contoso": graph}, 1024)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for name in ["greedy"] * 2 * CONNECTIONS[False] + ["other"]:
            group.create_task(reads(call_of(name)))
        while "other" not in graph.asked:
            await asyncio.sleep(0)
        assert graph.asked == {"greedy": OF_A_CALLER, "other": 1}
        graph.goes_on.set()
    assert graph.asked["greedy"] == 2 * CONNECTIONS[False], "the others had waited"
    assert not reads._turns, "nothing is kept of callers that have no calls"
