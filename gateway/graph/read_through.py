"""Passes reads on to Graph, and streams the answers to the caller, with links that lead to this gateway."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from weakref import WeakValueDictionary

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.call import Call, Read
from gateway.errors import GatewayError, Reason
from gateway.graph.client import UNAVAILABLE_RETRY_S, GraphClient
from gateway.graph.links import Links
from gateway.graph.quota import own_share, telling
from gateway.graph.transports import Streamed, TransportError

# The headers of an answer that are passed on; all others are dropped.
HEADERS = ("content-type", "content-language", "etag", "last-modified", "odata-version", "preference-applied")
# So many bytes are checked before the answer begins, so that a fault in a small answer still becomes an error with its own
# status.
FIRST_BYTES = 64 << 10
NO_BODY = 304
# The concurrent reads of one caller; further ones wait. A caller that takes its answers slowly holds connections to Graph, of
# which there are 100 for all.
OF_A_CALLER = 25


class ReadThrough:
    """The handler of ReadThrough. most_bytes: the largest answer, decompressed."""

    def __init__(self, clients: Mapping[str, GraphClient], most_bytes: int) -> None:
        self._clients, self._most = clients, most_bytes
        self._turns = WeakValueDictionary[str, asyncio.Semaphore]()  # by caller, as long as it has calls

    async def __call__(self, call: Call) -> Message:
        """Raises GatewayError, also in the middle of an answer, which the door then cuts so that it does not look complete."""
        assert call.read
        client = self._clients[call.tenant]
        with telling(call.record, client.quota.requests):
            await self._carry_out(call, call.read, client)
        return Empty()

    async def _carry_out(self, call: Call, read: Read, client: GraphClient) -> None:
        turns = self._turns.setdefault(call.record.caller, asyncio.Semaphore(OF_A_CALLER))
        async with turns, client.stream(read.path, read.headers, deadline=call.deadline, record=call.record) as answer:
            call.record.trailers |= own_share(client.quota.requests, call.record.caller)  # the headers go before all else
            links = Links(client.root, read.root)
            headers = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
            if "location" in answer.headers:
                headers["location"] = links.rewritten(answer.headers["location"])
            if read.bodiless or answer.status == NO_BODY:
                await read.sink.begin(answer.status, headers)
            else:
                call.record.note(bytes=await self._pass(read, answer, headers, links))

    async def _pass(self, read: Read, answer: Streamed, headers: Mapping[str, str], links: Links) -> int:
        """How many bytes went on."""
        kept, total, begun = bytearray(), 0, False
        async for piece in _pieces(answer, links):
            total += len(piece)
            if total > self._most:
                why = f"Graph's answer is over {self._most} bytes; ask for less with $top or $select."
                raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, why)
            kept += piece
            if begun or len(kept) >= FIRST_BYTES:
                if not begun:
                    await read.sink.begin(answer.status, headers)
                begun = True
                await read.sink.write(bytes(kept))
                kept.clear()
        if not begun:
            await read.sink.begin(answer.status, headers)
        if kept:
            await read.sink.write(bytes(kept))
        return total


async def _pieces(answer: Streamed, links: Links) -> AsyncIterator[bytes]:
    """With the links in place, whatever the answer is called. Raises GatewayError."""
    try:
        async for piece in answer.pieces:
            yield links.fed(piece)
    except TransportError as exc:
        why = f"Graph's answer broke off: {exc.why}."
        raise GatewayError(Reason.GRAPH_UNAVAILABLE, why, retry_after=UNAVAILABLE_RETRY_S) from None
    yield links.end()
