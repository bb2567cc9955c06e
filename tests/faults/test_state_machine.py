"""Many callers, many policies, all six operations, a foreign writer, and everything that can go wrong; a model judges.

`pytest -m long -s tests/faults/test_state_machine.py` is the long run: three seeds, 10,000 operations each, and the naive way
beside it. SEED=n repeats one.
"""

import os
import secrets

import pytest
from actors import Naive, ThroughGateway
from graph_session import graph_session
from rig import gateway
from workload import Report, Workload

from gateway.emulator import Emulator

SETTINGS = {"graph": {"create_route": "assign", "read_back_s": 10, "doubt_s": 0.5}}


def new_seed() -> int:
    return int(os.environ.get("SEED", secrets.randbelow(10**9)))


async def ours(emulator: Emulator, seed: int, operations: int) -> Report:
    async with gateway(emulator, **SETTINGS) as rig:
        # every fourth caller has so little time that it gives up now and then
        workload = Workload(emulator, seed, operations, lambda n: ThroughGateway(rig, 0.4 if n % 4 == 0 else 30))
        report = await workload.run()
    print(f"gateway, seed {seed}: {report}")
    return report


async def theirs(emulator: Emulator, seed: int, operations: int) -> Report:
    async with graph_session(emulator) as session:
        report = await Workload(emulator, seed, operations, lambda _: Naive(emulator, session)).run()
    print(f"naive,   seed {seed}: {report}")
    return report


async def test_nothing_is_lost(live: Emulator):
    report = await ours(live, new_seed(), 512)
    assert report.good, vars(report)
    assert report.outcomes["ok"] > 100


async def test_the_naive_way_loses_rows_in_the_same_workload(live: Emulator):
    report = await theirs(live, new_seed(), 512)
    assert report.lost or report.extra or report.damaged


@pytest.mark.long
@pytest.mark.parametrize("run", range(3))
async def test_long(live: Emulator, run: int):
    seed = new_seed()
    report = await ours(live, seed, 10_000)
    assert report.good, vars(report)
    live.world.requests.clear()
    assert (await theirs(live, seed, 10_000)).lost
