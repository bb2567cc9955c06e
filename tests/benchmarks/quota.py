"""How callers and replicas share the quota: the gateway's own code under a clock that jumps, before the emulator's throttle.
`python tests/benchmarks/quota.py [--plot quota.png]`; ten minutes of it take some seconds of a real clock. What comes of it is
in docs/how-to/share-the-quota.md.

An elephant keeps an edit under way on each of its policies. A mouse has one edit every few seconds. A call has 60 s.
"""

import argparse
import asyncio
import random
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import Console
from rich.table import Table
from virtual_time import VirtualLoop

from gateway.emulator.throttle import Throttle
from gateway.errors import GatewayError
from gateway.graph.quota import WINDOW_S, Bid, Bidder, Quota, Sharing, Weight
from gateway.graph.retries import parse_retry_after
from gateway.ledger.shares import ShareRow, Watched, granted
from gateway.quotas import BEAT_S, Replicas
from gateway.stake import Granted, Stake

CALL_S, WARM_UP_S = 60.0, 60.0
GRAPH_S = (0.05, 0.4)  # how long Graph takes for what a write reads before, and for its answer


@dataclass(frozen=True)
class Scenario:
    """elephants, mice: by name, their weights. policies: of all elephants. lost: a replica dies in the middle. outside: writes
    a second of another app in the tenant, of which Graph takes 200 in 20 s of all. roaming: who was refused comes back to any
    replica, not to the same."""

    name: str
    replicas: int = 1
    elephants: dict[str, float] = field(default_factory=dict)
    mice: dict[str, float] = field(default_factory=dict)
    policies: int = 200
    lost: bool = False
    outside: float = 0.0
    seconds: float = 600.0
    within: float = CALL_S
    roaming: bool = False


class Shared:
    """The ledger's table of shares, in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], ShareRow] = {}
        self.alive: set[int] = set()


class Member:
    """What one replica sees of it: a gateway.ledger.ledger.Shares."""

    is_shared = True

    def __init__(self, shared: Shared, number: int) -> None:
        self._shared, self.number, self._watched = shared, number, Watched()
        shared.alive.add(number)

    async def share(self, stakes: Sequence[Stake]) -> list[Granted]:
        return [self._say(stake) for stake in stakes]

    def _say(self, stake: Stake) -> Granted:
        rows = [row for (window, owner), row in self._shared.rows.items() if window == stake.window and owner != self.number]
        living, held, over, old = self._watched.counting(rows, self._shared.alive, asyncio.get_running_loop().time())
        for row in old:
            self._shared.rows[stake.window, row.owner] = row
        for row in over:
            del self._shared.rows[stake.window, row.owner]
        mine = self._shared.rows.get((stake.window, self.number))
        row, answer = granted(self.number, stake, living | ({self.number: mine} if mine else {}), held)
        self._shared.rows[stake.window, self.number] = row
        return answer


class Replica:
    """A gateway, as far as the quota is concerned."""

    def __init__(self, shared: Shared, number: int, sharing: Sharing) -> None:
        self.quota, self.member = Quota(100, 1000, sharing), Member(shared, number)
        self.replicas = Replicas({"t": self.quota}, self.member)
        self.beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await self.replicas.ask()
            await asyncio.sleep(BEAT_S)


class World:
    """Callers, replicas and Graph. waits: of turns, by caller; told, kept: times that were told and have come, and those that
    were kept; grown: by how many MB the process has grown after the first minute, with what is counted here."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.scenario, self.rng, self.graph = scenario, random.Random(seed), Throttle()
        self.waits: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.writes: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.told = self.kept = 0
        self.grown = 0.0
        self.shared = Shared()

    async def run(self) -> None:
        scenario = self.scenario
        weights = {name: Weight(weight) for name, weight in {**scenario.elephants, **scenario.mice}.items()}
        self.fleet = [Replica(self.shared, number, Sharing(weights)) for number in range(1, scenario.replicas + 1)]
        await asyncio.sleep(4 * BEAT_S)  # replicas are there before callers
        names = list(scenario.elephants)
        began = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(self.elephant(names[n % len(names)], n)) for n in range(scenario.policies if names else 0)]
        tasks += [asyncio.create_task(self.mouse(name)) for name in scenario.mice]
        tasks += [asyncio.create_task(self.other_app())] if scenario.outside else []
        if scenario.lost:
            await asyncio.sleep(scenario.seconds / 2)
            lost = self.fleet.pop()
            lost.beating.cancel()
            self.shared.alive.discard(lost.member.number)
        await asyncio.sleep(began + WARM_UP_S - asyncio.get_running_loop().time())
        memory = peak_mb()
        await asyncio.sleep(began + scenario.seconds - asyncio.get_running_loop().time())
        self.grown = peak_mb() - memory
        for task in (*tasks, *(replica.beating for replica in self.fleet)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def elephant(self, name: str, policy: int) -> None:
        while True:
            await self.edit(name, f"{policy}", self.fleet[policy % len(self.fleet)])

    async def mouse(self, name: str) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(4, 8))
            await self.edit(name, "mouse", self.rng.choice(self.fleet))

    async def other_app(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(self.scenario.outside))
            self.graph.admit("intune", "tenant", "another app", write=True, now=asyncio.get_running_loop().time())

    async def edit(self, name: str, policy: str, replica: Replica, *, is_told: bool = False) -> None:
        """One, with as many calls as it takes."""
        loop, turns = asyncio.get_running_loop(), replica.quota.writes
        began = loop.time()
        try:
            await turns.take(began + self.scenario.within, Bid.of(Bidder(name, policy)))
        except GatewayError as error:
            await asyncio.sleep((error.retry_after or 1.0) + self.rng.uniform(0, 0.5))
            self.told += 1
            is_lost = replica not in self.fleet
            other = self.rng.choice(self.fleet) if self.scenario.roaming or is_lost else replica
            await self.edit(name, policy, other, is_told=True)
            return
        self.kept += is_told
        self.waits[name].append((began, loop.time() - began))
        await asyncio.sleep(self.rng.uniform(*GRAPH_S) / 2)
        refused = self.graph.admit("intune", "tenant", "gateway", write=True, now=loop.time())
        self.statuses[429 if refused is not None else 204] += 1
        if refused is None:
            self.writes.append(loop.time())
        await asyncio.sleep(self.rng.uniform(*GRAPH_S) / 2)
        turns.answered()
        if refused is None:
            turns.accepted()
        else:
            turns.refused(parse_retry_after(refused) if "GMT" not in refused else None)

    # What came of it.

    def since(self, name: str) -> list[float]:
        start = 1000.0 + WARM_UP_S
        return [wait for began, wait in self.waits[name] if began >= start]

    @property
    def use(self) -> float:
        """Of the window, after the beginning."""
        later = [moment for moment in self.writes if moment >= 1000.0 + WARM_UP_S]
        return len(later) / (self.scenario.seconds - WARM_UP_S) * WINDOW_S / 100

    @property
    def unfairness(self) -> float:
        """By how much an elephant's part differs from its weight's, at most."""
        total, heavy = sum(len(self.since(name)) for name in self.scenario.elephants), sum(self.scenario.elephants.values())
        parts = [
            len(self.since(name)) / total * heavy / weight if total else 1.0 for name, weight in self.scenario.elephants.items()
        ]
        return max((abs(part - 1) for part in parts), default=0.0)


def peak_mb() -> float:
    """The most memory that the process has had; on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(int(len(values) * part), len(values) - 1)] if values else float("nan")


EVEN = {f"elephant {number}": 1.0 for number in range(16)}
SCENARIOS = (
    Scenario("3 replicas, 16 elephants, a mouse", 3, EVEN, {"mouse": 1.0}),
    Scenario("1 replica, the same", 1, EVEN, {"mouse": 1.0}),
    Scenario("10 replicas, the same", 10, EVEN, {"mouse": 1.0}),
    Scenario("3 replicas, weights 1, 2, 4, 8", 3, {f"elephant {n}": float(2**n) for n in range(4)}, {"mouse": 1.0}),
    Scenario("3 replicas, weights 0.01 and 100", 3, {"light": 0.01, "heavy": 100.0}, {"mouse": 1.0}),
    Scenario("3 replicas, one dies", 3, EVEN, {"mouse": 1.0}, lost=True),
    Scenario("3 replicas, another app writes 7 a second", 3, EVEN, {"mouse": 1.0}, outside=7.0),
    Scenario("1 replica, one elephant", 1, {"elephant": 1.0}),
    Scenario("1 replica, 1,000 mice", 1, {}, {f"mouse {n}": 1.0 for n in range(1000)}),
    Scenario("1 replica, 10 times too much, calls of 5 s", 1, EVEN, {"mouse": 1.0}, policies=1000, within=5.0),
    Scenario("3 replicas, the same", 3, EVEN, {"mouse": 1.0}, policies=1000, within=5.0),
    Scenario("3 replicas, the same, back to any", 3, EVEN, {"mouse": 1.0}, policies=1000, within=5.0, roaming=True),
)


class Watching(VirtualLoop):
    """longest: seconds of a real clock that one turn of the loop took."""

    longest = 0.0

    def _run_once(self) -> None:
        began = time.perf_counter()
        super()._run_once()
        self.longest = max(self.longest, time.perf_counter() - began)


def carried_out(scenario: Scenario) -> tuple[World, float, float]:
    """And seconds of a real clock: all, and the longest turn of the loop."""
    world, began = World(scenario), time.perf_counter()
    with asyncio.Runner(loop_factory=Watching) as runner:
        with suppress(asyncio.CancelledError):
            runner.run(world.run())
        longest = runner.get_loop().longest
    return world, time.perf_counter() - began, longest


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--plot", help="a PNG of the first scenario; needs matplotlib")
    parser.add_argument("--only", type=int, help="the number of one scenario, from 0")
    arguments = parser.parse_args()
    figures = (
        "writes",
        "429",
        "use",
        "unfair",
        "mouse p50",
        "mouse p99",
        "all p99",
        "told, kept",
        "real s",
        "longest ms",
        "MB more",
    )
    table, worlds = Table("scenario", *figures, title="ten minutes each"), []
    for scenario in SCENARIOS if arguments.only is None else (SCENARIOS[arguments.only],):
        world, seconds, longest = carried_out(scenario)
        worlds.append(world)
        mice = [wait for name in scenario.mice for wait in world.since(name)]
        everyone = [wait for name in world.waits for wait in world.since(name)]
        table.add_row(
            scenario.name,
            str(world.statuses[204]),
            str(world.statuses[429]),
            f"{world.use:.1%}",
            f"{world.unfairness:.1%}",
            f"{quantile(mice, 0.5):.2f}",
            f"{quantile(mice, 0.99):.2f}",
            f"{quantile(everyone, 0.99):.1f}",
            f"{world.kept / world.told:.1%} of {world.told}" if world.told else "",
            f"{seconds:.1f}",
            f"{longest * 1000:.0f}",
            f"{world.grown:.1f}",
        )
    Console(width=180).print(table)
    if arguments.plot:
        from quota_plot import plotted  # noqa: PLC0415 - needs an extra

        plotted(worlds[0], arguments.plot)


if __name__ == "__main__":
    main()
