"""Many callers, many policies, all six operations, foreign writers, and all kinds of faults; the oracle judges.

`pytest -m long -rP tests/faults/test_state_machine.py` is the long run, of 50,000 operations in ten tests. SEED=n repeats one.
"""

import asyncio
import os
import random
import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from actors import Naive, ThroughGateways
from fleet import LAG_S, Fleet, one, three
from graph_session import graph_session
from oracle import Evidence, Verdict, judge
from postgres_server import Server as Postgres
from workload import Load, Workload

from gateway.emulator import Emulator

Start = Callable[[], AbstractAsyncContextManager[Fleet]]
Trouble = Callable[[Fleet, Workload], Awaitable[None]]
LONG = 5  # seeds


@dataclass
class Run:
    """The result of a run. figures: the columns of the table. unsettled: policies."""

    verdict: Verdict
    figures: dict[str, Any]
    unsettled: list[str]

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.unsettled


def new_seed() -> int:
    return int(os.environ.get("SEED", secrets.randbelow(10**9)))


async def ours(emulator: Emulator, seed: int, load: Load, start: Start, trouble: Trouble) -> Run:
    async with start() as fleet:
        workload = Workload(emulator, seed, load, lambda n: ThroughGateways(fleet.rigs, random.Random(seed + n)))
        starts = workload.prepare()
        worry = asyncio.create_task(trouble(fleet, workload))
        await workload.run()
        await worry
        unsettled = await fleet.settle()
        evidence = Evidence(
            starts,
            workload.sets(),
            emulator.world.intune.effects,
            workload.asks,
            workload.all_condensed(),
            fleet.entries(),
            fleet.told(),
            fleet.repairs(),
            LAG_S,
            fleet.written(),
            fleet.late,
        )
        verdict = judge(evidence)
        figures = figures_of(seed, workload, verdict) | dict(fleet.trouble) | {"repairs": len(evidence.repairs)}
    return Run(verdict, figures | {"unsettled": len(unsettled)}, unsettled)


async def theirs(emulator: Emulator, seed: int, load: Load) -> Run:
    async with graph_session(emulator) as session:
        workload = Workload(emulator, seed, load, lambda _: Naive(emulator, session))
        starts = workload.prepare()
        await workload.run()
        evidence = Evidence(
            starts, workload.sets(), emulator.world.intune.effects, workload.asks, workload.all_condensed(), lag=LAG_S
        )
        verdict = judge(evidence)
    return Run(verdict, figures_of(seed, workload, verdict), [])


def figures_of(seed: int, workload: Workload, verdict: Verdict) -> dict[str, Any]:
    figures = workload.figures
    return {
        "seed": seed,
        "operations": figures.operations,
        **figures.answers,
        "attempts": figures.attempts,
        "unknown": figures.unknown,
        "faults": figures.faults.total(),
        "late": figures.faults["late"],
        "foreign writes": figures.foreign,
        "undone": figures.undone,
        **verdict.counts,
        **{name: len(found) for name, found in verdict.wrong.items()},
    }


def now_and_then(seed: int, seconds: float) -> Trouble:
    """Kills, pauses and lost leases at random times. seconds: between two of them, on average."""
    return lambda fleet, workload: fleet.worry(seed, seconds, lambda: workload.over)


def table(runs: Sequence[Run]) -> str:
    """A line for each figure, a column for each run, and the sum."""
    columns: dict[str, list[int]] = defaultdict(lambda: [0] * len(runs))
    for number, run in enumerate(runs):
        for name, value in run.figures.items():
            columns[name][number] = value
    lines = [f"{name:32}" + "".join(f"{value:>11}" for value in (*row, sum(row))) for name, row in columns.items()]
    return "\n" + "\n".join(lines)


@pytest.mark.machine
async def test_one_gateway_loses_nothing(live: Emulator):
    seed = new_seed()
    run = await ours(live, seed, Load(300), lambda: one(live), now_and_then(seed, 1.0))
    print(table([run]))
    assert run.good, f"{run.unsettled} {run.verdict}"
    assert run.figures["OK"] > 150


async def test_three_gateways_lose_nothing(live: Emulator, postgres: Postgres, tmp_path: Path):
    seed = new_seed()
    run = await ours(live, seed, Load(150), lambda: three(live, postgres.new_database(), tmp_path), now_and_then(seed, 1.0))
    print(table([run]))
    assert run.good, f"{run.unsettled} {run.verdict}"
    assert run.figures["OK"] > 60


async def test_the_naive_way_loses_rows_in_the_same_workload(live: Emulator):
    run = await theirs(live, new_seed(), Load(800))
    print(table([run]))
    assert run.verdict.wrong["lost"]
    assert run.verdict.wrong["undead"]


@pytest.mark.long
@pytest.mark.parametrize("number", range(LONG))
@pytest.mark.parametrize("variant", ["one", "three"])
async def test_long(live: Emulator, postgres: Postgres, tmp_path: Path, variant: str, number: int):
    """50,000 operations in all, 10,000 of them undone again: half of them with one gateway, half with three."""
    seed = new_seed()
    start = (lambda: one(live)) if variant == "one" else lambda: three(live, postgres.new_database(), tmp_path)
    run = await ours(live, seed, Load(5_056), start, now_and_then(seed, 3.0))
    print(variant, table([run]))
    assert run.good, f"{run.unsettled} {run.verdict}"
    assert run.figures["operations"] >= 50_000 / (2 * LONG)
    assert run.figures["undone"] >= 10_000 / (2 * LONG)


@pytest.mark.long
async def test_the_naive_way_loses_rows_in_the_long_run_as_well(live: Emulator):
    assert (await theirs(live, new_seed(), Load(5_000))).verdict.wrong["lost"]
