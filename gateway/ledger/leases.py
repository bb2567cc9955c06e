"""Which gateway may write a policy: the rule of leases, with a queue of those that wait. Pure; callers pass the database's
clock and the numbers of the living gateways. A lease only keeps gateways from disturbing each other. What prevents a stale
write is the fence (ledger.Revisions.write_down), which compares generations and trusts no clock."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

# A waiting gateway has to ask again within this time, in seconds, or loses its place in the queue.
FRESH_S = 1.0


@dataclass(frozen=True)
class Lease:
    """A policy's lease. owner: the gateway that holds it, 0 for none. generation: how often it was granted. until: when it
    expires. queue: the waiting gateways and when each asked last, in order of arrival. numbers: how many revisions the policy
    has had."""

    owner: int = 0
    generation: int = 0
    until: float = 0.0
    queue: tuple[tuple[int, float], ...] = ()
    numbers: int = 0

    def asked(self, me: int, now: float, length_s: float, living: Callable[[], Collection[int]]) -> tuple[Self, bool]:
        """The lease after gateway `me` asked for it, and whether it was granted. living: called only if other gateways matter.

        A free lease is granted to the first gateway in the queue that is alive and asked lately. It is free if nobody holds it,
        or if its holder is `me` (which thereby releases it), is not alive, or is late. A gateway that releases it and asks
        again is behind those that wait."""
        others = {self.owner, *(who for who, _ in self.queue)} - {0, me}
        alive = {me, *living()} if others else {me}
        line = [(who, at) for who, at in self.queue if who in alive and 0 <= now - at <= FRESH_S]
        if me not in dict(line):
            line.append((me, now))
        line = [(who, now if who == me else at) for who, at in line]
        owner = 0 if self.owner == me or self.owner not in alive or now >= self.until else self.owner
        if owner or line[0][0] != me:
            return replace(self, owner=owner, queue=tuple(line)), False
        granted = replace(self, owner=me, generation=self.generation + 1, until=now + length_s, queue=tuple(line[1:]))
        return granted, True

    def renewed(self, me: int, generation: int, now: float, length_s: float) -> tuple[Self, bool]:
        """The lease extended, and whether `me` still holds it. An expired lease is still held until another gateway gets it."""
        ours = self.held_by(me, generation)
        return (replace(self, until=now + length_s) if ours else self), ours

    def released(self, me: int, generation: int) -> Self:
        """The lease without an owner, if `me` held it."""
        return replace(self, owner=0, until=0.0) if self.held_by(me, generation) else self

    def held_by(self, me: int, generation: int) -> bool:
        """Whether `me` holds it under this generation: the fence."""
        return (self.owner, self.generation) == (me, generation)


def queue_text(lease: Lease) -> str:
    """The queue, as the table has it: [[owner, asked last], …]."""
    return json.dumps(lease.queue)


def queue_from(text: str) -> tuple[tuple[int, float], ...]:
    """The inverse."""
    return tuple((who, at) for who, at in json.loads(text))
