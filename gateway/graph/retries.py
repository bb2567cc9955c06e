"""Whether and when a request may be sent again. Pure; `client` acts on the result."""

import math
import re
from datetime import UTC, datetime
from typing import NamedTuple

from gateway.clock import moment

FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 20.0  # Graph's throttling windows are 20 s long (docs/graph.md §4)
DECIMAL = re.compile(r"\d{1,6}(\.\d{1,9})?")


class Again(NamedTuple):
    """Send again after `delay` seconds, on a new connection if `fresh`."""

    delay: float
    fresh: bool


class Tried(NamedTuple):
    """How an attempt ended: an HTTP status, or None if no whole answer came; then `sent` says whether Graph may have received
    it. retry_after: seconds, as Graph asked."""

    status: int | None
    sent: bool = True
    retry_after: float | None = None


def again(tried: Tried, attempt: int, jitter: float) -> Again | None:
    """Whether a read may be retried. attempt: 1 for the first. jitter: in [0, 1). None: it may not.

    Retried are 429; 5xx, on a new connection, which may reach another replica; and lost answers. Writes are not retried here: a
    set that had to wait is stale, so the writer reads anew.
    """
    if tried.status is not None and tried.status != 429 and tried.status < 500:
        return None
    delay = backoff(attempt, jitter) if tried.retry_after is None else tried.retry_after
    return Again(delay, fresh=tried.status != 429)


def backoff(attempt: int, jitter: float) -> float:
    """Exponential backoff with jitter: between half of and the whole of 0.5 s, 1 s, 2 s, … up to 20 s."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** min(attempt - 1, 10)) * (1 + jitter) / 2


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds from a Retry-After header: seconds, decimal seconds (`2.128`) or an HTTP date; None if it is none of these. now:
    by the sender's clock."""
    if value is None:
        return None
    if DECIMAL.fullmatch(value.strip()):
        return float(value)
    date = moment(value)
    return None if date is None else max(0.0, math.ceil((date - (now or datetime.now(UTC))).total_seconds()))
