"""One connection sends frames without end: streams that it opens and resets (CVE-2023-44487), or meaningless frames. Others'
calls are answered meanwhile, and memory does not grow."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from frame_flood import FLOODS
from rig import Failure, gateway
from test_attack_table import gauge

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

FLOOD = Path(__file__).with_name("frame_flood.py")
CALLS, AT_ONCE = 60, 6
PIECES, MOST_MIB = 1_000, 64
REQUEST = {"deviceCompliancePolicyId": EMPTY}


@asynccontextmanager
async def flooded(address: str, kind: str) -> AsyncIterator[Counter[str]]:
    """A flood that runs inside the block. Yields a counter of the pieces, 1 MiB each, that were sent."""
    flood = await asyncio.create_subprocess_exec(sys.executable, FLOOD, address, kind, stdout=asyncio.subprocess.PIPE)
    assert flood.stdout
    heard: Counter[str] = Counter()

    async def listen() -> None:
        async for _ in flood.stdout:
            heard["pieces"] += 1

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(30):
            while heard["pieces"] < 10:
                await asyncio.sleep(0.01)
        yield heard
    finally:
        flood.kill()
        await flood.wait()
        await listening


@pytest.mark.machine
async def test_who_resets_streams_without_end_cancels_no_call_of_others(live: Emulator):
    async with gateway(live) as rig, flooded(rig.address, "resets") as heard:
        answers = []
        for _ in range(CALLS // AT_ONCE):
            calls = (rig.call("ListComplianceAssignments", REQUEST, timeout=30) for _ in range(AT_ONCE))
            answers += await asyncio.gather(*calls)
        refused = Counter(answer.status for answer in answers if isinstance(answer, Failure))
        print(f"{heard['pieces']} MiB of resets were sent while {CALLS} calls of others were answered")
        assert refused == {}
        assert heard["pieces"] > 10, "it went on"


@pytest.mark.machine
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc is Linux's")
@pytest.mark.parametrize("kind", [kind for kind in FLOODS if kind != "resets"])
async def test_frames_that_mean_nothing_fill_no_memory(live: Emulator, kind: str):
    async with gateway(live) as rig:
        assert not isinstance(await rig.call("ListComplianceAssignments", REQUEST), Failure)
        before, _ = gauge()
        most = before
        async with flooded(rig.address, kind) as heard, asyncio.timeout(120):
            while heard["pieces"] < PIECES:
                assert not isinstance(await rig.call("ListComplianceAssignments", REQUEST, timeout=30), Failure)
                most = max(most, gauge()[0])
                await asyncio.sleep(0.05)
        print(f"{heard['pieces']} MiB of {kind} frames: {most - before:+.0f} MiB")
        assert most - before < MOST_MIB
