"""What the ledger adds to a create: a SQLite ledger, PostgreSQL, and one that keeps nothing, in turns in one run;
a caller alone, and 64 at once, with a Graph that answers from memory. `python tests/benchmarks/ledger_cost.py`."""

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import grpc
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from fake_ledger import NoLedger
from postgres_server import BINARIES, Server
from rich.console import Console
from rich.table import Table

from gateway import bootstrap
from gateway.cli.emulator import config_for
from gateway.cli.loop import run
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.graph.transports import Request, Response, Settings
from gateway.odata import dumps, loads
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

CREATES, ROUNDS = 640, 5
CREATE = "/compliance_gateway.v1.ComplianceAssignmentService/CreateComplianceAssignment"


class FromMemory:
    """A transport whose Graph has policies that remember what was assigned."""

    def __init__(self, settings: Settings) -> None:
        self._rows: dict[str, list[Any]] = {}

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        policy = request.url.split("/")[-2]
        if request.method == "POST":
            rows = loads(request.body or b"")["assignments"]
            self._rows[policy] = [{"source": "direct", **row, "id": f"{policy}_{i}"} for i, row in enumerate(rows)]
            return Response(200, {}, b"")
        return Response(200, {}, dumps({"value": self._rows.get(policy, [])}).encode())

    async def close(self) -> None:
        pass


async def creates(channel: grpc.aio.Channel, metadata: Any, at_once: int, name: str) -> tuple[float, float]:
    """Seconds and process CPU seconds for each create; every one on a policy of its own."""
    call = channel.unary_unary(CREATE)
    numbers = iter(range(CREATES))

    async def some() -> None:
        for number in numbers:
            request = pb.CreateComplianceAssignmentRequest(device_compliance_policy_id=f"{name}-{number}")
            request.assignment.target.all_devices.SetInParent()
            await call(request.SerializeToString(), metadata=metadata)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some() for _ in range(at_once)))
    return (time.perf_counter() - started) / CREATES, (time.process_time() - cpu) / CREATES


async def main() -> None:
    plug_in = bootstrap.plug_in
    token = new_token()
    metadata = (("authorization", f"Bearer {token}"),)
    server = Server() if BINARIES else None
    times: dict[tuple[str, int], list[tuple[float, float]]] = {}
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator())
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd()))
        kinds = {"none": "sqlite:///none", "SQLite": f"sqlite:///{folder}/ledger.db"}
        kinds |= {"PostgreSQL": server.new_database()} if server else {}
        channels = {}
        for kind, url in kinds.items():
            values = config_for(emulator, hash_token(token))
            values["graph"] |= {"requests_per_20s": 1_000_000, "writes_per_20s": 100_000, "create_route": "assign"}
            values["server"]["drain_notice_s"] = 0
            values["ledger"] = {"url": url}
            fakes = {"transports": FromMemory} | ({"ledgers": NoLedger} if kind == "none" else {})
            bootstrap.plug_in = lambda group, name, fakes=fakes: fakes.get(group) or plug_in(group, name)
            door = await stack.enter_async_context(bootstrap.running(parse(values)))
            channels[kind] = await stack.enter_async_context(grpc.aio.insecure_channel(door.grpc))
        for number in range(ROUNDS):
            for at_once in (1, 64):
                for kind, channel in channels.items():
                    name = f"{kind}-{at_once}-{number}"
                    times.setdefault((kind, at_once), []).append(await creates(channel, metadata, at_once, name))
    if server:
        server.remove()
    table = Table("ledger", "at once", "ms a create", "CPU µs a create", title=f"median of {ROUNDS} rounds of {CREATES}")
    for (kind, at_once), found in times.items():
        wall, cpu = (median(values) for values in zip(*found, strict=True))
        table.add_row(kind, str(at_once), f"{wall * 1e3:.2f}", f"{cpu * 1e6:.0f}")
    Console().print(table)


if __name__ == "__main__":
    run(main())
