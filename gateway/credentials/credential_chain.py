"""The credentials of a tenant as one: the first that Entra accepts. One that expires soon is tried last."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from gateway.credentials.msal_app import Issued, MsalApp
from gateway.errors import GatewayError, Reason
from gateway.metrics import CREDENTIAL_EXPIRES, CREDENTIAL_IN_USE, CREDENTIAL_REFUSED, TOKEN_EXPIRES, TOKEN_ISSUED

log = logging.getLogger(__name__)

NEAR_ITS_END = timedelta(days=3)


class CredentialChain:
    """Blocking; for one thread at a time. now: for tests."""

    def __init__(self, tenant: str, apps: Sequence[MsalApp], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tenant, self._apps, self._now = tenant, apps, now

    def acquire(self) -> Issued:
        """Raises GatewayError: that of the first credential if Entra accepts none; ENTRA_UNAVAILABLE at once if Entra is
        down."""
        refused: list[GatewayError] = []
        for number in self._order():
            app = self._apps[number]
            try:
                issued = app.acquire()
            except GatewayError as error:
                if error.reason is not Reason.CREDENTIAL_REFUSED and not app.local:
                    raise
                refused.append(error)
                where = {"tenant": self._tenant, "number": number}
                CREDENTIAL_REFUSED.labels(**where, kind=app.kind).inc()
                log.error("credential refused", extra={**where, "kind": app.kind, "why": error.message, **error.metadata})  # noqa: TRY400
            else:
                now = self._now().timestamp()
                TOKEN_ISSUED.labels(self._tenant).set(now)
                TOKEN_EXPIRES.labels(self._tenant).set(now + issued.expires_in)
                for other in range(len(self._apps)):
                    CREDENTIAL_IN_USE.labels(self._tenant, other).set(other == number)
                return issued
        raise refused[0]

    def fingerprint(self) -> object:
        """See Credential."""
        return tuple(app.fingerprint() for app in self._apps)

    def close(self) -> None:
        """Closes the connections to Entra."""
        for app in self._apps:
            app.close()

    def _order(self) -> list[int]:
        """As configured, but those that expire soon last."""
        ends = [app.expires_at() for app in self._apps]
        for number, end in enumerate(ends):
            if end is not None:
                CREDENTIAL_EXPIRES.labels(self._tenant, number).set(end.timestamp())
        soon = self._now() + NEAR_ITS_END
        return sorted(range(len(ends)), key=lambda number: ((end := ends[number]) is not None and end < soon, number))
