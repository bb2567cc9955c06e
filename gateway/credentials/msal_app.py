"""MSAL's confidential client for one tenant, asked for a new token each time: remembering tokens is TokenSource's work."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msal
import requests
from msal.exceptions import MsalError
from pydantic import SecretStr

from gateway.credentials.entra_session import EntraSession
from gateway.credentials.faults import entra_error


@dataclass(frozen=True)
class Issued:
    """A token as Entra issued it; lifetimes in seconds from now. refresh_in: when Entra would like to be asked again."""

    value: str = field(repr=False)
    expires_in: float
    refresh_in: float | None = None


class MsalApp:
    """Blocking; for one thread at a time. secret: gives the client secret as it is now."""

    def __init__(
        self,
        tenant_id: str,
        client_id: str,
        authority: str,
        scope: str,
        secret: Callable[[], SecretStr],
        ca_file: Path | None = None,
    ) -> None:
        self._client_id, self._authority = client_id, f"{authority}/{tenant_id}"
        self._scope, self._secret, self._ca_file = scope, secret, ca_file
        self._app: msal.ConfidentialClientApplication | None = None
        self._session = EntraSession(ca_file)
        self._http_cache: dict[Any, Any] = {}
        self._made_with = ""

    def acquire(self) -> Issued:
        """Asks Entra for a new token. Raises GatewayError: CREDENTIAL_REFUSED or ENTRA_UNAVAILABLE."""
        try:
            app = self._current_app()
            # MSAL would answer from its cache, and replay Entra's last error for up to a minute.
            app.remove_tokens_for_client()
            self._http_cache.clear()
            result = app.acquire_token_for_client(scopes=[self._scope])
        except requests.RequestException as exc:
            raise entra_error("") from exc
        except (MsalError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as exc:
            # MSAL meets an answer of no sense with whatever fails first, and chained texts of Entra would reach a log.
            raise self._fault(f"{exc} {exc.__context__}") from None
        if "access_token" not in result:
            raise self._fault(str(result.get("error_description", "")), str(result.get("error", "")))
        refresh_in = result.get("refresh_in")
        return Issued(result["access_token"], float(result["expires_in"]), float(refresh_in) if refresh_in else None)

    def close(self) -> None:
        """Closes the connections to Entra."""
        self._session.close()

    def _current_app(self) -> msal.ConfidentialClientApplication:
        secret = self._secret().get_secret_value()
        if self._app is None or secret != self._made_with:
            self._http_cache.clear()
            self._app = msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=secret,
                authority=self._authority,
                http_client=self._session,
                http_cache=self._http_cache,
                # Our clouds are a fixed table; instance discovery would ask a public host about a private authority.
                instance_discovery=False,
            )
            self._made_with = secret
        return self._app

    def _fault(self, text: str, error: str = "") -> Exception:
        retry_after = self._session.last_retry_after or ""
        return entra_error(text, error, self._session.last_status, float(retry_after) if retry_after.isdigit() else None)
