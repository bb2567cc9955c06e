"""Entra's errors (`AADSTS…` codes, OAuth error words) -> GatewayError. Entra's own text stays here."""

import re
from typing import NamedTuple

from gateway.errors import GatewayError, Reason

AADSTS = re.compile(r"AADSTS(\d{4,9})")
RETRY_S = 5.0


class Known(NamedTuple):
    """What an AADSTS code means, and what to do about it."""

    reason: Reason
    message: str


# Codes of https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
TABLE = {
    "7000215": Known(Reason.CREDENTIAL_REFUSED, "Entra rejects the client secret; is it the secret's value, not its ID?"),
    "7000222": Known(Reason.CREDENTIAL_REFUSED, "The tenant's client secret has expired; create a new one."),
    "700027": Known(Reason.CREDENTIAL_REFUSED, "Entra does not accept the signature of the tenant's certificate."),
    "700023": Known(Reason.CREDENTIAL_REFUSED, "Entra rejects the assertion: it is for another audience."),
    "700024": Known(Reason.CREDENTIAL_REFUSED, "Entra rejects the assertion as expired or not valid yet; is the clock right?"),
    "700021": Known(Reason.CREDENTIAL_REFUSED, "Entra rejects the assertion: it is for another app."),
    "700211": Known(Reason.CREDENTIAL_REFUSED, "The app has no federated credential for the issuer of the token."),
    "700212": Known(Reason.CREDENTIAL_REFUSED, "The app's federated credential is for another audience than the token's."),
    "700213": Known(Reason.CREDENTIAL_REFUSED, "The app's federated credential is for another subject than the token's."),
    "50013": Known(Reason.CREDENTIAL_REFUSED, "Entra does not accept the assertion."),
    "50027": Known(Reason.CREDENTIAL_REFUSED, "Entra rejects the assertion: it is malformed."),
    "700016": Known(Reason.CREDENTIAL_REFUSED, "Entra knows no app with the configured client_id in this tenant."),
    "7000112": Known(Reason.CREDENTIAL_REFUSED, "The gateway's app is disabled in this tenant."),
    "7000229": Known(Reason.CREDENTIAL_REFUSED, "The gateway's app is not in this tenant; grant admin consent."),
    "90002": Known(Reason.CREDENTIAL_REFUSED, "Entra knows no tenant with the configured tenant_id in this cloud."),
    "900021": Known(Reason.CREDENTIAL_REFUSED, "Entra does not accept the configured tenant_id."),
    "500011": Known(Reason.CREDENTIAL_REFUSED, "Entra does not know the configured Graph root; check cloud or graph."),
    "1002012": Known(Reason.CREDENTIAL_REFUSED, "Entra does not accept the scope made from the configured Graph root."),
    "53003": Known(Reason.CREDENTIAL_REFUSED, "Conditional access of the tenant blocks the gateway's app."),
    "50196": Known(Reason.ENTRA_UNAVAILABLE, "Entra sees a loop of token requests and refuses them for a while."),
    "90033": Known(Reason.ENTRA_UNAVAILABLE, "Entra has a transient fault."),
    "90024": Known(Reason.ENTRA_UNAVAILABLE, "Entra has a transient fault."),
}  # fmt: skip
TRANSIENT_ERRORS = {"temporarily_unavailable", "server_error", "slow_down"}


def entra_error(text: str, error: str = "", status: int | None = None, retry_after: float | None = None) -> GatewayError:
    """From what Entra said: `text` is searched for an AADSTS code and dropped, `error` is the OAuth error word.

    An unknown refusal is CREDENTIAL_REFUSED with its code in the metadata; 429, 5xx and no answer are ENTRA_UNAVAILABLE.
    """
    found = AADSTS.search(text)
    code = found.group(1) if found else ""
    metadata = {"aadsts": f"AADSTS{code}"} if code else {}
    row = TABLE.get(code)
    if row is None and (
        error in TRANSIENT_ERRORS or (status is not None and (status == 429 or status >= 500)) or not (code or error)
    ):
        row = Known(Reason.ENTRA_UNAVAILABLE, "")
    if row is None:
        row = Known(
            Reason.CREDENTIAL_REFUSED,
            f"Entra refuses the tenant's credential or settings ({metadata.get('aadsts') or 'no code'}).",
        )
    retry = max(retry_after or 0, RETRY_S) if row.reason is Reason.ENTRA_UNAVAILABLE else None
    return GatewayError(row.reason, row.message, retry_after=retry, metadata=metadata)
