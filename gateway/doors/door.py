"""The interface of a door, for what opens and closes it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.worker import Retirement


class Door(Protocol):
    """A door at which callers come in."""

    async def start(self) -> None:
        """Binds the addresses and serves. Raises OSError."""
        ...

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:
        """Publishes the health of the part `name`. why: the fault, for doors that can show text."""
        ...

    async def leave(self) -> None:
        """Reports from now on that the gateway will stop."""
        ...

    async def retire(self) -> None:
        """Leaves new connections to other processes, and returns when this one has no connection left."""
        ...

    async def stop(self, grace: float) -> None:
        """Accepts no new call, and lets answers reach their callers within `grace` seconds."""
        ...


async def retire(retirement: Retirement, doors: Sequence[Door]) -> None:
    """Waits until this worker is to retire, retires the doors, and reports when no connection is left."""
    await retirement.begins.wait()
    await asyncio.gather(*(door.retire() for door in doors))
    retirement.over.set()
