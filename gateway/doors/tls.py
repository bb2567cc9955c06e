"""The door's certificate, read anew when its files change. gRPC's own TLS starts at version 1.2."""

import logging
import ssl
from pathlib import Path

import grpc

from gateway.config import ConfigError, Tls
from gateway.files import version_of

log = logging.getLogger(__name__)


class Certificates:
    """One port's. client_ca: asks for client certificates and verifies them by it."""

    def __init__(self, tls: Tls, client_ca: Path | None = None) -> None:
        """Raises ConfigError."""
        self._tls, self._client_ca = tls, client_ca
        self._seen = self._look()
        try:
            self._configuration = self._read()
        except (OSError, ValueError) as exc:
            raise ConfigError([f"server.tls: {exc}"]) from exc

    def credentials(self) -> grpc.ServerCredentials:
        """For the port."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self._current,  # type: ignore[arg-type] # None is "nothing new" (grpc's documentation)
            require_client_authentication=self._client_ca is not None,
        )

    def _current(self) -> "grpc.ServerCertificateConfiguration | None":
        """At each handshake, in a thread of gRPC's: the new configuration, or None where nothing is new."""
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            self._configuration = self._read()
        except (OSError, ValueError) as exc:
            log.error("the new certificate is wrong; the old one stays", extra={"error": str(exc)})  # noqa: TRY400
            return None
        log.info("certificate loaded", extra={"file": str(self._tls.cert_file)})
        return self._configuration

    def _files(self) -> list[Path]:
        return [self._tls.cert_file, self._tls.key_file, *([self._client_ca] if self._client_ca else [])]

    def _look(self) -> object:
        return [version_of(path) for path in self._files()]

    def _read(self) -> "grpc.ServerCertificateConfiguration":
        """Raises OSError, of which ssl.SSLError is one, for what does not fit together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._tls.cert_file, self._tls.key_file, password=_no_passphrase)
        pair = self._tls.key_file.read_bytes(), self._tls.cert_file.read_bytes()
        if self._client_ca is None:
            return grpc.ssl_server_certificate_configuration([pair])
        context.load_verify_locations(self._client_ca)
        return grpc.ssl_server_certificate_configuration([pair], self._client_ca.read_bytes())


def _no_passphrase() -> str:
    raise ValueError("the key may not have a passphrase")
