"""The contracts for authenticators and authorizers."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from attacks import AUDIENCE, BAD_CLIENTS, CLIENT, ISSUER, KEY, SPIFFE, STRANGER, SUBJECT_CLIENT, TOKENS, jwk, signed

from gateway.call import Call
from gateway.config.doors import JwtIssuer
from gateway.pipeline.authenticate import Authenticator
from gateway.pipeline.authenticators.client_certificates import ClientCertificates
from gateway.pipeline.authenticators.json_web_tokens import JsonWebTokens
from gateway.pipeline.authenticators.static_tokens import StaticTokens, hash_token, new_token
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.cedar import Cedar
from gateway.testing.authenticator_contract import AuthenticatorContract, call_with
from gateway.testing.authorizer_contract import AuthorizerContract

STATIC = {name: new_token() for name in ("one", "two")}


class TestStaticTokens(AuthenticatorContract):
    def make(self) -> Authenticator:
        return StaticTokens({name: hash_token(token) for name, token in STATIC.items()})

    def known(self) -> dict[str, Call]:
        return {name: call_with(token) for name, token in STATIC.items()}

    def unknown(self) -> Sequence[Call]:
        return [call_with(new_token()), call_with(STATIC["one"][:-1]), call_with(STATIC["one"] + STATIC["two"])]


class TestJsonWebTokens(AuthenticatorContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path):
        self.path = tmp_path / "jwks.json"
        self.path.write_text(json.dumps({"keys": [jwk(KEY, "one")]}))

    def make(self) -> Authenticator:
        return JsonWebTokens({"main": JwtIssuer(issuer=ISSUER, audience=AUDIENCE, jwks_file=self.path)})

    def known(self) -> dict[str, Call]:
        return {f"main:{subject}": call_with(signed(sub=subject)) for subject in ("hr", "system:serviceaccount:a:b")}

    def unknown(self) -> Sequence[Call]:
        return [*(call_with(make()) for make in TOKENS.values()), call_with(signed(STRANGER))]


class TestClientCertificates(AuthenticatorContract):
    def make(self) -> Authenticator:
        return ClientCertificates()

    def known(self) -> dict[str, Call]:
        return {
            f"mtls:{SPIFFE}": call_with(certificate=CLIENT.pem.encode()),
            "mtls:CN=deployer": call_with(certificate=SUBJECT_CLIENT.pem.encode()),
        }

    def unknown(self) -> Sequence[Call]:
        return [call_with(certificate=BAD_CLIENTS["expired"].pem.encode())]


class TestCedar(AuthorizerContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path):
        self.path = tmp_path / "rules.cedar"
        self.path.write_text("")

    def make(self) -> Authorizer:
        return Cedar(self.path)

    def permit(self, caller: str, operation: str) -> None:
        self.path.write_text(f'permit(principal == Caller::"{caller}", action == Action::"{operation}", resource);')
