"""The contract for credentials, and a kind that comes from a wheel."""

import json
import zipfile
from pathlib import Path

import pytest
import tomli_w
from certificates import new_pair
from rig import outcome

from gateway.cli.emulator import config_for, tenant_of
from gateway.config.credentials import (
    CertificateCredential,
    CommandCredential,
    FederatedCredential,
    ManagedIdentityCredential,
    SecretCredential,
)
from gateway.credentials.credential import Credential
from gateway.credentials.kinds import Certificate, Command, Federated, ManagedIdentity, SecretFrom
from gateway.emulator import Emulator
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.testing.credential_contract import CredentialContract

PAIRS = [new_pair(), new_pair()]


class InAFile(CredentialContract):
    """What all kinds with a file have in common."""

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path):
        self.path = tmp_path / "file"
        self.path.write_text("canary-one")

    def change(self) -> bool:
        self.path.write_text("another-canary")
        return True

    def spoil(self) -> bool:
        self.path.unlink()
        return True


class TestSecret(InAFile):
    def make(self) -> Credential:
        return SecretFrom(SecretCredential(kind="secret", file=self.path))


class TestFederated(InAFile):
    def make(self) -> Credential:
        return Federated(FederatedCredential(kind="federated", file=self.path))


class TestCertificate(InAFile):
    canary = "PRIVATE"

    def make(self) -> Credential:
        PAIRS[0].write(self.path)
        return Certificate(CertificateCredential(kind="certificate", file=self.path, x5c=True))

    def change(self) -> bool:
        PAIRS[1].write(self.path)
        return True


class TestCommand(InAFile):
    def make(self) -> Credential:
        return Command(CommandCredential(kind="command", command=["cat", str(self.path)]))

    def change(self) -> bool:
        return False


class TestManagedIdentity(CredentialContract):
    def make(self) -> Credential:
        return ManagedIdentity(ManagedIdentityCredential(kind="managed_identity"))

    def change(self) -> bool:
        return False

    spoil = change


PLUG_IN = """
from gateway.credentials.credential import Proof, Secret
from pydantic import SecretStr

class Reversed:
    def __init__(self, settings):
        self._text = settings.text

    def present(self):
        return Proof(Secret(SecretStr(self._text[::-1])), "1")

    def fingerprint(self):
        return None
"""
INFO = "reversed_credential-1.0.dist-info"


async def test_a_kind_from_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel = tmp_path / "reversed_credential-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("reversed_credential.py", PLUG_IN)
        file.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\nName: reversed-credential\nVersion: 1.0\n")
        file.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{INFO}/entry_points.txt", "[compliance_gateway.credentials]\nreversed = reversed_credential:Reversed\n")
        file.writestr(f"{INFO}/RECORD", "")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")  # as pip does with one of Python alone
    async with Emulator() as emulator:
        secret = emulator.world.entra.app.secret
        values = config_for(emulator, hash_token(new_token()))
        values["tenants"]["emulator"] = tenant_of(emulator, {"kind": "reversed", "text": secret[::-1]})
        (tmp_path / "gateway.toml").write_text(tomli_w.dumps(values))
        command = ("check", "--json", "--config", str(tmp_path / "gateway.toml"))
        monkeypatch.chdir(tmp_path)  # the command's path begins with it
        code, _, without = await outcome(*command)
        monkeypatch.chdir(tmp_path / "site")
        _, out, err = await outcome(*command)
    [tried] = [line for line in map(json.loads, out.splitlines()) if line.get("credential") == "reversed"]
    assert tried["verdict"] == "ok", err
    assert secret not in out + err
    assert code == 1
    assert "'reversed' is not installed; installed are certificate, command, federated, managed_identity, secret" in without
