"""The built-in kinds of credentials. Files are read again each time, so that a rotated credential is noticed."""

import hashlib
import os
import subprocess
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12
from msal.oauth2cli import JwtAssertionCreator
from pydantic import SecretStr

from gateway.config.credentials import (
    CertificateCredential,
    CommandCredential,
    FederatedCredential,
    ManagedIdentityCredential,
    SecretCredential,
)
from gateway.credentials.credential import Assertion, CredentialError, Identity, Proof, Secret
from gateway.files import version_of

# Certificates: Entra wants the assertion for minutes only.
ASSERTION_S = 300
LONGEST_ASSERTION = 16_384


class SecretFrom:
    """`secret`."""

    def __init__(self, settings: SecretCredential) -> None:
        self._file, self._env = settings.file, settings.env or ""

    def present(self) -> Proof:
        value = _read(self._file).decode(errors="replace").strip() if self._file else os.environ.get(self._env, "")
        if not value:
            raise CredentialError("the secret is empty")
        return Proof(Secret(SecretStr(value)), _stamp(value.encode()))

    def fingerprint(self) -> object:
        return self._file and version_of(self._file)


class Certificate:
    """`certificate`: signs an assertion each time (PS256, SHA-256 thumbprint)."""

    def __init__(self, settings: CertificateCredential) -> None:
        self._file, self._passphrase_file, self._x5c = settings.file, settings.passphrase_file, settings.x5c

    def present(self) -> Proof:
        data = _read(self._file)
        passphrase = _read(self._passphrase_file).strip() if self._passphrase_file else None
        key, certificate = _key_and_certificate(data, passphrase)
        thumbprint = certificate.fingerprint(hashes.SHA256()).hex()
        chain = certificate.public_bytes(serialization.Encoding.PEM).decode().splitlines()[1:-1]
        signer = JwtAssertionCreator(
            key, algorithm="PS256", sha256_thumbprint=thumbprint, headers={"x5c": ["".join(chain)]} if self._x5c else {}
        )

        def make(audience: str, client_id: str) -> str:
            now = int(datetime.now(UTC).timestamp())
            signed = signer.create_normal_assertion(
                audience, client_id, expires_at=now + ASSERTION_S, issued_at=now, assertion_id=str(uuid.uuid4())
            )
            return str(signed.decode())

        return Proof(Assertion(make), _stamp(data), certificate.not_valid_after_utc)

    def fingerprint(self) -> object:
        return version_of(self._file), self._passphrase_file and version_of(self._passphrase_file)


class Federated:
    """`federated`: the token in the file, as it is."""

    def __init__(self, settings: FederatedCredential) -> None:
        self._file = settings.file

    def present(self) -> Proof:
        token = _read(self._file).decode(errors="replace").strip()
        return Proof(Assertion(lambda _audience, _client_id: token), _stamp(token.encode()), _expiry_of(token))

    def fingerprint(self) -> object:
        return self._file and version_of(self._file)


class ManagedIdentity:
    """`managed_identity`."""

    def __init__(self, settings: ManagedIdentityCredential) -> None:
        if settings.client_id:
            self._identity = Identity("client_id", settings.client_id)
        elif settings.object_id:
            self._identity = Identity("object_id", settings.object_id)
        elif settings.resource_id:
            self._identity = Identity("resource_id", settings.resource_id)
        else:
            self._identity = Identity("system")

    def present(self) -> Proof:
        return Proof(self._identity, "managed identity")

    def fingerprint(self) -> object:
        return None


class Command:
    """`command`: what the program prints is the assertion."""

    def __init__(self, settings: CommandCredential) -> None:
        self._command, self._timeout = settings.command, settings.timeout_s

    def present(self) -> Proof:
        return Proof(Assertion(self._run), "command")

    def fingerprint(self) -> object:
        return None

    def _run(self, audience: str, client_id: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - the operator's own program, without a shell
                self._command,
                env={**os.environ, "AUDIENCE": audience, "CLIENT_ID": client_id},
                capture_output=True,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CredentialError(f"the command took longer than {self._timeout} s") from None
        except OSError as exc:
            raise CredentialError(f"the command cannot be run: {exc.strerror}") from None
        assertion = done.stdout.strip()
        if done.returncode != 0 or not assertion or len(assertion) > LONGEST_ASSERTION:
            raise CredentialError(
                f"the command exited with {done.returncode} and printed {len(assertion)} bytes, instead of an assertion"
            )
        return assertion.decode(errors="replace")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise CredentialError(f"{path} cannot be read: {exc.strerror}") from None
    if not data.strip():
        raise CredentialError(f"{path} is empty")
    return data


def _stamp(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _expiry_of(token: str) -> datetime | None:
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(claims["exp"]))
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _key_and_certificate(data: bytes, passphrase: bytes | None) -> tuple[RSAPrivateKey, x509.Certificate]:
    """From PEM or PFX. Raises CredentialError."""
    load: Callable[[bytes, bytes | None], tuple[object, x509.Certificate | None]]
    load = _from_pem if b"-----BEGIN" in data else _from_pfx
    try:
        key, certificate = load(data, passphrase)
    except (ValueError, TypeError):
        raise CredentialError("the file cannot be read as PEM or PFX, or the passphrase is wrong") from None
    if not isinstance(key, RSAPrivateKey) or certificate is None:
        raise CredentialError("the file has to hold an RSA key and its certificate")
    if certificate.public_key() != key.public_key():
        raise CredentialError("the certificate does not belong to the key in the file")
    return key, certificate


def _from_pem(data: bytes, passphrase: bytes | None) -> tuple[object, x509.Certificate]:
    return serialization.load_pem_private_key(data, passphrase), x509.load_pem_x509_certificate(data)


def _from_pfx(data: bytes, passphrase: bytes | None) -> tuple[object, x509.Certificate | None]:
    key, certificate, _ = pkcs12.load_key_and_certificates(data, passphrase)
    return key, certificate
