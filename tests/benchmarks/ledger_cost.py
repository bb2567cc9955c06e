"""What the ledger adds to a create, and to the looks that follow it: SQLite, PostgreSQL, and a ledger that keeps nothing; a
caller alone, and 16 at once, with a Graph that answers from memory. And what a write's lease and revision cost by themselves:
on one policy, and on 64 at once. `python tests/benchmarks/ledger_cost.py` takes four minutes."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

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

CREATES, WRITES, ROUNDS = 300, 640, 5
# A watch looks after 5 and after 20 seconds and at the end; by default that is after a minute.
BOUNDS, SETTLED_S = {"lag_s": 21.0, "late_s": 21.0}, 27.0
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


class Cost(NamedTuple):
    """Of one create, in seconds. median: until it is answered. cpu, watch_cpu: of the process, client included, until then and
    until all writes are settled."""

    median: float
    cpu: float
    watch_cpu: float


async def creates(url: str, at_once: int, **fakes: Any) -> Cost:
    """The cost of creates on policies of their own, by a gateway of their own. fakes: by group, instead of plug-ins."""
    plug_in, token = plugins.plug_in, new_token()
    metadata = (("authorization", f"Bearer {token}"),)
    async with Emulator() as emulator:
        values = config_for(emulator, hash_token(token))
        values["graph"] |= {"requests_per_20s": 1_000_000, "writes_per_20s": 100_000, "create_route": "assign"} | BOUNDS
        values["server"]["drain_notice_s"] = 0
        values["ledger"] = {"url": url}
        plugins.plug_in = lambda group, *name: fakes.get(group) or plug_in(group, *name)
        async with bootstrap.running(parse(values)) as door, grpc.aio.insecure_channel(door.grpc) as channel:
            plugins.plug_in = plug_in
            call = channel.unary_unary(CREATE)
            times: list[float] = []

            async def some(numbers: Iterator[int]) -> None:
                for number in numbers:
                    request = pb.CreateComplianceAssignmentRequest(device_compliance_policy_id=f"policy-{number}")
                    request.assignment.target.all_devices.SetInParent()
                    started = time.perf_counter()
                    await call(request.SerializeToString(), metadata=metadata)
                    times.append(time.perf_counter() - started)

            await some(iter(range(CREATES, CREATES + 20)))  # what is done once
            times.clear()
            numbers, started = iter(range(CREATES)), time.process_time()
            await asyncio.gather(*(some(numbers) for _ in range(at_once)))
            answered = time.process_time()
            await asyncio.sleep(SETTLED_S)
            return Cost(median(times), (answered - started) / CREATES, (time.process_time() - answered) / CREATES)


async def writes(ledger: SqlLedger, at_once: int, name: str) -> tuple[float, float]:
    """Seconds and process CPU seconds for the lease and the revision of a write; each of `at_once` has a policy of its own."""

    async def some(policy: PolicyName) -> None:
        last = 0
        for _ in range(WRITES // at_once):
            grant = await ledger.acquire(policy, last)
            assert grant is not None
            revision = Revision(generation=grant.generation, route="assign", touched=TOUCHED, sent=SENT)
            before, (last, _) = last, await ledger.write_down(policy, revision, [])
            settled = [Change(before, "settled", acked=True)] if before else []
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


def show(title: str, rows: dict[tuple[str, int], Sequence[float]], *columns: str) -> None:
    table = Table("ledger", "at once", *columns, title=title)
    for (kind, at_once), times in rows.items():
        table.add_row(kind, str(at_once), *(f"{seconds * 1e3:.2f}" for seconds in times))
    Console().print(table)


async def main() -> None:
    server = Server() if BINARIES else None
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        urls = {"SQLite": lambda name: f"sqlite:///{folder}/{name}.db"}
        urls |= {"PostgreSQL": lambda _: server.new_database()} if server else {}
        creating: dict[tuple[str, int], Sequence[float]] = {}
        for at_once in (1, 16):
            creating["none", at_once] = await creates("sqlite:///none", at_once, transports=FromMemory, ledgers=NoLedger)
            for kind, url in urls.items():
                creating[kind, at_once] = await creates(url(f"creates-{at_once}"), at_once, transports=FromMemory)
        show(f"a create, of {CREATES}", creating, "median ms", "CPU ms", "CPU ms of its watch")
        writing = {
            (kind, at_once): cost for kind, url in urls.items() for at_once, cost in (await writes_of(url("writes"))).items()
        }
        show(f"lease and revision: median of {ROUNDS} rounds of {WRITES}", writing, "ms", "CPU ms")
    if server:
        server.remove()


if __name__ == "__main__":
    run(main())
