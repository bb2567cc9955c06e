"""What the ledger adds to a create: a SQLite ledger, PostgreSQL, and one that keeps nothing, in turns in one run;
a caller alone, and 64 at once, with a Graph that answers from memory. And what a write's lease and revision cost by
themselves: on one policy, and on 64 at once. `python tests/benchmarks/ledger_cost.py`."""

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

from gateway import bootstrap, plugins
from gateway.cli.emulator import config_for
from gateway.cli.loop import run
from gateway.config import LedgerConfig, parse
from gateway.emulator import Emulator
from gateway.graph.transports import Request, Response, Settings
from gateway.ledger.sql_ledger import SqlLedger
from gateway.odata import dumps, loads
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.revision import Change, PolicyName, Revision

CREATES, WRITES, ROUNDS = 640, 640, 5
# Of a set of 100 rows, one of them touched.
ROW = '{"id":"%032d","target":{"@odata.type":"#microsoft.graph.groupAssignmentTarget","groupId":"%032d"}}'
SENT = ("[" + ",".join(ROW % (number, number) for number in range(100)) + "]").encode()
TOUCHED = (ROW % (1, 1)).encode()
CREATE = "/compliance_gateway.v1.ComplianceAssignmentService/CreateComplianceAssignment"


class FromMemory:
    """A transport whose Graph has policies that remember what was assigned."""

    def __init__(self, settings: Settings) -> None:
        self._rows: dict[str, list[Any]] = {}

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        whole = "$expand" in request.url
        policy = request.url.partition("?")[0].split("/")[-1 if whole else -2]
        if request.method == "POST":
            rows = loads(request.body or b"")["assignments"]
            self._rows[policy] = [{"source": "direct", **row, "id": f"{policy}_{i}"} for i, row in enumerate(rows)]
            return Response(200, {}, b"")
        return Response(200, {}, dumps({"assignments" if whole else "value": self._rows.get(policy, [])}).encode())

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


async def writes(ledger: SqlLedger, at_once: int, name: str) -> tuple[float, float]:
    """Seconds and process CPU seconds for the lease and the revision of a write; each of `at_once` has a policy of its own."""

    async def some(policy: PolicyName) -> None:
        last = 0
        for _ in range(WRITES // at_once):
            grant = await ledger.acquire(policy, last)
            assert grant is not None
            revision = Revision(generation=grant.generation, route="assign", touched=TOUCHED, sent=SENT)
            before, (last, _) = last, await ledger.write_down(policy, revision, [])
            settled = [Change(before, "settled")] if before else []
            await ledger.conclude(policy, grant.generation, [Change(last, "shown", acked=True, landed=True), *settled])
            await ledger.release(policy, grant.generation)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some(PolicyName("t", "deviceCompliancePolicies", f"{name}-{n}")) for n in range(at_once)))
    return (time.perf_counter() - started) / WRITES, (time.process_time() - cpu) / WRITES


async def writes_of(url: str) -> dict[int, tuple[float, float]]:
    """By how many are written at once, the median of the rounds."""
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    found = {}
    for at_once in (1, 64):
        times = [await writes(ledger, at_once, f"{at_once}-{number}") for number in range(ROUNDS)]
        found[at_once] = tuple(map(median, zip(*times, strict=True)))
    await ledger.close()
    return found


def show(title: str, unit: str, rows: dict[tuple[str, int], tuple[float, float]]) -> None:
    table = Table("ledger", "at once", f"ms a {unit}", f"CPU µs a {unit}", title=title)
    for (kind, at_once), (wall, cpu) in rows.items():
        table.add_row(kind, str(at_once), f"{wall * 1e3:.2f}", f"{cpu * 1e6:.0f}")
    Console().print(table)


async def main() -> None:
    plug_in = plugins.plug_in
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
            plugins.plug_in = lambda group, *name, fakes=fakes: fakes.get(group) or plug_in(group, *name)
            door = await stack.enter_async_context(bootstrap.running(parse(values)))
            channels[kind] = await stack.enter_async_context(grpc.aio.insecure_channel(door.grpc))
        for number in range(ROUNDS):
            for at_once in (1, 64):
                for kind, channel in channels.items():
                    name = f"{kind}-{at_once}-{number}"
                    times.setdefault((kind, at_once), []).append(await creates(channel, metadata, at_once, name))
        plugins.plug_in = plug_in
        creating = {key: tuple(map(median, zip(*found, strict=True))) for key, found in times.items()}
        show(f"a create: median of {ROUNDS} rounds of {CREATES}", "create", creating)
        urls = {"SQLite": f"sqlite:///{folder}/writes.db"} | ({"PostgreSQL": server.new_database()} if server else {})
        writing = {(kind, at_once): cost for kind, url in urls.items() for at_once, cost in (await writes_of(url)).items()}
        show(f"lease and revision: median of {ROUNDS} rounds of {WRITES}", "write", writing)
    if server:
        server.remove()


if __name__ == "__main__":
    run(main())
