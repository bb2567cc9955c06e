"""The built-in transports keep the contract, for whole answers and for those that are passed on."""

import asyncio

import pytest

from gateway.graph.transports import Settings, Transport, TransportError
from gateway.graph.transports.aiohttp_transport import AiohttpTransport
from gateway.graph.transports.httptools_transport import HttptoolsTransport
from gateway.graph.transports.requests_transport import RequestsTransport
from gateway.testing.answer_contract import hang
from gateway.testing.raw_http import raw_server
from gateway.testing.stream_contract import StreamContract
from gateway.testing.transport_contract import TransportContract


class TestAiohttpTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return AiohttpTransport(settings)


class TestHttptoolsTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return HttptoolsTransport(settings)

    async def test_closing_ends_what_is_under_way(self):
        async with raw_server(hang) as server, self.transport() as transport:
            task = asyncio.create_task(self.send(transport, server.port))
            while not server.seen:
                await asyncio.sleep(0.01)
            await transport.close()
            with pytest.raises(TransportError) as caught:
                await task
        assert caught.value.sent


class TestRequestsTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return RequestsTransport(settings)
