"""A ledger that keeps nothing, for tests of what stands above it."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.config import LedgerConfig
from gateway.entry import Entry
from gateway.ledger.ledger import Claim


class NoLedger:
    """Every claim is new, everything written down is ours."""

    up = True

    def __init__(self, settings: LedgerConfig | None = None) -> None:
        pass

    async def claim(self, entry: Entry) -> Claim:
        return Claim("new", replace(entry, owner=1))

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        return {entry.id for entry in entries}

    async def take_over(self) -> list[Entry]:
        return []

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass
