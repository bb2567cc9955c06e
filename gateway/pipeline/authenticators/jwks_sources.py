"""Where an issuer's public keys come from: a URL or a file. Both give bytes, at most 1 MiB, or say in our words why not."""

import http.client
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from gateway.authorities import context_for

FETCH_S = 5.0
MOST_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16


class KeysError(Exception):
    """The keys cannot be read. cause: `certificate`, `dns`, `connection`, `timeout`, `status`, `answer` or `file`; the text
    says more, and holds nothing of an answer."""

    def __init__(self, cause: str, why: str) -> None:
        self.cause = cause
        super().__init__(why)


Source = Callable[[], bytes]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would choose for us whom we trust."""

    def redirect_request(self, *_: Any) -> None:
        return None


def from_url(url: str, ca_file: Path | None) -> Source:
    """Fetches from `url` (https), within 5 s; blocking. Proxies come from the environment. Raises KeysError."""
    https = urllib.request.HTTPSHandler(context=context_for(ca_file))
    opener = urllib.request.build_opener(_NoRedirect(), https)
    request = urllib.request.Request(url, headers={"Accept": "application/json", "User-Agent": "compliance-gateway"})  # noqa: S310 - https, by the configuration's check

    def fetch() -> bytes:
        deadline = time.monotonic() + FETCH_S
        try:
            with opener.open(request, timeout=FETCH_S) as answer:
                return _whole(answer, deadline)
        except HTTPError as exc:
            exc.close()
            raise KeysError("status", f"the issuer answers {exc.code}") from None
        except URLError as exc:
            raise _keys_error(exc.reason) from None
        except (OSError, http.client.HTTPException) as exc:
            raise _keys_error(exc) from None

    return fetch


def from_file(path: Path) -> Source:
    """Reads `path`. Raises KeysError."""

    def read() -> bytes:
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES + 1)
        except OSError as exc:
            raise KeysError("file", f"{path} cannot be read: {exc.strerror}") from None
        _check_size(text)
        return text

    return read


def _whole(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """read1 gives what has come; read would let a dribbling issuer pass the deadline."""
    body = bytearray()
    while chunk := answer.read1(CHUNK_BYTES):
        body += chunk
        _check_size(body)
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(body)


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > MOST_BYTES:
        raise KeysError("answer", f"the keys are over {MOST_BYTES} bytes")


def _keys_error(exc: object) -> KeysError:
    """What a failed connection means."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return KeysError("certificate", f"the issuer's certificate is not trusted: {exc.verify_message}")
    if isinstance(exc, socket.gaierror):
        return KeysError("dns", "the issuer's name cannot be resolved")
    if isinstance(exc, TimeoutError):
        return KeysError("timeout", "the issuer does not answer in time")
    return KeysError("connection", f"no connection to the issuer ({type(exc).__name__})")
