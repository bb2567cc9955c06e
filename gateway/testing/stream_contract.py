"""The contract of transports for answers that are passed on. Subclass StreamContract and define `make`."""

import asyncio
import gzip
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.graph.transports import Settings, Streamed, Transport, TransportError
from gateway.testing.answer_contract import LIMIT_BYTES, PLENTY_S, SHORT_S, hang, request
from gateway.testing.raw_http import RawRequest, Script, raw_server

HEAD = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: W/"1"\r\n'


def piece(data: bytes) -> bytes:
    """As chunked encoding has it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class StreamContract(ABC):
    """The contract; see Transport.stream."""

    @abstractmethod
    def make(self, settings: Settings) -> Transport:
        """The transport under test."""

    @asynccontextmanager
    async def streaming(self) -> AsyncIterator[Transport]:
        transport = self.make(Settings(None, 5, PLENTY_S, LIMIT_BYTES))
        try:
            yield transport
        finally:
            await transport.close()

    @asynccontextmanager
    async def streamed(self, script: Script) -> AsyncIterator[Streamed]:
        async with (
            raw_server(script) as server,
            self.streaming() as transport,
            transport.stream(request(server.port, body=None), PLENTY_S) as answer,
        ):
            yield answer

    async def test_a_body_comes_piece_by_piece(self) -> None:
        more = asyncio.Event()

        async def script(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"\r\n" + piece(b"first"))
            await more.wait()
            await asked.answer(piece(b"second") + b"0\r\n\r\n")

        async with self.streamed(script) as answer:
            assert (answer.status, answer.headers["etag"]) == (200, 'W/"1"')
            pieces = answer.pieces
            assert await anext(pieces) == b"first"
            more.set()
            assert b"".join([one async for one in pieces]) == b"second"

    async def test_a_body_may_be_larger_than_what_is_kept_of_others(self) -> None:
        async def script(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"\r\n" + piece(b"x" * LIMIT_BYTES) * 3 + b"0\r\n\r\n")

        async with self.streamed(script) as answer:
            pieces = [one async for one in answer.pieces]
        assert sum(map(len, pieces)) == 3 * LIMIT_BYTES

    async def test_a_compressed_body_is_unpacked(self) -> None:
        packed = gzip.compress(b'{"value": []}')

        async def script(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"Content-Encoding: gzip\r\n\r\n" + piece(packed) + b"0\r\n\r\n")

        async with self.streamed(script) as answer:
            assert b"".join([one async for one in answer.pieces]) == b'{"value": []}'

    async def test_a_body_that_is_cut_off_is_told(self) -> None:
        async def script(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"\r\n" + piece(b"first"))
            asked.writer.close()

        async with self.streamed(script) as answer:
            with pytest.raises(TransportError) as caught:
                [one async for one in answer.pieces]
        assert caught.value.sent
        assert "canary" not in repr(caught.value)

    async def test_time_is_bounded(self) -> None:
        async def dribble(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"\r\n")
            while not asked.writer.is_closing():
                await asked.answer(piece(b"x"))
                await asyncio.sleep(SHORT_S / 10)

        async with raw_server(dribble) as server, self.streaming() as transport:
            with pytest.raises(TransportError):
                async with transport.stream(request(server.port, body=None), SHORT_S) as answer:
                    [one async for one in answer.pieces]
        async with raw_server(hang) as server, self.streaming() as transport:
            with pytest.raises(TransportError):
                async with transport.stream(request(server.port, body=None), SHORT_S):
                    pass

    async def test_who_leaves_early_leaves_nothing_behind(self) -> None:
        async def script(asked: RawRequest) -> None:
            await asked.answer(HEAD + b"\r\n" + piece(b"first"))
            await asyncio.sleep(PLENTY_S)

        async with raw_server(script) as server, self.streaming() as transport:
            for _ in range(2):
                async with transport.stream(request(server.port, body=None), PLENTY_S) as answer:
                    assert await anext(answer.pieces) == b"first"
        assert server.connections == 2, "the first one was closed"

    async def test_a_connection_is_kept_for_the_next(self) -> None:
        async with raw_server() as server, self.streaming() as transport:
            for _ in range(2):
                async with transport.stream(request(server.port, body=None), PLENTY_S) as answer:
                    [one async for one in answer.pieces]
        assert server.connections == 1

    async def test_a_refused_connection_was_not_sent(self) -> None:
        async with raw_server() as server:
            port = server.port
        async with self.streaming() as transport:
            with pytest.raises(TransportError) as caught:
                async with transport.stream(request(port, body=None), PLENTY_S):
                    pass
        assert not caught.value.sent
