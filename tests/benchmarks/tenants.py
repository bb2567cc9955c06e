"""What a tenant costs: start-up and memory of `serve` with 1 and with 500 tenants, and how many tokens it fetched before the
first call. `python tests/benchmarks/tenants.py`."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import tomli_w
from rich.console import Console
from rich.table import Table
from rig import command

from gateway.cli.emulator import config_for, tenant_of
from gateway.cli.loop import run
from gateway.emulator import Emulator
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

COUNTS = (1, 500)


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / (1 << 20)


async def measure(emulator: Emulator, count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        values = config_for(emulator, hash_token(new_token()))
        values["server"]["drain_notice_s"] = 0
        values["tenants"] = {f"t{number}": tenant_of(emulator) for number in range(count)}
        path = Path(folder) / "gateway.toml"
        path.write_text(tomli_w.dumps(values))
        started = time.perf_counter()
        process, _ = await command("serve", "--config", str(path))
        ready = time.perf_counter() - started
        await asyncio.sleep(1)
        memory = resident(process.pid)
        process.terminate()
        await process.communicate()
    return ready, memory


async def main() -> None:
    async with Emulator() as emulator:
        found = [await measure(emulator, count) for count in COUNTS]
        asked = emulator.world.entra.token_requests
    table = Table("tenants", "ready after s", "resident MiB")
    for count, (ready, memory) in zip(COUNTS, found, strict=True):
        table.add_row(str(count), f"{ready:.2f}", f"{memory:.0f}")
    Console().print(table)
    each = (found[1][1] - found[0][1]) / (COUNTS[1] - COUNTS[0]) * 1024
    Console().print(f"{each:.0f} KiB a tenant; {asked} token requests before the first call")


if __name__ == "__main__":
    run(main())
