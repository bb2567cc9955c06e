"""The sweep finds changes by others in policies that nobody reads. One gateway at a time does it, with few requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from edits_over_the_wire import guid
from prometheus_client import REGISTRY
from rig import NO_QUOTA, QUICK, Rig, gateway

from gateway import bootstrap
from gateway.assignments.sweep import SHARE, Sweep
from gateway.bootstrap import Core, carrying_out
from gateway.cli.emulator import config_for
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTERED, WINDOWS
from gateway.errors import GatewayError, Reason
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.revision import PolicyName

TENANT = "emulator"


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(60):
        while not (found := await holds()):
            await asyncio.sleep(0.05)
    return found


async def revisions(rig: Rig, kind: str = "") -> list[Any]:
    fields = {"filter": f"kind = {kind}"} if kind else {}
    answer = await rig.call("ListComplianceAssignmentRevisions", {"deviceCompliancePolicyId": WINDOWS, **fields})
    return list(answer.revisions)


async def write(rig: Rig) -> None:
    """Creates an assignment, and waits until the policy is no longer watched."""
    assignment = {"target": {"group": {"groupId": guid(1)}}}
    await rig.call("CreateComplianceAssignment", {"deviceCompliancePolicyId": WINDOWS, "assignment": assignment})

    async def unwatched() -> bool:
        seen = len(rig.emulator.world.requests)
        await asyncio.sleep(4)  # longer than the pauses of a watch in this small world
        return len(rig.emulator.world.requests) == seen

    await until(unwatched)


def change_in_the_portal(emulator: Emulator) -> None:
    rows = emulator.world.intune.policies[WINDOWS].rows
    emulator.world.intune.set_rows(WINDOWS, [row for row in rows if FILTERED not in row["id"]])


async def test_a_change_that_nobody_reads_is_found(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    """Sweeps every 5 s; the configuration's minimum is a minute."""

    def quick(ledger: Any, clients: Any, drift: Any, _: float, *rest: Any) -> Sweep:
        return Sweep(ledger, clients, drift, 5.0, *rest)

    monkeypatch.setattr(bootstrap, "Sweep", quick)
    async with gateway(live, drift={"every": "1m"}) as rig:
        await write(rig)
        change_in_the_portal(live)
        [found] = await until(lambda: revisions(rig, "FOREIGN"))
        assert [change.before.id for change in found.changes] == [f"{WINDOWS}_{FILTERED}"]


@asynccontextmanager
async def core_of(live: Emulator, folder: Path) -> AsyncIterator[Core]:
    values = config_for(live, hash_token(new_token()))
    values["graph"] |= NO_QUOTA | QUICK
    values["ledger"] = {"url": f"sqlite:///{folder}/ledger.db"}
    async with carrying_out(parse(values)) as core:
        yield core


def reads_so_far() -> float:
    return REGISTRY.get_sample_value("compliance_gateway_drift_reads_total", {"tenant": TENANT, "outcome": "OK"}) or 0.0


class Rounds:
    """A ledger in which a policy is due `due` times, and whose lease is lost after `renewals` renewals."""

    def __init__(self, core: Core, due: int, renewals: int = 1000, *, granted: bool = True) -> None:
        self._core, self.left, self.renewals, self.granted, self.released = core, due, renewals, granted, 0

    async def acquire(self, name: Any, after: int = 0) -> Any:
        return await self._core.ledger.acquire(name, after) if self.granted else None

    async def renew(self, name: Any, generation: int) -> bool:
        self.renewals -= 1
        return self.renewals >= 0

    async def release(self, name: Any, generation: int) -> None:
        self.released += 1

    async def due(self, tenant: str, every_s: float) -> Any:
        self.left -= 1
        return PolicyName(tenant, "deviceCompliancePolicies", WINDOWS) if self.left >= 0 else None


@pytest.mark.parametrize(
    ("rounds", "reads", "released"),
    [({"due": 3}, 3, 1), ({"due": 3, "granted": False}, 0, 0), ({"due": 3, "renewals": 2}, 2, 1)],
    ids=["ours", "another gateway is at it", "another gateway took over"],
)
async def test_one_gateway_sweeps_at_a_time(live: Emulator, tmp_path: Path, rounds: dict[str, Any], reads: int, released: int):
    async with core_of(live, tmp_path) as core:
        ledger = Rounds(core, **rounds)
        sweep = Sweep(ledger, core.clients, core.drift, 60.0, 1_000_000, 60.0)
        before = reads_so_far()
        await sweep(TENANT)
        assert (reads_so_far() - before, ledger.released) == (reads, released)


async def test_a_sweep_rests_as_long_as_its_share_asks_for(live: Emulator, tmp_path: Path):
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    live.world.graph.page_size = 1
    async with core_of(live, tmp_path) as core:
        sweep = Sweep(Rounds(core, 2), core.clients, core.drift, 60.0, 1000, 60.0, rest)
        seen = len(live.world.requests)
        await sweep(TENANT)
        requests = len(live.world.requests) - seen
        assert requests > 4
        assert sum(rests) == pytest.approx(requests * 20 / (SHARE * 1000))


async def test_what_cannot_be_read_ends_no_sweep(live: Emulator, tmp_path: Path):
    live.world.intune.policies.pop(WINDOWS)
    async with core_of(live, tmp_path) as core:
        await Sweep(ledger := Rounds(core, 2), core.clients, core.drift, 60.0, 1_000_000, 60.0)(TENANT)
        assert ledger.left < 0


async def test_a_ledger_that_is_down_ends_it(live: Emulator, tmp_path: Path):
    async with core_of(live, tmp_path) as core:
        ledger = Rounds(core, 2)

        async def down(*_: Any) -> Any:
            raise GatewayError(Reason.LEDGER_UNAVAILABLE)

        ledger.due = down
        await Sweep(ledger, core.clients, core.drift, 60.0, 1_000_000, 60.0)(TENANT)
        assert ledger.released == 1
