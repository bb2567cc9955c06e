"""The requests.Session that MSAL uses: time-outs, private CA, and only one host. Only the proxy is taken from the environment:
no credentials of a .netrc, no authorities."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from gateway.errors import GatewayError, Reason

CONNECT_S, READ_S = 5.0, 10.0
# Entra's host for China has two names (MSAL calls the first one deprecated), and its discovery may name either.
ALIASES = {"login.chinacloudapi.cn": "login.partner.microsoftonline.cn"}


class EntraSession(requests.Session):
    """Adds what MSAL does not set, and keeps the status and Retry-After of the last error answer. root: the only host that is
    contacted, such as https://login.microsoftonline.com: a discovery document must not decide where secrets are sent. None for
    a managed identity, whose endpoint is the machine's own and gets no secret."""

    def __init__(self, ca_file: Path | None, root: str | None = None) -> None:
        super().__init__()
        self._root = root
        self.last_status: int | None = None
        self.last_retry_after: str | None = None
        self.trust_env = False
        adapter = _Adapter(ca_file)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Raises GatewayError before anything is sent to another host than the root's."""
        self.last_status = self.last_retry_after = None
        if self._root is not None and _place(str(url)) not in _places(self._root):
            text = "Entra's discovery names a token endpoint on another host; nothing was sent there."
            raise GatewayError(Reason.ENTRA_UNAVAILABLE, text, retry_after=READ_S)
        response = super().request(method, url, *args, **{**kwargs, "allow_redirects": False})
        if response.status_code >= 400:
            self.last_status, self.last_retry_after = response.status_code, response.headers.get("Retry-After")
        return response


class _Adapter(HTTPAdapter):
    def __init__(self, ca_file: Path | None) -> None:
        super().__init__()
        self._ca_file = ca_file

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_S, READ_S)
        kwargs["verify"] = str(self._ca_file) if self._ca_file is not None else True
        # Endpoints in plain text are those of managed identities, which are the machine's own: no proxy reaches them.
        url = str(request.url)
        kwargs["proxies"] = get_environ_proxies(url) if url.startswith("https:") else {}
        return super().send(request, **kwargs)


def _place(url: str) -> tuple[str, str | None, int | None]:
    """Raises ValueError for a port that is none, which MSAL would meet as well."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else None)


def _places(root: str) -> set[tuple[str, str | None, int | None]]:
    scheme, host, port = _place(root)
    return {(scheme, host, port), (scheme, ALIASES.get(host or "", host), port)}
