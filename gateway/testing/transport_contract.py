"""The contract of transports, tested against servers that misbehave. Subclass TransportContract and define `make`."""

import asyncio
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
import trustme

from gateway.graph.transports import Request, TransportError
from gateway.testing.answer_contract import PLENTY_S, SHORT_S, SOON_S, AnswerContract, hang, request
from gateway.testing.raw_http import RawRequest, ok, raw_server


class TransportContract(AnswerContract):
    """The contract; see Transport."""

    async def test_method_path_headers_and_body_arrive_as_given(self) -> None:
        async with raw_server() as server, self.transport() as transport:
            response = await self.send(transport, server.port)
            await transport.send(request(server.port, body=b"x" * (2 << 20)), PLENTY_S)
        line, _, headers = server.seen[0].head.partition("\r\n")
        assert (line, "authorization: bearer canary-token" in headers.lower()) == ("POST /beta/x?y=1 HTTP/1.1", True)
        assert [one.body for one in server.seen] == [b'{"a":1}', b"x" * (2 << 20)]
        assert (response.status, response.body, response.headers["content-length"]) == (200, b"{}", "2")

    async def test_connections_are_kept_alive(self) -> None:
        async with raw_server() as server, self.transport() as transport:
            for _ in range(3):
                await self.send(transport, server.port)
        assert server.connections == 1

    async def test_fresh_means_a_new_connection(self) -> None:
        async with raw_server() as server, self.transport() as transport:
            await self.send(transport, server.port)
            await transport.send(request(server.port), PLENTY_S, fresh=True)
        assert server.connections == 2

    async def test_many_requests_run_at_once(self) -> None:
        async def slow(request: RawRequest) -> None:
            await asyncio.sleep(SHORT_S)
            await ok(request)

        async with raw_server(slow) as server, self.transport() as transport:
            started = time.monotonic()
            await asyncio.gather(*(self.send(transport, server.port) for _ in range(16)))
        assert time.monotonic() - started < 16 * SHORT_S / 2

    async def test_what_is_urgent_waits_for_no_read_of_others(self) -> None:
        async def slow_but_to_some(request: RawRequest) -> None:
            await (ok(request) if "/urgent " in request.head else hang(request))

        async with raw_server(slow_but_to_some) as server, self.transport() as transport:
            others = [asyncio.create_task(transport.send(request(server.port, body=None), PLENTY_S)) for _ in range(150)]
            async with asyncio.timeout(PLENTY_S):
                while len(server.seen) < 20:
                    await asyncio.sleep(0.01)
            await transport.send(Request("GET", f"http://127.0.0.1:{server.port}/urgent", {}, urgent=True), PLENTY_S / 2)
            [other.cancel() for other in others]
            await asyncio.gather(*others, return_exceptions=True)

    async def test_a_refused_connection_was_not_sent(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            async with self.transport() as transport:
                assert not (await self.fails(transport, free.getsockname()[1])).sent

    async def test_a_connection_that_is_not_accepted_in_time_was_not_sent(self) -> None:
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for filler in (first, second):
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            async with self.transport(connect=SHORT_S) as transport:
                started = time.monotonic()
                assert not (await self.fails(transport, full.getsockname()[1])).sent
            assert time.monotonic() - started < SOON_S

    async def test_no_answer_within_the_read_time_out_may_have_acted(self) -> None:
        async with raw_server(hang) as server, self.transport(read=SHORT_S) as transport:
            started = time.monotonic()
            assert (await self.fails(transport, server.port)).sent
        assert time.monotonic() - started < SOON_S

    async def test_the_calls_deadline_ends_a_request_before_the_read_time_out(self) -> None:
        async with raw_server(hang) as server, self.transport() as transport:
            started = time.monotonic()
            assert (await self.fails(transport, server.port, SHORT_S)).sent or not server.seen
        assert time.monotonic() - started < SOON_S

    async def test_a_dribbling_answer_ends_at_the_deadline(self) -> None:
        async def dribble(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while True:
                await request.answer(b"x")
                await asyncio.sleep(0.02)

        async with raw_server(dribble) as server, self.transport() as transport:
            started = time.monotonic()
            await self.fails(transport, server.port, SHORT_S)
        assert time.monotonic() - started < SOON_S

    async def test_cancelling_ends_the_wait_at_once(self) -> None:
        async with raw_server(hang) as server, self.transport(read=SOON_S) as transport:
            task = asyncio.create_task(self.send(transport, server.port))
            while not server.seen:
                await asyncio.sleep(0.01)
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < SHORT_S

    async def test_a_private_ca_is_trusted_where_it_is_configured_and_only_there(self, tmp_path: Path) -> None:
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        async with raw_server(tls=tls) as server:
            async with self.transport(ca_file=tmp_path / "ca.pem") as transport:
                assert (await transport.send(request(server.port, scheme="https"), PLENTY_S)).status == 200
            async with self.transport() as transport:
                with pytest.raises(TransportError) as caught:
                    await transport.send(request(server.port, scheme="https"), PLENTY_S)
                assert not caught.value.sent
            assert len(server.seen) == 1

    async def test_an_environment_ca_does_not_replace_the_configured_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority, other = trustme.CA(), trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        other.cert_pem.write_to_path(tmp_path / "other.pem")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
        async with raw_server(tls=tls) as server, self.transport(ca_file=tmp_path / "ca.pem") as transport:
            assert (await transport.send(request(server.port, scheme="https"), PLENTY_S)).status == 200

    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    async def test_an_environment_ca_is_not_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
        async with raw_server(tls=tls) as server, self.transport() as transport:
            with pytest.raises(TransportError):
                await transport.send(request(server.port, scheme="https"), PLENTY_S)
            assert server.seen == []

    async def test_no_credentials_of_a_netrc_are_sent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login someone password canary\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with raw_server() as server, self.transport() as transport:
            await self.send(transport, server.port)
        assert "basic" not in server.seen[0].head.lower()

    async def test_the_proxy_of_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw_server() as proxy, self.transport() as transport:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            response = await transport.send(request(1, host="graph.invalid"), PLENTY_S)
        assert response.status == 200
        assert proxy.seen[0].head.startswith("POST http://graph.invalid:1/beta/x?y=1 HTTP/1.1")

    async def test_no_proxy_is_honoured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with raw_server() as proxy, raw_server() as server, self.transport() as transport:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            await self.send(transport, server.port)
        assert (len(proxy.seen), len(server.seen)) == (0, 1)

    async def test_a_proxy_that_refuses_the_tunnel_was_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def refuse(request: RawRequest) -> None:
            await request.answer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            request.writer.close()

        async with raw_server(refuse) as proxy, self.transport() as transport:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            with pytest.raises(TransportError) as caught:
                await transport.send(request(1, scheme="https", host="graph.invalid"), PLENTY_S)
        assert not caught.value.sent
        assert proxy.seen[0].head.startswith("CONNECT graph.invalid:1 ")
        assert "canary" not in proxy.seen[0].head

    async def test_a_url_is_quoted_and_adds_no_header(self) -> None:
        async with raw_server() as server, self.transport() as transport:
            root = f"http://127.0.0.1:{server.port}"
            await transport.send(Request("GET", f"{root}/x y/\u00e9?z=a b%20'c'", {}), PLENTY_S)
            for url, headers in ((f"{root}/x", {"X": "a\r\nInjected: b"}), (f"{root}/x HTTP/1.1\r\nInjected: b", {})):
                with suppress(TransportError):
                    await transport.send(Request("GET", url, headers), PLENTY_S)
        line, _, _ = server.seen[0].head.partition("\r\n")
        assert unquote_plus(line.removeprefix("GET ").removesuffix(" HTTP/1.1")) == "/x y/\u00e9?z=a b 'c'"
        assert line.count(" ") == 2
        assert not any("\r\ninjected" in one.head.lower() for one in server.seen)

    async def test_a_reused_connection_that_the_server_closed_is_no_lost_read(self) -> None:
        async def once(request: RawRequest) -> None:
            await ok(request)
            request.writer.close()

        async with raw_server(once) as server, self.transport() as transport:
            for _ in range(3):
                await transport.send(request(server.port, body=None), PLENTY_S)
                await asyncio.sleep(0.05)
        assert server.connections == 3
