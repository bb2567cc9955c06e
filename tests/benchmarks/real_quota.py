"""Three gateways on one PostgreSQL before one emulator with Graph's quota, 16 elephants and a mouse on 200 policies, by a real
clock: `python tests/benchmarks/real_quota.py [SECONDS]`, 180 by default. Needs PostgreSQL. What is counted as a 429 is the
emulator's, which counts refused requests as Graph does.
"""

import asyncio
import contextlib
import random
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import grpc
from edits_over_the_wire import guid
from postgres_server import running
from rig import LIVE_QUOTA, Failure, Rig, gateway

from gateway.cli.loop import run
from gateway.emulator import Emulator
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

POLICIES, ELEPHANTS, WARM_UP_S = 200, [f"elephant-{number}" for number in range(16)], 40.0
TOKENS = {name: new_token() for name in (*ELEPHANTS, "mouse")}


class Callers:
    """waits: when each call began, and how long it took; by caller."""

    def __init__(self, rigs: list[Rig], seconds: float) -> None:
        self.rigs, self.until = rigs, time.monotonic() + seconds
        self.numbers = iter(range(1, 10**9))
        self.waits: dict[str, list[tuple[float, float]]] = defaultdict(list)

    async def edit(self, name: str, rig: Rig, policy: str) -> None:
        request = {
            "deviceCompliancePolicyId": policy,
            "assignment": {"target": {"group": {"groupId": guid(next(self.numbers))}}},
        }
        rig, began = replace(rig, token=TOKENS[name]), time.monotonic()
        answer = await rig.call("CreateComplianceAssignment", request, timeout=120)
        if isinstance(answer, Failure):
            await asyncio.sleep(answer.retry_after or 1.0)
        else:
            self.waits[name].append((began, time.monotonic() - began))

    async def elephant(self, name: str, number: int) -> None:
        while time.monotonic() < self.until:
            await self.edit(name, self.rigs[number % len(self.rigs)], f"policy-{number}")

    async def mouse(self) -> None:
        while time.monotonic() < self.until:
            await asyncio.sleep(random.uniform(4, 8))
            await self.edit("mouse", random.choice(self.rigs), "mouse")


async def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    async with Emulator() as emulator, contextlib.AsyncExitStack() as stack:
        server = stack.enter_context(contextlib.contextmanager(running)())
        emulator.world.graph.page_size = 1000
        for policy in (*(f"policy-{number}" for number in range(POLICIES)), "mouse"):
            emulator.world.intune.add_policy(policy, policy, [])
        sections = {
            "graph": {"create_route": "assign", **LIVE_QUOTA},
            "ledger": {"url": server.new_database()},
            "callers": {"static": {name: hash_token(token) for name, token in TOKENS.items()}},
        }
        rigs = [await stack.enter_async_context(gateway(emulator, **sections)) for _ in range(3)]
        apart = [
            replace(rig, channel=grpc.aio.insecure_channel(rig.address, options=[("grpc.use_local_subchannel_pool", 1)]))
            for rig in rigs
            for _ in range(2)
        ]
        callers, began = Callers(apart, seconds), time.monotonic()
        works = [callers.elephant(ELEPHANTS[number % len(ELEPHANTS)], number) for number in range(POLICIES)]
        await asyncio.gather(*works, callers.mouse())
        counted = {
            name: len([1 for at, wait in waits if began + WARM_UP_S < at + wait < began + seconds])
            for name, waits in callers.waits.items()
        }
        mouse = sorted(wait for at, wait in callers.waits["mouse"] if at > began + WARM_UP_S)
        elephants = [counted.get(name, 0) for name in ELEPHANTS]
        mean = sum(elephants) / len(elephants)
        requests = list(emulator.world.requests)
        print(f"requests {len(requests)}, of them 429: {sum(r['status'] == 429 for r in requests)}")
        print(f"{sum(counted.values()) / (seconds - WARM_UP_S) / 5:.1%} of the window used")
        unfair = max(abs(number / mean - 1) for number in elephants)
        print(f"elephants {min(elephants)} to {max(elephants)}: at most {unfair:.1%} from their part")
        print(f"mouse p50 {mouse[len(mouse) // 2]:.2f} s, longest {mouse[-1]:.2f} s of {len(mouse)}")
        for rig in apart:
            await rig.channel.close()


if __name__ == "__main__":
    run(main())
