"""The built-in transports keep the contract, for whole answers and for those that are passed on."""

from gateway.graph.transports import Settings, Transport
from gateway.graph.transports.aiohttp_transport import AiohttpTransport
from gateway.graph.transports.httptools_transport import HttptoolsTransport
from gateway.graph.transports.requests_transport import RequestsTransport
from gateway.testing.stream_contract import StreamContract
from gateway.testing.transport_contract import TransportContract


class TestAiohttpTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return AiohttpTransport(settings)


class TestHttptoolsTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return HttptoolsTransport(settings)


class TestRequestsTransport(TransportContract, StreamContract):
    def make(self, settings: Settings) -> Transport:
        return RequestsTransport(settings)
