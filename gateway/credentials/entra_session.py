"""The requests.Session that MSAL speaks through: time-outs, private CA, proxy from the environment."""

from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

CONNECT_S, READ_S = 5.0, 10.0


class EntraSession(requests.Session):
    """Adds what MSAL does not set, and remembers the status and Retry-After of the last error answer for its errors."""

    def __init__(self, ca_file: Path | None) -> None:
        super().__init__()
        self.last_status: int | None = None
        self.last_retry_after: str | None = None
        self.mount("https://", _Adapter(ca_file))

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self.last_status = self.last_retry_after = None
        response = super().request(*args, **{**kwargs, "allow_redirects": False})
        if response.status_code >= 400:
            self.last_status, self.last_retry_after = response.status_code, response.headers.get("Retry-After")
        return response


class _Adapter(HTTPAdapter):
    def __init__(self, ca_file: Path | None) -> None:
        super().__init__()
        self._ca_file = ca_file

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs["timeout"] = kwargs.get("timeout") or (CONNECT_S, READ_S)
        if self._ca_file is not None:  # here, because REQUESTS_CA_BUNDLE would override Session.verify
            kwargs["verify"] = str(self._ca_file)
        return super().send(request, **kwargs)
