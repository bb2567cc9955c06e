"""What every door is to who opens and closes them."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from gateway.worker import Retirement


class Door(Protocol):
    """Where callers come in."""

    async def start(self) -> None:
        """Binds and serves. Raises OSError."""
        ...

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:
        """Tells callers how `name` is; why: where the door has room for words."""
        ...

    async def leave(self) -> None:
        """Says from now on that it will stop."""
        ...

    async def retire(self) -> None:
        """Leaves new connections to other processes, and returns when it has none."""
        ...

    async def stop(self, grace: float) -> None:
        """Takes no new call, and lets answers that are under way reach their callers within `grace` seconds."""
        ...


async def retire(retirement: Retirement, doors: Sequence[Door]) -> None:
    """When it is to, leaves new connections to other processes, and says when those that are here have ended."""
    await retirement.begins.wait()
    await asyncio.gather(*(door.retire() for door in doors))
    retirement.over.set()
