"""Everything the emulator is, in one value: what the HTTP fronts (server, control) share."""

from dataclasses import dataclass, field
from typing import Any

from gateway.emulator.clock import Clock
from gateway.emulator.entra import Entra
from gateway.emulator.faults import Faults
from gateway.emulator.graph import Graph
from gateway.emulator.intune import Intune


@dataclass
class World:
    """requests: every request to Graph, oldest first: method, path, status, body, headers (no token), at, answer.

    resets: how often everything began anew; a request that was under way then is not carried out.
    """

    clock: Clock
    entra: Entra
    intune: Intune
    graph: Graph
    faults: Faults = field(default_factory=Faults)
    requests: list[dict[str, Any]] = field(default_factory=list)
    resets: int = 0
