"""A policy's state and changes as the emulator recorded them, and functions that wait until all writes are settled."""

import asyncio
from collections.abc import Callable
from functools import cache

import sqlalchemy as sa
from rig import Rig

from gateway.emulator import Emulator
from gateway.emulator.intune import Effect
from gateway.emulator.seeds import EMPTY
from gateway.ledger.databases import database_of


def groups_of(rows: list[dict]) -> set[str]:
    """The IDs of the assigned groups."""
    return {row["target"]["groupId"] for row in rows if "groupId" in row["target"]}


def groups(emulator: Emulator, policy: str = EMPTY) -> set[str]:
    """The groups in Graph now, even if its reads lag."""
    return groups_of(emulator.world.intune.policies[policy].rows)


def effects(emulator: Emulator, policy: str = EMPTY) -> list[Effect]:
    """Every write to the policy that took effect, foreign ones too, oldest first."""
    return [effect for effect in emulator.world.intune.effects if effect.policy == policy]


def added(emulator: Emulator, group: str, policy: str = EMPTY) -> int:
    """How many writes added the group."""
    return sum(group in groups_of(e.after) and group not in groups_of(e.before) for e in effects(emulator, policy))


def removed(emulator: Emulator, policy: str = EMPTY) -> list[str]:
    """The groups that writes removed, in order."""
    return [group for e in effects(emulator, policy) for group in sorted(groups_of(e.before) - groups_of(e.after))]


def repaired(rig: Rig) -> set[str]:
    """The request IDs of the writes whose changes were repaired, by the ledger."""
    return {entry.request_id for entry in rig.entries() if entry.repaired}


async def until(condition: Callable[[], object], seconds: float = 30, pause: float = 0.02) -> None:
    """Waits until the condition holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(pause)


@cache
def reader_of(url: str, password: str | None) -> sa.Engine:
    return database_of(url, password).reader


def unsettled(rig: Rig) -> int:
    """The number of writes in the ledger that are not settled."""
    with reader_of(rig.ledger.url, rig.ledger.password()).connect() as connection:
        query = "SELECT count(*) FROM revisions WHERE state NOT IN ('settled', 'void')"
        return int(connection.exec_driver_sql(query).scalar_one())


async def at_rest(rig: Rig, seconds: float = 40) -> None:
    """Waits until no write can take effect any more and all are settled; outcomes may still be unknown."""
    await until(lambda: not rig.emulator.world.late, seconds)
    await until(lambda: not unsettled(rig) and all(entry.state != "running" for entry in rig.entries()), seconds, 0.1)
