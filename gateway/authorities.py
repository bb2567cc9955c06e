"""The authorities that the gateway's own connections trust: a configured CA file, or else the system's. Never those of the
environment (SSL_CERT_FILE, SSL_CERT_DIR), which OpenSSL would use by itself: only the configuration decides whom to trust."""

import ssl
from functools import lru_cache
from pathlib import Path

import certifi

from gateway.files import version_of


def context_for(ca_file: Path | None) -> ssl.SSLContext:
    """For a client's connections; not to be changed. Raises OSError for a file that cannot be read or is no PEM."""
    return _context(ca_file, version_of(ca_file) if ca_file is not None else None)


@lru_cache(16)  # the system's authorities take 20 ms and a megabyte, for each tenant
def _context(ca_file: Path | None, _: object) -> ssl.SSLContext:
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    system = ssl.get_default_verify_paths()
    file = system.openssl_cafile if Path(system.openssl_cafile).is_file() else None
    folder = system.openssl_capath if Path(system.openssl_capath).is_dir() else None
    if file is None and folder is None:  # not on Windows, and not where Python brings an OpenSSL of its own
        file = certifi.where()
    return ssl.create_default_context(cafile=file, capath=folder)
