"""What HttptoolsTransport makes of the bytes that a server sends: how they come in pieces does not matter, what is ambiguous or
cut off is no answer, and no size is without a bound."""

import asyncio
import gzip
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.transports import Response, Settings, TransportError
from gateway.graph.transports.http_connection import HEAD_BYTES, Connection

LIMIT = 1 << 12
SETTINGS = Settings(max_body_bytes=LIMIT)
CANARY = b"canary"


class Wire(asyncio.Transport):
    """The connection's other side, which only notes how it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False

    def write(self, data: object) -> None: ...

    def abort(self) -> None:
        self.is_over = True

    close = abort

    def is_closing(self) -> bool:
        return self.is_over


async def answer(pieces: Sequence[bytes], *, ends: bool = True) -> tuple[Response | TransportError, Connection]:
    """What comes of these bytes. ends: the server closes the connection after them."""
    connection, wire = Connection(SETTINGS), Wire()
    connection.connection_made(wire)
    asking = asyncio.create_task(connection.ask(b"GET / HTTP/1.1\r\n\r\n", 60.0))
    await asyncio.sleep(0)
    for piece in pieces:
        if not wire.is_over:
            connection.data_received(piece)
        await asyncio.sleep(0)
    if ends:
        connection.connection_lost(None)
    try:
        return await asking, connection
    except TransportError as error:
        assert error.sent
        assert "canary" not in f"{error!r} {error.__cause__!r}"
        assert wire.is_over, "what comes on it now is of that answer"
        return error, connection


def told(pieces: Sequence[bytes]) -> tuple[int, bytes] | str:
    result, _ = asyncio.run(answer(pieces))
    return (result.status, result.body) if isinstance(result, Response) else result.why


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces."""
    ends = [*sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


def chunked(body: bytes, sizes: Sequence[int], trailers: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut(body, sizes)) + b"0\r\n" + trailers + b"\r\n"


PLACES = st.lists(st.integers(0, 1 << 16), max_size=12)
BODIES = st.binary(min_size=1, max_size=LIMIT)


@given(BODIES, st.sampled_from([200, 404, 503]), st.sampled_from(["length", "chunks", "end"]), st.booleans(), PLACES, PLACES)
def test_pieces_and_framing_do_not_matter(
    body: bytes, status: int, framing: str, packed: bool, sizes: Sequence[int], places: Sequence[int]
):
    sent = gzip.compress(body, 1) if packed else body
    head = b"HTTP/1.1 %d Any Words\r\nX-Any:  b c \r\n" % status + (b"Content-Encoding: gzip\r\n" if packed else b"")
    data = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent),
        "chunks": b"Transfer-Encoding: chunked\r\n\r\n" + chunked(sent, sizes, b"X-Trailer: a\r\n"),
        "end": b"\r\n" + sent,
    }[framing]
    interim = b"HTTP/1.1 100 Continue\r\nX-Any: other\r\n\r\n"
    result, connection = asyncio.run(answer(cut(interim + head + data, places)))
    assert isinstance(result, Response)
    assert (result.status, result.body, result.headers["x-any"]) == (status, body, "b c")
    assert connection.is_open == (framing != "end")


@given(BODIES, st.sampled_from(["length", "chunks", "gzip"]), st.integers(1, 1 << 16), PLACES)
def test_a_part_of_an_answer_is_none(body: bytes, framing: str, missing: int, places: Sequence[int]):
    sent = gzip.compress(body, 1) if framing == "gzip" else body
    data = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent),
        "chunks": b"Transfer-Encoding: chunked\r\n\r\n" + chunked(sent, ()),
        "gzip": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(sent), sent),
    }[framing]
    whole = b"HTTP/1.1 200 OK\r\n" + data
    result, _ = asyncio.run(answer(cut(whole[: len(whole) - 1 - missing % (len(whole) - 1)], places)))
    assert isinstance(result, TransportError)


@given(st.lists(st.binary(max_size=200), max_size=8), st.booleans())
def test_any_bytes_are_an_answer_or_an_error(pieces: list[bytes], begins_well: bool):
    told([b"HTTP/1.1 200 OK\r\n", *pieces] if begins_well else pieces)


PACKED = gzip.compress(b"{}", mtime=0)
LENGTH = b"Content-Length: 2\r\n\r\n{}"
REFUSED = {
    "two lengths": b"Content-Length: 2\r\nContent-Length: 6\r\n\r\n{}nary",
    "a length beside chunks": b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks that are not the last coding": b"Transfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a length that is none": b"Content-Length: 0x2\r\n\r\n{}",
    "a negative length": b"Content-Length: -2\r\n\r\n{}",
    "a chunk's length that is none": b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a space before a colon": b"Content-Length : 2\r\n\r\n{}",
    "a bare line feed": b"X: a\nContent-Length: 2\r\n\r\n{}",
    "a NUL in a header": b"X: a\0b\r\n" + LENGTH,
    "another protocol": b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "what is no gzip": b"Content-Encoding: gzip\r\n" + LENGTH,
    "more than gzip": b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED) + 2, PACKED + b"xx"),
    "an encoding that nobody asked for": b"Content-Encoding: br\r\n" + LENGTH,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_read_in_two_ways_is_no_answer(name: str):
    status = b"101 Switching Protocols" if name == "another protocol" else b"200 OK"
    assert isinstance(told([b"HTTP/1.1 " + status + b"\r\n" + REFUSED[name]]), str)


def endless(part: bytes) -> list[bytes]:
    return [part] * (64 * HEAD_BYTES // len(part))


TOO_MUCH = {
    "a header that does not end": [b"HTTP/1.1 200 OK\r\nX: ", *endless(b"a" * 1000)],
    "headers that do not end": [b"HTTP/1.1 200 OK\r\n", *endless(b"X: a\r\n" * 100)],
    "interim answers that do not end": endless(b"HTTP/1.1 100 Continue\r\nX: a\r\n\r\n" * 30),
    "a body that does not end": [b"HTTP/1.1 200 OK\r\n\r\n", *endless(b"a" * 1000)],
    "chunks of one byte": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *endless(b"1\r\na\r\n" * 100)],
    "a chunk's words that do not end": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", *endless(b"a" * 1000)],
    "trailers that do not end": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *endless(b"X: a\r\n" * 100)],
    "a trailer that does not end": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", *endless(b"a" * 1000)],
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_does_not_end_is_not_read_on(name: str):
    assert re.search(r"over \d+ bytes", str(told(TOO_MUCH[name])))


async def test_what_follows_an_answer_is_not_the_next_one():
    ok = b"HTTP/1.1 200 OK\r\n" + LENGTH
    for more in (ok, b"HTTP/1.1 2", b"garbage", b"\0"):
        for pieces in ([ok + more], [ok, more]):
            result, connection = await answer(pieces, ends=False)
            assert isinstance(result, Response)
            assert not connection.is_open
    result, connection = await answer([ok], ends=False)
    assert connection.is_open
    connection.data_received(ok)  # while nobody asks
    assert not connection.is_open
