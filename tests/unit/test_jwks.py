"""An issuer's keys: a key that is revoked ends what it signed, keys that cannot be read count for a while, and why is said."""

import asyncio
import json
import ssl
import time
from pathlib import Path

import pytest
import trustme
from attacks import AUDIENCE, ISSUER, KEY, KEY_2, jwk, signed

from gateway.config.doors import JwtIssuer
from gateway.pipeline.authenticators import json_web_tokens
from gateway.pipeline.authenticators.json_web_tokens import JsonWebTokens
from gateway.pipeline.authenticators.jwks import COOLDOWN_S, Keys
from gateway.pipeline.authenticators.jwks_sources import MOST_BYTES, KeysError, from_file, from_url
from gateway.testing.authenticator_contract import call_with
from gateway.testing.raw_http import RawRequest, raw_server

REFRESH_S, KEPT_S = 300.0, 3600.0
SETS = {name: json.dumps({"keys": [jwk(key, name)]}).encode() for name, key in {"one": KEY, "two": KEY_2}.items()}


class FakeIssuer:
    """Gives `text`, or fails with `down`; its time is `now`."""

    def __init__(self) -> None:
        self.text, self.down, self.asked, self.now = SETS["one"], "", 0, 1000.0

    def __call__(self) -> bytes:
        self.asked += 1
        if self.down:
            raise KeysError("status", self.down)
        return self.text


@pytest.fixture
def fake() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def tokens(fake: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> JsonWebTokens:
    keys = Keys("main", fake, REFRESH_S, KEPT_S, clock=lambda: fake.now)
    monkeypatch.setattr(json_web_tokens, "_keys", lambda *_: keys)
    return JsonWebTokens({"main": JwtIssuer(issuer=ISSUER, audience=AUDIENCE, jwks_url="https://issuer.example/jwks")})


async def knows(tokens: JsonWebTokens, token: str) -> bool:
    return await tokens.caller_of(call_with(token)) is not None


async def test_a_revoked_key_ends_its_tokens_with_the_refresh(fake: FakeIssuer, tokens: JsonWebTokens):
    token = signed()
    assert await knows(tokens, token)
    fake.text = SETS["two"]
    fake.now += REFRESH_S - 1
    assert await knows(tokens, token), "remembered"
    fake.now += 1
    await tokens.reload()
    assert not await knows(tokens, token)
    assert await knows(tokens, signed(KEY_2, "two"))


async def test_a_call_alone_has_the_keys_read_anew(fake: FakeIssuer, tokens: JsonWebTokens):
    token = signed()
    assert await knows(tokens, token)
    fake.text = SETS["two"]
    fake.now += REFRESH_S
    async with asyncio.timeout(20):
        while await knows(tokens, token):
            await asyncio.sleep(0.01)


async def test_keys_that_cannot_be_read_count_for_a_while_and_no_longer(fake: FakeIssuer, tokens: JsonWebTokens):
    token = signed()
    assert tokens.health() == {"callers.jwt.main": "not read yet"}
    assert await knows(tokens, token)
    assert tokens.health() == {"callers.jwt.main": ""}
    fake.down = "the issuer answers 503"
    fake.now += KEPT_S
    await tokens.reload()
    assert tokens.health() == {"callers.jwt.main": "the issuer answers 503"}
    assert await knows(tokens, token)
    fake.now += 1
    assert not await knows(tokens, token)
    assert not await knows(tokens, signed(jti="x"))
    fake.down = ""
    fake.now += COOLDOWN_S
    await tokens.reload()
    assert tokens.health() == {"callers.jwt.main": ""}
    assert await knows(tokens, token)


async def test_an_issuer_that_fails_is_asked_now_and_then(fake: FakeIssuer, tokens: JsonWebTokens):
    fake.down = "no"
    for _ in range(50):
        await tokens.reload()
        await knows(tokens, signed())
        fake.now += COOLDOWN_S / 10
    assert fake.asked == 5


async def test_strangers_make_an_issuer_be_asked_now_and_then(fake: FakeIssuer, tokens: JsonWebTokens):
    for number in range(50):
        assert not await knows(tokens, signed(KEY_2, f"kid-{number}"))
    assert fake.asked == 1


NO_SETS = [b"nonsense", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [7]}', b"[" * 100_000]
NO_SETS += [json.dumps({"keys": [jwk(KEY, "one") | {"alg": "none"}]}).encode()]


@pytest.mark.parametrize("text", NO_SETS, ids=range(len(NO_SETS)))
async def test_what_is_no_set_of_keys_is_said_and_the_keys_before_stay(fake: FakeIssuer, tokens: JsonWebTokens, text: bytes):
    assert await knows(tokens, signed())
    fake.text = text
    fake.now += REFRESH_S
    await tokens.reload()
    assert tokens.health()["callers.jwt.main"].startswith("the answer is not a JWK set")
    assert await knows(tokens, signed())


NOW = int(time.time())
AGES = {
    "an expiry beyond floats": ({"exp": 10**400}, False),
    "an expiry without end": ({"exp": float("inf")}, False),
    "an expiry that is no number": ({"exp": float("nan")}, False),
    "a birth beyond floats": ({"iat": -(10**400)}, False),
    "no birth": ({"iat": None}, False),
    "too old, and good for ever": ({"iat": NOW - 26 * 3600, "exp": 10**12}, False),
    "young, and good for ever": ({"exp": 10**12}, True),
    "not before beyond floats": ({"nbf": 10**400}, False),
}


@pytest.mark.parametrize("name", AGES)
async def test_how_old_a_token_may_be(fake: FakeIssuer, tokens: JsonWebTokens, name: str):
    claims, good = AGES[name]
    assert await knows(tokens, signed(**claims)) == good


async def test_a_remembered_token_grows_old():
    clock = [float(NOW)]
    tokens = JsonWebTokens({}, clock=lambda: clock[0])
    issuer = FakeIssuer()
    settings = JwtIssuer(issuer=ISSUER, audience=AUDIENCE, jwks_url="https://issuer.example/jwks", max_age_s=600, leeway_s=0)
    tokens._issuers = {ISSUER: json_web_tokens.Issuer("main", settings, Keys("main", issuer, REFRESH_S, KEPT_S))}
    token = signed(iat=NOW)
    assert await knows(tokens, token)
    clock[0] += 601
    assert not await knows(tokens, token)


def answering(head: str, body: bytes = b""):
    async def script(request: RawRequest) -> None:
        await request.answer(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        request.writer.close()

    return script


CA = trustme.CA()
SERVER = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
CA.issue_cert("127.0.0.1").configure_cert(SERVER)
ANSWERS = {
    "good": (answering("200 OK", SETS["one"]), None, ""),
    "a status": (answering("503 canary", b"canary"), "status", "the issuer answers 503"),
    "a redirect": (answering("302 Found\r\nLocation: https://127.0.0.1:{port}/x"), "status", "the issuer answers 302"),
    "too much": (answering("200 OK", b" " * (MOST_BYTES + 1)), "answer", f"the keys are over {MOST_BYTES} bytes"),
    "as much as may be": (answering("200 OK", SETS["one"].ljust(MOST_BYTES)), None, ""),
    "no HTTP": (answering("canary"), "connection", "no connection to the issuer (BadStatusLine)"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_why_keys_cannot_be_fetched(tmp_path: Path, name: str):
    script, cause, why = ANSWERS[name]
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with raw_server(script, SERVER) as server:
        fetch = from_url(f"https://127.0.0.1:{server.port}/keys", tmp_path / "ca.pem")
        if cause is None:
            assert json.loads(await asyncio.to_thread(fetch)) == json.loads(SETS["one"])
            return
        with pytest.raises(KeysError) as caught:
            await asyncio.to_thread(fetch)
        assert len(server.seen) == 1, "a redirect is not followed"
    assert (caught.value.cause, str(caught.value)) == (cause, why)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_an_authority_counts_by_the_configuration_and_not_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
):
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    async with raw_server(ANSWERS["good"][0], SERVER) as server:
        with pytest.raises(KeysError) as caught:
            await asyncio.to_thread(from_url(f"https://127.0.0.1:{server.port}/keys", None))
        assert server.seen == []
    assert caught.value.cause == "certificate"
    assert "unable to get local issuer certificate" in str(caught.value)


@pytest.mark.parametrize(("url", "cause"), [("https://issuer.invalid/keys", "dns"), ("https://127.0.0.1:1/keys", "connection")])
async def test_an_issuer_that_is_not_there(url: str, cause: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(KeysError) as caught:
        await asyncio.to_thread(from_url(url, None))
    assert caught.value.cause == cause


def test_a_file_of_keys(tmp_path: Path):
    path = tmp_path / "jwks.json"
    with pytest.raises(KeysError) as caught:
        from_file(path)()
    assert (caught.value.cause, str(caught.value)) == ("file", f"{path} cannot be read: No such file or directory")
    path.write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(KeysError, match="are over"):
        from_file(path)()
