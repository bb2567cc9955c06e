"""Who a call is from: by one proof, or by two that say the same."""

import pytest
from attacks import CA, CLIENT, SPIFFE, SUBJECT_CLIENT
from certificates import new_pair
from google.protobuf.message import Message

from gateway.call import Call, Caller
from gateway.errors import GatewayError, Reason
from gateway.pipeline.authenticate import Authenticate
from gateway.pipeline.authenticators.client_certificates import ClientCertificates
from gateway.pipeline.authenticators.static_tokens import StaticTokens, hash_token, new_token
from gateway.testing.authenticator_contract import call_with

TOKEN, OTHER = new_token(), new_token()
PEM = CLIENT.pem.encode()


class SameNames:
    """A plug-in that knows a token of the workload with the certificate."""

    async def caller_of(self, call: Call) -> Caller | None:
        return Caller(f"mtls:{SPIFFE}") if call.bearer == OTHER else None


async def caller_of(call: Call, *more: object) -> str | None:
    """The caller's name; None where it is refused."""
    found: list[str] = []

    async def note(call: Call) -> Message:
        found.append(call.caller.name)
        assert call.record.call is call, "with all that the door knew of it"
        return call.operation.response()

    step = Authenticate([ClientCertificates(), StaticTokens({"ops": hash_token(TOKEN)}), *more])
    try:
        await step(call, note)
    except GatewayError as error:
        assert error.reason is Reason.CALLER_UNAUTHENTICATED
        return None
    return found[0]


def both(authorization: str) -> Call:
    call = call_with("x" * 16, PEM)
    return call.found(metadata={"authorization": (authorization,), "x-more": ("1",)})


PROOFS = {
    "a certificate": (call_with(certificate=PEM), f"mtls:{SPIFFE}"),
    "a token": (call_with(TOKEN), "ops"),
    "a certificate and another's token": (both(f"Bearer {TOKEN}"), None),
    "a certificate and a token that nobody has": (both(f"Bearer {new_token()}"), None),
    "a certificate and no token, but a header for one": (both("Basic b3BzOm9wcw=="), None),
    "a certificate and an empty header": (both(""), None),
    "a certificate and a token of the same caller": (both(f"Bearer {OTHER}"), f"mtls:{SPIFFE}"),
    "a certificate without a name and a token": (
        call_with(TOKEN, new_pair("x", CA, uris=(SPIFFE, SPIFFE)).pem.encode()),
        None,
    ),
}


@pytest.mark.parametrize("name", PROOFS)
async def test_a_certificate_and_a_token_have_to_say_the_same(name: str):
    call, caller = PROOFS[name]
    assert await caller_of(call, SameNames()) == caller


URIS = {
    (SPIFFE,): f"mtls:{SPIFFE}",
    (): "mtls:CN=hr",
    ("https://hr.example", "https://hr2.example"): "mtls:CN=hr",
    (SPIFFE, SPIFFE + "-2"): None,
    (SPIFFE, SPIFFE): None,
    (SPIFFE, "https://hr.example"): None,
    ("https://hr.example", "SPIFFE://corp.example/ns/hr"): None,
    ("SPIFFE://corp.example/ns/hr",): None,
}


@pytest.mark.parametrize("uris", URIS)
async def test_a_spiffe_id_is_the_only_uri_of_its_certificate(uris: tuple[str, ...]):
    assert await caller_of(call_with(certificate=new_pair("hr", CA, uris=uris).pem.encode())) == URIS[uris]


async def test_a_certificate_that_cannot_be_read_is_nobodys():
    pem = SUBJECT_CLIENT.pem
    for text in ("", "nonsense", pem[:200], pem[:400] + pem[480:], pem.replace("MII", "MIJ", 1)):
        assert await caller_of(call_with(certificate=text.encode())) is None


class AnyName:
    """A plug-in that asks nobody what a name may be."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def caller_of(self, call: Call) -> Caller | None:
        return Caller(self._name) if call.bearer == OTHER else None


NAMES = {"a": "a", "CN=a b,O=ü": None, "": None, "a\0b": None, "a\ud800": None, "a\nb": None, "a\x1b[2J": None, "x" * 321: None}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_that_not_every_database_keeps_and_terminal_shows_is_nobodys(name: str):
    assert await caller_of(call_with(OTHER), AnyName(name)) == NAMES[name]
