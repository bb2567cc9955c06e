"""The emulated Entra checks every proof of the app, and refuses at least what the real Entra refuses."""

import time
import uuid

import jwt
import pytest
from certificates import new_pair, public_pem, token
from cryptography.hazmat.primitives import hashes

from gateway.emulator import Emulator
from gateway.emulator.errors import EntraError
from gateway.emulator.registration import ASSERTION_TYPE, EXCHANGE, Trust

PAIR, OTHER, OLD = new_pair(), new_pair("other"), new_pair(days=-1)
ISSUER = "https://cluster.example"


def assertion(live: Emulator, key=PAIR, header: dict | None = None, **claims: object) -> str:
    entra, now = live.world.entra, int(time.time())
    endpoint = f"{entra.root}/{entra.tenant_id}/oauth2/v2.0/token"
    own = {"aud": endpoint, "iss": entra.app.client_id, "sub": entra.app.client_id, "jti": str(uuid.uuid4())}
    thumbprint = jwt.utils.base64url_encode(key.certificate.fingerprint(hashes.SHA256())).decode()
    claims = {**own, "iat": now, "exp": now + 300, **claims}
    return jwt.encode(claims, key.key, "PS256", {"x5t#S256": thumbprint, **(header or {})})


def ask(live: Emulator, text: str, **form: str) -> dict:
    entra = live.world.entra
    fields = {"grant_type": "client_credentials", "client_id": entra.app.client_id, "scope": f"{entra.root}/.default"}
    proof = {"client_assertion": text, "client_assertion_type": ASSERTION_TYPE}
    return entra.token(entra.tenant_id, fields | proof | form)


WRONG = {
    "another audience": (lambda live: assertion(live, aud="https://evil.example"), 700023),
    "another subject": (lambda live: assertion(live, sub=str(uuid.uuid4())), 700021),
    "too old": (lambda live: assertion(live, iat=1, exp=2), 700024),
    "from the future": (lambda live: assertion(live, nbf=int(time.time()) + 3600), 700024),
    "without an id": (lambda live: assertion(live, jti=""), 50013),
    "a certificate that is not registered": (lambda live: assertion(live, OTHER), 700027),
    "a certificate that has ended": (lambda live: assertion(live, OLD), 700027),
    "another key under our thumbprint": (
        lambda live: assertion(live, OTHER, jwt.get_unverified_header(assertion(live))), 700027,
    ),
    "no thumbprint": (lambda live: assertion(live, header={"x5t#S256": ""}), 700027),
    "no JWT": (lambda live: "nonsense", 50027),
    "an issuer that nobody trusts": (lambda live: assertion(live, iss="https://evil.example"), 700211),
    "a trusted issuer for another subject": (lambda live: token(PAIR.key, iss=ISSUER, sub="x", aud=EXCHANGE), 700213),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_assertion_is_refused(live: Emulator, name: str):
    app = live.world.entra.app
    app.certificates, app.federated = [PAIR.pem, OLD.pem], [Trust(ISSUER, "s", public_pem(PAIR.key))]
    make, code = WRONG[name]
    with pytest.raises(EntraError) as caught:
        ask(live, make(live))
    assert caught.value.code == code


async def test_a_good_assertion_is_taken_once(live: Emulator):
    live.world.entra.app.certificates = [PAIR.pem]
    text = assertion(live)
    assert ask(live, text)["access_token"]
    with pytest.raises(EntraError, match="used before"):
        ask(live, text)
    with pytest.raises(EntraError, match="client_assertion_type"):
        ask(live, assertion(live), client_assertion_type="")


async def test_an_expired_secret_is_told_apart_from_a_wrong_one(live: Emulator):
    app = live.world.entra.app
    app.expired_secrets = ["old"]
    for secret, code in (("old", 7000222), ("wrong", 7000215), ("", 7000216)):
        with pytest.raises(EntraError) as caught:
            ask(live, "", client_secret=secret)
        assert caught.value.code == code
    assert ask(live, "", client_secret=app.secret)["access_token"]
