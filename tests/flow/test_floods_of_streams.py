"""One connection opens streams and resets them without end (CVE-2023-44487): the calls of others are answered meanwhile."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

FLOOD = Path(__file__).with_name("reset_flood.py")
CALLS, AT_ONCE = 60, 6


@pytest.mark.machine
async def test_who_resets_streams_without_end_cancels_no_call_of_others(live: Emulator):
    async with gateway(live) as rig:
        flood = await asyncio.create_subprocess_exec(sys.executable, FLOOD, rig.address, stdout=asyncio.subprocess.PIPE)
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
            request = {"deviceCompliancePolicyId": EMPTY}
            answers = []
            for _ in range(CALLS // AT_ONCE):
                calls = (rig.call("ListComplianceAssignments", request, timeout=30) for _ in range(AT_ONCE))
                answers += await asyncio.gather(*calls)
        finally:
            flood.kill()
            await flood.wait()
            await listening
        refused = Counter(answer.status for answer in answers if isinstance(answer, Failure))
        print(f"{heard['pieces']} MiB of resets were sent while {CALLS} calls of others were answered")
        assert refused == {}
        assert heard["pieces"] > 10, "it went on"
