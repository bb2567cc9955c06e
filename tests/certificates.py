"""Certificates and tokens of the tests' own."""

import datetime
import ipaddress
import time
from functools import cached_property
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Pair:
    """A key and its certificate, made when they are first asked for: a key takes a tenth of a second."""

    def __init__(self, name: str, issuer: "Pair | None", days: float, authority: bool, uris: tuple[str, ...]) -> None:
        self.name, self.issuer, self.days, self.authority, self.uris = name, issuer, days, authority, uris

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def certificate(self) -> x509.Certificate:
        addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *map(x509.UniformResourceIdentifier, self.uris)]
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.issuer.certificate.subject if self.issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 2 * DAY)
            .not_valid_after(NOW + self.days * DAY)
            .add_extension(x509.BasicConstraints(ca=self.authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        )
        return builder.sign((self.issuer or self).key, hashes.SHA256())

    @property
    def key_pem(self) -> bytes:
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def write(self, path: Path, passphrase: str = "", pfx: bool = False) -> Path:
        secret = passphrase.encode()
        protection = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
        if pfx:
            path.write_bytes(pkcs12.serialize_key_and_certificates(b"app", self.key, self.certificate, None, protection))
        else:
            key = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
            path.write_bytes(key + self.pem.encode())
        return path


def new_pair(
    name: str = "app", issuer: Pair | None = None, days: float = 30, *, authority: bool = False, uris: tuple[str, ...] = ()
) -> Pair:
    """Valid from two days ago for so many days from now; self-signed without an issuer. For 127.0.0.1 and the URIs."""
    return Pair(name, issuer, days, authority, uris)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def token(key: rsa.RSAPrivateKey, **claims) -> str:
    """Signed; valid for an hour unless `claims` say otherwise."""
    now = int(time.time())
    return jwt.encode({"iat": now, "nbf": now, "exp": now + 3600, **claims}, key, "RS256")
