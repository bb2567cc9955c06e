"""The difference between this machine's clock and Graph's, from the `Date` header of Graph's answers (RFC 9110, 6.6.1; whole
seconds)."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache

from prometheus_client import Gauge

from gateway.metrics import CLOCK_SKEW

# Entra takes no assertion, and we no caller's token, of a clock that is much further off: JwtIssuer.leeway_s is as long.
MOST_SKEW_S = 60.0
LONGEST_DATE = 64


@lru_cache(maxsize=8)
def moment(text: str) -> datetime | None:
    """What an HTTP date says (RFC 9110, 5.6.7); None where it is none. Many answers come in the same second."""
    try:
        date = parsedate_to_datetime(text[:LONGEST_DATE])
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


class Skew:
    """Of one tenant's Graph. clock: Unix time. seconds: Graph's clock is so far ahead of ours; None before the first answer."""

    def __init__(self, tenant: str, clock: Callable[[], float] = time.time) -> None:
        self._tenant, self._clock = tenant, clock
        self.seconds: float | None = None

    def seen(self, headers: Mapping[str, str]) -> None:
        """Takes the answer's Date, if it has one that is one."""
        date = moment(headers.get("date", "")[:LONGEST_DATE])
        if date is None:
            return
        self.seconds = date.timestamp() - self._clock()
        self._gauge.set(self.seconds)

    @cached_property
    def _gauge(self) -> Gauge:
        """Looked up once; with it the metric is there."""
        return CLOCK_SKEW.labels(self._tenant)

    @property
    def fault(self) -> str:
        """What is wrong, empty where nothing is known to be."""
        if self.seconds is None or abs(self.seconds) <= MOST_SKEW_S:
            return ""
        which = "behind" if self.seconds > 0 else "ahead of"
        return f"this machine's clock is {abs(self.seconds):.0f} s {which} Graph's"
