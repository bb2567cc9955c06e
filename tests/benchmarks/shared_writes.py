"""1,000 creates by 20 callers (50 in flight each) on 10 policies under the live quota: the gateway, which lets edits of one
policy share a write, beside one `/assign` per create. `python tests/benchmarks/shared_writes.py`; takes about four minutes.

The other way is a careful one: one writer per policy, read, add, write, and Retry-After is kept; it loses nothing either.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from edits_over_the_wire import callers
from graph_session import graph_session
from rich.console import Console
from rich.table import Table
from rig import LIVE_QUOTA, Failure, gateway

from gateway.cli.loop import run
from gateway.emulator import Emulator
from gateway.graph.retries import parse_retry_after

CALLERS, IN_FLIGHT, POLICIES = 20, 50, [f"policy-{i}" for i in range(10)]
CREATES = CALLERS * IN_FLIGHT
PAGE_SIZE = 1000  # the emulator's small pages are for tests
Create = Callable[[str, str], Awaitable[None]]


def group_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


async def measure(emulator: Emulator, create: Create) -> tuple[int, int, float]:
    """(writes, requests, seconds) for all creates at once."""
    emulator.world.requests.clear()
    started = time.perf_counter()
    await asyncio.gather(*(create(POLICIES[i % len(POLICIES)], group_id(i)) for i in range(CREATES)))
    seconds = time.perf_counter() - started
    rows = sum(len(emulator.world.intune.policies[policy].rows) for policy in POLICIES)
    assert rows == CREATES, f"{rows} rows, not {CREATES}"
    accepted = [r for r in emulator.world.requests if r["status"] != 429]
    return sum(r["method"] == "POST" for r in accepted), len(accepted), seconds


async def shared(emulator: Emulator) -> tuple[int, int, float]:
    graph = {"create_route": "assign", **LIVE_QUOTA}
    async with gateway(emulator, graph=graph) as rig, callers(rig, CALLERS) as clients:
        turn = cycle(clients)

        async def create(policy: str, group: str) -> None:
            request = {"deviceCompliancePolicyId": policy, "assignment": {"target": {"group": {"groupId": group}}}}
            answer = await next(turn).call("CreateComplianceAssignment", request, timeout=600)
            assert not isinstance(answer, Failure), answer

        return await measure(emulator, create)


async def one_each(emulator: Emulator) -> tuple[int, int, float]:
    locks = {policy: asyncio.Lock() for policy in POLICIES}
    async with graph_session(emulator) as session:

        async def send(method: str, policy: str, action: str, body: object = None) -> dict:
            url = f"{emulator.root}/beta/deviceManagement/deviceCompliancePolicies/{policy}/{action}"
            while True:
                async with session.request(method, url, json=body) as response:
                    if response.status != 429:
                        return (await response.json(content_type=None)) or {}
                    await asyncio.sleep(parse_retry_after(response.headers.get("Retry-After")) or 1.0)

        async def create(policy: str, group: str) -> None:
            async with locks[policy]:
                rows = (await send("GET", policy, "assignments"))["value"]
                target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": group}
                await send("POST", policy, "assign", {"assignments": [*rows, {"target": target}]})

        return await measure(emulator, create)


async def main() -> None:
    table = Table("way", "creates", "writes", "requests", "seconds", "creates/s", title=f"{CREATES} creates, 10 policies")
    results = []
    for name, way in (("gateway, shared writes", shared), ("one /assign per create", one_each)):
        async with Emulator() as emulator:
            emulator.world.graph.page_size = PAGE_SIZE
            for policy in POLICIES:
                emulator.world.intune.add_policy(policy, policy, [])
            writes, requests, seconds = await way(emulator)
        results.append((writes, seconds))
        table.add_row(name, str(CREATES), str(writes), str(requests), f"{seconds:.1f}", f"{CREATES / seconds:.1f}")
    (our_writes, ours), (their_writes, theirs) = results
    table.add_row("ratio", "", f"1 : {their_writes / our_writes:.0f}", "", f"1 : {theirs / ours:.0f}", "")
    Console().print(table)


if __name__ == "__main__":
    run(main())
