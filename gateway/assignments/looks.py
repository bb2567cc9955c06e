"""A look at a policy's rows in Graph, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.assignments.rows import Row, RowSet, Touch
from gateway.odata.targets import Key


@dataclass(frozen=True)
class Bounds:
    """Graph's bounds, in seconds. lag: how far a read may lag behind at its request. late: how long after its revision was
    recorded a write may take effect."""

    lag: float
    late: float


@dataclass(frozen=True)
class Look:
    """A policy's whole set, and when it was requested (monotonic seconds): only that bounds the age of what it shows."""

    rows: RowSet
    asked: float


@dataclass(frozen=True)
class Verdict:
    """What a look means. old: it may be older than what is known, and must not be merged into; one requested after `fresh_at`
    may. repairs: the rows that the gateway's own writes undid, as they have to be. repaired: the numbers of the writes that
    made these rows. foreign: what others changed since the previous look."""

    old: bool = False
    fresh_at: float = 0.0
    repairs: Mapping[Key, tuple[Row, ...]] = field(default_factory=dict)
    repaired: frozenset[int] = frozenset()
    foreign: Mapping[Key, Touch] = field(default_factory=dict)
