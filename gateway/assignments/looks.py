"""A look at a policy's rows in Graph, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.assignments.rows import Row, RowSet, Touch
from gateway.odata.targets import Key


@dataclass(frozen=True)
class Bounds:
    """lag: how old a read may be when it is asked for. late: how long after it was written down a write may take effect."""

    lag: float
    late: float


@dataclass(frozen=True)
class Look:
    """A whole set, and when it was asked for."""

    rows: RowSet
    asked: float


@dataclass(frozen=True)
class Verdict:
    """What a look means. old: it may be older than what we know, and nothing may be built upon it before `fresh_at`. repairs:
    what our own writes undid, as it has to be. repaired: the numbers of the writes whose changes these are. foreign: what
    others changed since the look before."""

    old: bool = False
    fresh_at: float = 0.0
    repairs: Mapping[Key, tuple[Row, ...]] = field(default_factory=dict)
    repaired: frozenset[int] = frozenset()
    foreign: Mapping[Key, Touch] = field(default_factory=dict)
