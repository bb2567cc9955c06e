"""Both built-in transports keep the contract."""

from gateway.graph.transports import Settings, Transport
from gateway.graph.transports.aiohttp_transport import AiohttpTransport
from gateway.graph.transports.requests_transport import RequestsTransport
from gateway.testing.transport_contract import TransportContract


class TestAiohttpTransport(TransportContract):
    def make(self, settings: Settings) -> Transport:
        return AiohttpTransport(settings)


class TestRequestsTransport(TransportContract):
    def make(self, settings: Settings) -> Transport:
        return RequestsTransport(settings)
