"""Everything the emulator is, in one value: what the HTTP fronts (server, control) share."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator.clock import Clock
from gateway.emulator.entra import Entra
from gateway.emulator.faults import Faults
from gateway.emulator.graph import Graph
from gateway.emulator.intune import Intune
from gateway.emulator.seeds import Seeds
from gateway.emulator.unconfirmed import Unconfirmed


@dataclass
class World:
    """requests: every request to Graph, oldest first: method, path, status, body, headers (no token), bearer
    (a digest that tells bearers apart), at, answer; one that is
    carried out late has `late` and, once it was, `late_status`.

    resets: how often everything began anew; a request that was under way then is not carried out.
    """

    clock: Clock
    entra: Entra
    intune: Intune
    graph: Graph
    seeds: Seeds = field(default_factory=Seeds)
    unconfirmed: Unconfirmed = field(default_factory=Unconfirmed)
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)
    resets: int = 0
    outstanding: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def late(self) -> int:
        """How many requests are still to be carried out late."""
        return len(self.outstanding)

    def drop_late(self) -> list[asyncio.Task[None]]:
        """They will not be carried out any more; their tasks end in the loop's next turn."""
        dropped = list(self.outstanding)
        self.outstanding.clear()
        for task in dropped:
            task.cancel()
        return dropped
