"""What Entra's client takes from its environment: proxies, but no credentials, authorities or hosts."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest
import requests
import trustme

from gateway.config.credentials import SecretCredential
from gateway.credentials import AppRegistration, MsalApp
from gateway.credentials.entra_session import EntraSession
from gateway.credentials.kinds import SecretFrom
from gateway.errors import GatewayError, Reason
from gateway.testing.raw_http import RawRequest, RawServer, raw_server

TENANT = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
CA = trustme.CA()
TLS = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
CA.issue_cert("127.0.0.1", "localhost").configure_cert(TLS)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


async def get(session: EntraSession, server: RawServer) -> requests.Response:
    return await asyncio.to_thread(session.get, f"https://127.0.0.1:{server.port}/x")


async def test_no_credentials_of_a_netrc_are_sent(tmp_path: Path, ca_file: Path, monkeypatch: pytest.MonkeyPatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with raw_server(tls=TLS) as server:
        await get(EntraSession(ca_file), server)
    assert "authorization" not in server.seen[0].head.lower()


AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.mark.parametrize("variable", AUTHORITIES)
async def test_no_authority_of_the_environment_is_trusted(ca_file: Path, monkeypatch: pytest.MonkeyPatch, variable: str):
    for name in AUTHORITIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(ca_file))
    async with raw_server(tls=TLS) as server:
        with pytest.raises(requests.exceptions.SSLError):
            await get(EntraSession(None), server)
        assert server.seen == []


async def test_the_proxy_of_the_environment_is_used(ca_file: Path, monkeypatch: pytest.MonkeyPatch):
    async def refuse(request: RawRequest) -> None:
        await request.answer(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(refuse) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(requests.exceptions.ProxyError):
            await asyncio.to_thread(EntraSession(ca_file).get, "https://entra.invalid/x")
    assert proxy.seen[0].head.startswith("CONNECT entra.invalid:443 ")


def answering(entra: dict[str, str]):
    """A server of a discovery document that names `entra["endpoint"]`, and of tokens for every request."""

    async def script(request: RawRequest) -> None:
        root = entra["root"]
        discovery = {
            "issuer": f"{root}/{TENANT}/v2.0",
            "authorization_endpoint": f"{root}/{TENANT}/oauth2/v2.0/authorize",
            "token_endpoint": entra["endpoint"],
        }
        token = {"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}
        body = json.dumps(discovery if "openid-configuration" in request.head else token).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        await request.answer(head.encode() + body)

    return script


ENDPOINTS = {
    "the authority's": ("{root}/token", True),
    "the authority's, in capitals": ("HTTPS://127.0.0.1:{port}/token", True),
    "another port": ("https://127.0.0.1:{other}/token", False),
    "another name": ("https://localhost:{port}/token", False),
    "another host with the authority as its user": ("https://127.0.0.1:{port}@localhost:{other}/token", False),
    "plain text": ("http://127.0.0.1:{other}/token", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_discovery_document_that_names_another_host_gets_nothing_sent(tmp_path: Path, ca_file: Path, name: str):
    endpoint, good = ENDPOINTS[name]
    (tmp_path / "secret").write_text("canary-secret")
    credential = SecretFrom(SecretCredential(kind="secret", file=tmp_path / "secret"))
    entra: dict[str, str] = {}
    tls = None if name == "plain text" else TLS
    async with raw_server(answering(entra), TLS) as server, raw_server(answering(entra), tls) as other:
        root = f"https://127.0.0.1:{server.port}"
        entra |= {"root": root, "endpoint": endpoint.format(root=root, port=server.port, other=other.port)}
        app = MsalApp(
            AppRegistration("t", TENANT, TENANT, root, "https://graph.invalid/.default", ca_file), "secret", credential
        )
        if good:
            assert (await asyncio.to_thread(app.acquire)).value == "x"
        else:
            with pytest.raises(GatewayError) as caught:
                await asyncio.to_thread(app.acquire)
            assert caught.value.reason is Reason.ENTRA_UNAVAILABLE
            if endpoint.startswith("https"):  # MSAL itself refuses others
                assert (
                    caught.value.message == "Entra's discovery names a token endpoint on another host; nothing was sent there."
                )
            assert other.seen == []
            assert "canary" not in "".join(request.body.decode() for request in server.seen)
        app.close()
