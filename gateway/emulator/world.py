"""The whole state of the emulator, which its HTTP servers (server, control) share."""

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
    """requests: every request to Graph, oldest first: method, path, status, body, headers (without Authorization), bearer (a
    digest that distinguishes tokens), at (seconds since the epoch), answer. A request that is carried out late has `late`, and
    `late_status`, which is None until then.

    resets: the number of resets; a request that a fault delays over a reset is not carried out.
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
        """The number of requests that are still to be carried out late."""
        return len(self.outstanding)

    def drop_late(self) -> list[asyncio.Task[None]]:
        """Cancels the requests that are still to be carried out late. Returns their tasks, which end in the loop's next
        turn."""
        dropped = list(self.outstanding)
        self.outstanding.clear()
        for task in dropped:
            task.cancel()
        return dropped
