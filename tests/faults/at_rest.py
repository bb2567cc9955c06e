"""What became of a policy, as the emulator saw it, and waiting until nothing is under way any more."""

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
    """The ids of the groups that are assigned."""
    return {row["target"]["groupId"] for row in rows if "groupId" in row["target"]}


def groups(emulator: Emulator, policy: str = EMPTY) -> set[str]:
    """Those that Graph has now, whatever its reads show."""
    return groups_of(emulator.world.intune.policies[policy].rows)


def effects(emulator: Emulator, policy: str = EMPTY) -> list[Effect]:
    """Every write to the policy that took effect, foreign ones too, oldest first."""
    return [effect for effect in emulator.world.intune.effects if effect.policy == policy]


def added(emulator: Emulator, group: str, policy: str = EMPTY) -> int:
    """How often the group was not there, and then it was."""
    return sum(group in groups_of(e.after) and group not in groups_of(e.before) for e in effects(emulator, policy))


def removed(emulator: Emulator, policy: str = EMPTY) -> list[str]:
    """The groups that writes took away, one after the other."""
    return [group for e in effects(emulator, policy) for group in sorted(groups_of(e.before) - groups_of(e.after))]


def repaired(rig: Rig) -> set[str]:
    """The request ids of the writes whose changes were put right later, by the ledger."""
    return {entry.request_id for entry in rig.entries() if entry.repaired}


async def until(condition: Callable[[], object], seconds: float = 30, pause: float = 0.02) -> None:
    """Until it holds. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(pause)


@cache
def reader_of(url: str, password: str | None) -> sa.Engine:
    return database_of(url, password).reader


def unsettled(rig: Rig) -> int:
    """How many writes the ledger still has an eye on."""
    with reader_of(rig.ledger.url, rig.ledger.password()).connect() as connection:
        query = "SELECT count(*) FROM revisions WHERE state NOT IN ('settled', 'void')"
        return int(connection.exec_driver_sql(query).scalar_one())


async def at_rest(rig: Rig, seconds: float = 40) -> None:
    """Until no write can take effect any more and all are settled; outcomes may still be unknown."""
    await until(lambda: not rig.emulator.world.late, seconds)
    await until(lambda: not unsettled(rig) and all(entry.state != "running" for entry in rig.entries()), seconds, 0.1)
