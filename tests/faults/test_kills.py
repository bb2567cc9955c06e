"""The gateway is killed while callers write, at random and at named points; reads lag, and requests that Graph works on take
effect late. The oracle judges.

`pytest -m long -rP tests/faults/test_kills.py` is the long run: 120 kills with each database. SEED=n repeats one.
"""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import pytest
from fleet import Fleet, processes
from killing import POINTS, reach
from rig import at_this_pace
from test_state_machine import Trouble, new_seed, ours, table
from workload import Load, Workload

from gateway.emulator import Emulator

DATABASES = ["sqlite", "postgresql"]
ENDLESS = 1_000_000


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres").new_database()


async def acknowledged(workload: Workload, more: int) -> None:
    """Waits until so many more edits are acknowledged: a gateway that is killed before any could lose none."""
    wanted = workload.figures.answers["OK"] + more
    with suppress(TimeoutError):
        async with asyncio.timeout(at_this_pace(5)):
            while workload.figures.answers["OK"] < wanted:
                await asyncio.sleep(0.02)


def kills(number: int, seed: int) -> Trouble:
    """Kills the gateway `number` times, at one point after the other, and then ends the workload."""

    async def kill(fleet: Fleet, workload: Workload) -> None:
        rng, [victim] = random.Random(seed), fleet.victims
        for turn in range(number):
            await acknowledged(workload, rng.randrange(10))
            point = list(POINTS)[turn % len(POINTS)]
            await reach(workload.emulator, point, rng)
            await victim.end()
            fleet.trouble[f"killed {point}"] += 1
            await victim.start()
        workload.enough = True

    return kill


async def run(live: Emulator, ledger_url: str, folder: Path, number: int) -> None:
    seed = new_seed()
    load = Load(ENDLESS, callers=24, faults_each=60)
    found = await ours(live, seed, load, lambda: processes(live, ledger_url, folder, 1), kills(number, seed))
    print(table([found]))
    assert found.good, f"{found.unsettled} {found.verdict}"
    assert found.figures["OK"] >= number / 2, "however slow the machine is"
    assert found.figures["attempts"] > found.figures["operations"]


@pytest.mark.machine
@pytest.mark.parametrize("ledger_url", DATABASES, indirect=True)
async def test_nothing_is_lost_or_doubled(live: Emulator, ledger_url: str, tmp_path: Path):
    await run(live, ledger_url, tmp_path, len(POINTS))


@pytest.mark.long
@pytest.mark.parametrize("ledger_url", DATABASES, indirect=True)
async def test_long(live: Emulator, ledger_url: str, tmp_path: Path):
    await run(live, ledger_url, tmp_path, 120)
