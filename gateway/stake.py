"""What replicas tell each other of a window of the quota, by way of the ledger. Values between graph and ledger, which do not
know each other."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Stake(NamedTuple):
    """What one replica has to do with one window of a tenant's quota.

    used: turns that count now. holds: those, and what may be taken before it says more. limit: what it takes the window's limit
    to be. closed_s: for so long Graph told it to send nothing. wanted: by caller, its weight, the turns that it took in 20 s,
    and those that it waits for, or is told to come back for. told: who is to come back soon: caller, request id, seconds from
    now. alone: turns that all replicas go on with while they cannot ask the ledger; in its row, this one's part of them.
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
    """share: of the window, in turns. untold: how many of them may be taken before the next word. replicas: how many divide the
    window. closed_s: as far as others were told by Graph. parts: of callers who wait at other replicas (too), how many times as
    much of each waits at this one as at one on average. told: by others, as in Stake."""

    share: int
    untold: int
    replicas: int
    closed_s: float
    parts: Mapping[str, float] = {}
    told: Sequence[tuple[str, str, float]] = ()
