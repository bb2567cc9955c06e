"""Who may write a policy: the rule of leases, with a line for those who wait. Pure; the database's clock and the numbers of
the living gateways are given. A lease keeps gateways out of each other's way; that no stale write is written down is the
work of the fence (see ledger.Revisions.write_down), not of the clock."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

# Who waits has to ask again within this time, or loses its place.
FRESH_S = 1.0


@dataclass(frozen=True)
class Lease:
    """A policy's lease. owner: the gateway that holds it, 0 for none; generation: how often it was granted; until: when it
    passes; queue: who waits and when each asked last, in order of arrival; numbers: how many revisions the policy has had."""

    owner: int = 0
    generation: int = 0
    until: float = 0.0
    queue: tuple[tuple[int, float], ...] = ()
    numbers: int = 0

    def asked(self, me: int, now: float, length_s: float, living: Callable[[], Collection[int]]) -> tuple[Self, bool]:
        """After gateway `me` asked for it, and whether it was granted. living: asked only where somebody else is concerned.

        Granted to the first in line who is alive and asked lately, if it is free: nobody holds it, or its holder is the one
        who asks (and thereby lets go of it), is not alive, or is late. Whoever lets go and asks again comes after those who
        wait.
        """
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
        """With a longer life, if it is `me`'s still. A late one is, as long as nobody else took it."""
        ours = self.held_by(me, generation)
        return (replace(self, until=now + length_s) if ours else self), ours

    def released(self, me: int, generation: int) -> Self:
        """Free, if it was `me`'s."""
        return replace(self, owner=0, until=0.0) if self.held_by(me, generation) else self

    def held_by(self, me: int, generation: int) -> bool:
        """The fence."""
        return (self.owner, self.generation) == (me, generation)


def queue_text(lease: Lease) -> str:
    """The queue, as the table has it: [[owner, asked last], …]."""
    return json.dumps(lease.queue)


def queue_from(text: str) -> tuple[tuple[int, float], ...]:
    """The inverse."""
    return tuple((who, at) for who, at in json.loads(text))
