"""An answer that is passed on: what it holds while Graph is asked again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from gateway.call import Record
from gateway.graph.client import GraphClient
from gateway.graph.transports import Request, Streamed


class Busy:
    """A transport to a Graph that answers 503 so many times. opened: of each request, how many answers were open before it."""

    def __init__(self, times: int) -> None:
        self._left, self._open, self.opened = times, 0, list[int]()

    @asynccontextmanager
    async def stream(self, request: Request, timeout: float) -> AsyncIterator[Streamed]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"{}"

        self.opened.append(self._open)
        self._open += 1
        self._left -= 1
        try:
            yield Streamed(503 if self._left >= 0 else 200, {"retry-after": "0"}, pieces())
        finally:
            self._open -= 1


async def test_a_refused_answer_is_closed_before_graph_is_asked_again():
    async def token() -> str:
        return "t"

    transport: Any = Busy(3)
    tokens: Any = SimpleNamespace(token=token)
    deadline = asyncio.get_running_loop().time() + 60
    client = GraphClient("https://graph.invalid", transport, tokens)
    async with client.stream("/v1.0/groups", {}, deadline=deadline, record=Record()) as answer:
        assert answer.status == 200
        assert [piece async for piece in answer.pieces] == [b"{}"]
        assert transport._open == 1
    assert transport.opened == [0, 0, 0, 0]
    assert transport._open == 0
