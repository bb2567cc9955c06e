"""What replicas tell each other about a window of the quota, through the ledger. These values are here because graph and ledger
do not import each other."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Stake(NamedTuple):
    """One replica's report on one window of a tenant's quota.

    used: turns that count now (shares.NOTHING_COUNTS: none do). holds: those, plus the turns that it may take before its next
    report. limit: its estimate of the window's limit. closed_s: seconds for which Graph told it to send nothing. wanted: by
    caller, the caller's weight, the turns that it took in 20 s, and the turns that it waits for or was given a time for. told:
    the callers that are to retry soon: caller, request ID, seconds from now. alone: turns that all replicas together use while
    they cannot reach the ledger; in a replica's row, its part of them.
    """

    tenant: str
    window: str
    used: int
    holds: int
    limit: float
    closed_s: float
    wanted: Mapping[str, tuple[float, int, int]]
    told: Sequence[tuple[str, str, float]] = ()
    alone: int = 0


class Granted(NamedTuple):
    """The answer to a report. share: this replica's part of the window, in turns. untold: how many of them it may take before
    its next report. replicas: how many divide the window. closed_s: seconds for which Graph told other replicas to send
    nothing. parts: for callers that also wait at other replicas, the demand here divided by the average demand at a replica.
    told: the callers that others told to retry, as in Stake."""

    share: int
    untold: int
    replicas: int
    closed_s: float
    parts: Mapping[str, float] = {}
    told: Sequence[tuple[str, str, float]] = ()
