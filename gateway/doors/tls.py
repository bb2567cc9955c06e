"""The doors' certificate, reloaded when its files change. TLS 1.2 or later: the minimum of gRPC and of Python."""

import logging
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import grpc
from cryptography import x509

from gateway.config import ConfigError, Tls
from gateway.files import version_of
from gateway.metrics import CERTIFICATE_EXPIRES, RELOADS

log = logging.getLogger(__name__)

# Before its end a certificate is warned of.
SOON = timedelta(days=14)


@dataclass(frozen=True, repr=False)
class Loaded:
    """The content of the files: PEM for gRPC, a context for asyncio. One file may have key and chain, so no part of it is shown
    in a repr."""

    key: bytes
    chain: bytes
    client_ca: bytes | None
    context: ssl.SSLContext


class Life(NamedTuple):
    """until: when the doors' certificate ends. fault: that it has ended, or empty. warning: that it ends soon, or empty."""

    until: datetime
    fault: str
    warning: str


def life_of(tls: Tls, now: datetime) -> Life:
    """The life of the certificate in the file, or of the certificate in its chain that expires first. Raises OSError,
    ValueError."""
    until = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(tls.cert_file.read_bytes()))
    CERTIFICATE_EXPIRES.set(until.timestamp())
    if until <= now:
        return Life(until, f"the certificate has expired, on {until:%Y-%m-%d %H:%MZ}", "")
    return Life(until, "", f"the certificate expires on {until:%Y-%m-%d %H:%MZ}" if until - now < SOON else "")


def health_of(tls: Tls | None, now: datetime) -> dict[str, str]:
    """What is wrong with the doors' certificate, empty where nothing is."""
    if tls is None:
        return {}
    try:
        return {"server.tls": life_of(tls, now).fault}
    except (OSError, ValueError) as exc:
        return {"server.tls": f"the certificate cannot be read ({type(exc).__name__})"}


class Certificates:
    """The certificates of one port. client_ca: the authorities that verify client certificates; None asks for none."""

    def __init__(self, tls: Tls, client_ca: Path | None = None) -> None:
        """Raises ConfigError."""
        self._tls, self._client_ca = tls, client_ca
        self._seen = self._look()
        try:
            self._loaded = self._read()
        except (OSError, ValueError) as exc:
            raise ConfigError([f"server.tls: {exc}"]) from exc

    def credentials(self) -> grpc.ServerCredentials:
        """For a port of gRPC; with client_ca it demands client certificates."""
        return grpc.dynamic_ssl_server_credentials(
            _for_grpc(self._loaded),
            lambda: _for_grpc(self._loaded) if self._renewed() else None,  # type: ignore[arg-type, return-value] # None is "nothing new" (grpc's documentation)
            require_client_authentication=self._client_ca is not None,
        )

    def context(self) -> ssl.SSLContext:
        """For a port of asyncio; with client_ca it accepts client certificates, but does not demand them."""
        context = self._loaded.context

        def current(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            """At each handshake, on the event loop; asked whether or not the client names a server."""
            self._renewed()
            if self._loaded.context is not context:
                connection.context = self._loaded.context

        context.sni_callback = current
        return context

    def _renewed(self) -> bool:
        """Loads the files if they have changed. Returns whether there is something new that can be used."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._loaded = self._read()
        except (OSError, ValueError) as exc:
            RELOADS.labels("certificates", "refused").inc()
            log.error("the new certificate is wrong; the old one stays", extra={"error": str(exc)})  # noqa: TRY400
            return False
        RELOADS.labels("certificates", "ok").inc()
        log.info("certificate loaded", extra={"file": str(self._tls.cert_file)})
        return True

    def _files(self) -> list[Path]:
        return [self._tls.cert_file, self._tls.key_file, *([self._client_ca] if self._client_ca else [])]

    def _look(self) -> object:
        return [version_of(path) for path in self._files()]

    def _read(self) -> Loaded:
        """Raises OSError, of which ssl.SSLError is one, for what does not fit together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._tls.cert_file, self._tls.key_file, password=_no_passphrase)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        client_ca = self._client_ca.read_bytes() if self._client_ca else None
        return Loaded(self._tls.key_file.read_bytes(), self._tls.cert_file.read_bytes(), client_ca, context)


def _for_grpc(loaded: Loaded) -> "grpc.ServerCertificateConfiguration":
    pair = (loaded.key, loaded.chain)
    if loaded.client_ca is None:
        return grpc.ssl_server_certificate_configuration([pair])
    return grpc.ssl_server_certificate_configuration([pair], loaded.client_ca)


def _no_passphrase() -> str:
    raise ValueError("the key may not have a passphrase")
