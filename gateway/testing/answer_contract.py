"""The part of the contract of transports that is about what a server answers; see transport_contract."""

import asyncio
import gzip
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.graph.transports import Request, Response, Settings, Transport, TransportError
from gateway.testing.raw_http import OK, RawRequest, ok, raw_server

PLENTY_S = 20.0
SHORT_S = 0.3
SOON_S = PLENTY_S / 2  # how long a time-out of SHORT_S may take on a busy machine
LIMIT_BYTES = 1 << 16


def request(port: int, *, scheme: str = "http", host: str = "127.0.0.1", body: bytes | None = b'{"a":1}') -> Request:
    """A POST with a token."""
    headers = {"Authorization": "Bearer canary-token", "Content-Type": "application/json"}
    return Request("POST" if body else "GET", f"{scheme}://{host}:{port}/beta/x?y=1", headers, body)


async def hang(_request: RawRequest) -> None:
    """Never answers."""
    await asyncio.sleep(PLENTY_S * 3)


class AnswerContract(ABC):
    """The contract; see Transport."""

    @abstractmethod
    def make(self, settings: Settings) -> Transport:
        """The transport under test."""

    @asynccontextmanager
    async def transport(
        self, ca_file: Path | None = None, connect: float = 5, read: float = PLENTY_S
    ) -> AsyncIterator[Transport]:
        transport = self.make(Settings(ca_file, connect, read, LIMIT_BYTES))
        try:
            yield transport
        finally:
            await transport.close()

    async def send(self, transport: Transport, port: int, timeout: float = PLENTY_S) -> Response:
        return await transport.send(request(port), timeout)

    async def fails(self, transport: Transport, port: int, timeout: float = PLENTY_S) -> TransportError:
        """The failure, which may show neither the token nor what the server said."""
        with pytest.raises(TransportError) as caught:
            await self.send(transport, port, timeout)
        assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"
        return caught.value

    async def test_a_redirect_is_an_answer_and_is_not_followed(self) -> None:
        async def redirect(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

        async with raw_server(redirect) as server, self.transport() as transport:
            assert (await self.send(transport, server.port)).status == 302
        assert len(server.seen) == 1

    @pytest.mark.parametrize(
        "head",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncanary",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ncanary\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
            b"canary: this is no HTTP\r\n\r\n",
            b"",
        ],
        ids=["length", "chunked", "header", "garbage", "nothing"],
    )
    async def test_an_answer_cut_off_in_the_middle_may_have_acted(self, head: bytes) -> None:
        async def cut(request: RawRequest) -> None:
            await request.answer(head)
            request.writer.close()

        async with raw_server(cut) as server, self.transport() as transport:
            assert (await self.fails(transport, server.port)).sent
        assert len(server.seen) == 1

    async def test_a_body_over_the_limit_is_not_read_on(self) -> None:
        async def endless(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(1000):
                await request.answer(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await asyncio.sleep(PLENTY_S)

        async with raw_server(endless) as server, self.transport() as transport:
            error = await self.fails(transport, server.port)
        assert error.sent
        assert str(LIMIT_BYTES) in error.why

    async def test_an_interim_answer_is_not_the_answer(self) -> None:
        async def later(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
            await ok(request)

        async with raw_server(later) as server, self.transport() as transport:
            assert [(await self.send(transport, server.port)).body for _ in range(2)] == [b"{}"] * 2

    async def test_a_body_that_ends_with_the_connection_is_whole(self) -> None:
        async def ends(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")
            request.writer.close()

        async with raw_server(ends) as server, self.transport() as transport:
            assert [(await self.send(transport, server.port)).body for _ in range(2)] == [b"{}"] * 2

    async def test_what_nobody_asked_for_answers_nothing(self) -> None:
        async def more(request: RawRequest) -> None:
            await request.answer(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary")

        async with raw_server(more) as server, self.transport() as transport:
            for _ in range(3):
                assert (await transport.send(request(server.port, body=None), PLENTY_S)).body == b"{}"
                await asyncio.sleep(0.05)

    async def test_gzip_is_unpacked_and_counts_unpacked(self) -> None:
        async def packed(request: RawRequest) -> None:
            size = 100 if len(server.seen) == 1 else LIMIT_BYTES * 50
            data = gzip.compress(b"x" * size)
            head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(data)}\r\n\r\n"
            await request.answer(head.encode() + data)

        async with raw_server(packed) as server, self.transport() as transport:
            assert (await self.send(transport, server.port)).body == b"x" * 100
            assert (await self.fails(transport, server.port)).sent
