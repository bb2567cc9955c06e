"""MSAL for one credential of a tenant. It gets a new token each time; TokenSource caches tokens."""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msal
import requests
from msal.exceptions import MsalError

from gateway.credentials.credential import Assertion, Credential, CredentialError, Identity, Proof
from gateway.credentials.entra_errors import entra_error
from gateway.credentials.entra_session import EntraSession
from gateway.errors import GatewayError, Reason

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Issued:
    """A token as Entra issued it; lifetimes in seconds from now. refresh_in: when Entra would like to be asked again."""

    value: str = field(repr=False)
    expires_in: float
    refresh_in: float | None = None


@dataclass(frozen=True)
class AppRegistration:
    """Where a tenant's tokens come from. authority: root of Entra; scope: `{Graph root}/.default`."""

    tenant: str
    tenant_id: str
    client_id: str
    authority: str
    scope: str
    ca_file: Path | None = None


class MsalApp:
    """Blocking; for one thread at a time. kind: as configured, for logs and gauges. A changed credential is tried before it is
    used: if Entra refuses the new one, the old one stays."""

    def __init__(self, registration: AppRegistration, kind: str, credential: Credential) -> None:
        self._registration, self.kind, self._credential = registration, kind, credential
        self._session = EntraSession(registration.ca_file, None if self.local else registration.authority)
        self._http_cache: dict[Any, Any] = {}
        self._used: Proof | None = None
        self._app: tuple[str, Any] | None = None

    @property
    def local(self) -> bool:
        """Whether its tokens come from this machine: then they prove nothing about Entra being up."""
        return self.kind == "managed_identity"

    def expires_at(self) -> datetime | None:
        """When what it presents now expires, as far as is known."""
        try:
            return self._credential.present().expires_at
        except CredentialError:
            return None

    def fingerprint(self) -> object:
        """See Credential."""
        return self._credential.fingerprint()

    def acquire(self) -> Issued:
        """Asks Entra for a new token. Raises GatewayError: CREDENTIAL_REFUSED or ENTRA_UNAVAILABLE."""
        before = self._used
        try:
            new = self._credential.present()
        except CredentialError as exc:
            error = _unusable(exc)
            if before is None:
                raise error from None
            log.error("the credential cannot be read; the previous one stays in use", extra=self._where(error))  # noqa: TRY400
            return self._ask(before)
        try:
            issued = self._ask(new)
        except GatewayError as error:
            if before is None or before.stamp == new.stamp or error.reason is not Reason.CREDENTIAL_REFUSED:
                raise
            log.error("the new credential is refused; the previous one stays in use", extra=self._where(error))  # noqa: TRY400
            return self._ask(before)
        if before is not None and before.stamp != new.stamp:
            log.info("credential rotated", extra=self._where())
        self._used = new
        return issued

    def close(self) -> None:
        """Closes the connections to Entra."""
        self._session.close()

    def _where(self, error: GatewayError | None = None) -> dict[str, Any]:
        why = {"why": error.message, **error.metadata} if error else {}
        return {"tenant": self._registration.tenant, "credential": self.kind, **why}

    def _ask(self, presented: Proof) -> Issued:
        try:
            if isinstance(presented.material, Identity):
                result = self._ask_for_identity(presented.material)
            else:
                app = self._current_app(presented)
                # MSAL would answer from its cache, and replay Entra's last error for up to a minute.
                app.remove_tokens_for_client()
                self._http_cache.clear()
                result = app.acquire_token_for_client(scopes=[self._registration.scope])
        except CredentialError as exc:
            raise _unusable(exc) from None
        except requests.RequestException as exc:
            raise entra_error("") from exc
        except (MsalError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as exc:
            # MSAL meets an answer of no sense with whatever fails first, and chained texts of Entra would reach a log.
            raise self._fault(f"{exc} {exc.__context__}") from None
        if "access_token" not in result:
            raise self._fault(str(result.get("error_description", "")), str(result.get("error", "")))
        refresh_in = result.get("refresh_in")
        try:
            return Issued(result["access_token"], float(result["expires_in"]), float(refresh_in) if refresh_in else None)
        except (TypeError, ValueError, KeyError):
            raise self._fault("") from None

    def _ask_for_identity(self, identity: Identity) -> dict[str, Any]:
        which = (
            msal.UserAssignedManagedIdentity(**{identity.kind: identity.id})
            if identity.kind != "system"
            else msal.SystemAssignedManagedIdentity()
        )
        client = msal.ManagedIdentityClient(which, http_client=self._session)
        result = client.acquire_token_for_client(resource=self._registration.scope.removesuffix("/.default"))
        return dict(result or {})

    def _current_app(self, presented: Proof) -> msal.ConfidentialClientApplication:
        if self._app is None or self._app[0] != presented.stamp:
            self._http_cache.clear()
            app = msal.ConfidentialClientApplication(
                self._registration.client_id,
                client_credential=self._proof(presented),
                authority=f"{self._registration.authority}/{self._registration.tenant_id}",
                http_client=self._session,
                http_cache=self._http_cache,
                # Our clouds are a fixed table; instance discovery would ask a public host about a private authority.
                instance_discovery=False,
            )
            self._app = presented.stamp, app
        return self._app[1]

    def _proof(self, presented: Proof) -> Any:
        """As MSAL wants it."""
        proof, registration = presented.material, self._registration
        if isinstance(proof, Assertion):
            audience = f"{registration.authority}/{registration.tenant_id}/oauth2/v2.0/token"
            return {"client_assertion": lambda: proof.make(audience, registration.client_id)}
        assert not isinstance(proof, Identity)
        return proof.value.get_secret_value()

    def _fault(self, text: str, error: str = "") -> GatewayError:
        retry_after = self._session.last_retry_after or ""
        return entra_error(text, error, self._session.last_status, float(retry_after) if retry_after.isdigit() else None)


def _unusable(exc: CredentialError) -> GatewayError:
    return GatewayError(Reason.CREDENTIAL_REFUSED, f"The tenant's credential cannot be used: {exc}.")
