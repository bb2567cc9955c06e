"""Client certificates, verified by the door's TLS: the caller is named by its SPIFFE ID, or else by its subject."""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cryptography import x509

from gateway.call import Call, Caller
from gateway.config.doors import ClientCa

CACHE_SIZE = 10_000


class ClientCertificates:
    """clock: Unix time, since a connection may outlive its certificate. The settings are used by the door, which asks for
    certificates."""

    def __init__(
        self, _settings: ClientCa | None = None, _source: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    async def caller_of(self, call: Call) -> Caller | None:
        if call.certificate is None:
            return None
        digest = hashlib.sha256(call.certificate).digest()
        if digest not in self._remembered:
            if len(self._remembered) >= CACHE_SIZE:
                self._remembered.clear()
            self._remembered[digest] = _read(call.certificate)
        caller, until = self._remembered[digest]
        if self._clock() >= until or not caller.name.partition(":")[2]:
            call.record.note(certificate_refused="expired" if caller.name.partition(":")[2] else "without a name")
            return None
        return caller

    async def reload(self) -> None:
        """Nothing to take up: the authorities are the door's."""

    def health(self) -> Mapping[str, str]:
        return {}


# What cryptography raises for the odd things that an authority may have signed.
ODD = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


def _read(pem: bytes) -> tuple[Caller, float]:
    """The caller and when the certificate expires. A name that cannot be used is empty."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        name = _name(certificate)
        until = certificate.not_valid_after_utc.timestamp()
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):  # an authority may sign odd things
        name, until = "", float("inf")
    printable = name if name.isascii() and name.isprintable() and len(name) <= 256 else ""
    return Caller(f"mtls:{printable}"), until


def _name(certificate: x509.Certificate) -> str:
    """Empty if the certificate has no unambiguous name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    if not any(uri.lower().startswith("spiffe:") for uri in uris):
        return certificate.subject.rfc4514_string()
    # A SPIFFE certificate has exactly one URI (X509-SVID, section 2); more would let one pose as several.
    return uris[0] if len(uris) == 1 and uris[0].startswith("spiffe://") else ""
