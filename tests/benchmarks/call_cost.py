"""What the gateway adds to a call, at each door: a bare echo of grpc.aio and of aiohttp beside the get of an assignment, with a
Graph that answers from memory. `python tests/benchmarks/call_cost.py`; all run in turns in one process, 64 calls in flight."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
import grpc
from aiohttp import web
from rich.console import Console
from rich.table import Table

from gateway import bootstrap, plugins
from gateway.cli.emulator import config_for
from gateway.cli.loop import run
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.graph.transports import Request, Response, Settings
from gateway.odata import dumps
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

IN_FLIGHT, CALLS, ROUNDS = 64, 4000, 5
GET = "/compliance_gateway.v1.ComplianceAssignmentService/GetComplianceAssignment"
ROW = {
    "id": "p_g",
    "source": "direct",
    "sourceId": "p",
    "target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"},
}
PATH = "/beta/deviceManagement/deviceCompliancePolicies/p/assignments/p_g"
ECHO = dumps(ROW).encode()


class FromMemory:
    """A transport whose Graph has one row."""

    def __init__(self, settings: Settings) -> None:
        self._answer = Response(200, {}, dumps({"value": [ROW]}).encode())

    async def send(self, request: Request, timeout: float, *, fresh: bool = False) -> Response:
        return self._answer

    async def close(self) -> None:
        pass


async def load(call: Callable[[], Awaitable[bytes]]) -> float:
    """Process CPU microseconds a call, client and server together."""

    async def some() -> None:
        for _ in range(CALLS // IN_FLIGHT):
            await call()

    started = time.process_time()
    await asyncio.gather(*(some() for _ in range(IN_FLIGHT)))
    return (time.process_time() - started) / CALLS * 1e6


@asynccontextmanager
async def echoes() -> AsyncIterator[tuple[str, str]]:
    """A bare server of each kind; their addresses."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    app = web.Application()
    app.router.add_get("/{path:.*}", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{grpc_port}", f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
    await server.stop(0)


async def main() -> None:
    plug_in = plugins.plug_in
    plugins.plug_in = lambda group, kind, *place: FromMemory if group == "transports" else plug_in(group, kind, *place)
    token = new_token()
    request = OPERATIONS["GetComplianceAssignment"].request(
        device_compliance_policy_id="p", device_compliance_policy_assignment_id="p_g"
    )
    async with Emulator() as emulator:
        values = config_for(emulator, hash_token(token))
        values["graph"] |= {"requests_per_20s": 1_000_000}
        values["server"]["drain_notice_s"] = 0
        values["ledger"] = {"url": f"sqlite:///{emulator.folder}/ledger.db"}
        async with (
            bootstrap.running(parse(values)) as doors,
            echoes() as (grpc_echo, http_echo),
            grpc.aio.insecure_channel(doors.grpc) as ours,
            grpc.aio.insecure_channel(grpc_echo) as bare,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session,
        ):
            get, say = ours.unary_unary(GET), bare.unary_unary("/bench.Echo/Echo")
            data, metadata = request.SerializeToString(), (("authorization", f"Bearer {token}"),)

            async def ask(address: str) -> bytes:
                async with session.get(f"http://{address}{PATH}", headers={"Authorization": f"Bearer {token}"}) as answer:
                    return await answer.read()

            calls: dict[str, Callable[[], Awaitable[bytes]]] = {
                "grpc.aio echo": lambda: say(data, metadata=metadata),
                "GetComplianceAssignment": lambda: get(data, metadata=metadata),
                "aiohttp echo": lambda: ask(http_echo),
                "GET …/assignments/{id}": lambda: ask(doors.rest),
            }
            took: dict[str, list[float]] = {name: [] for name in calls}
            for _ in range(ROUNDS):
                for name, call in calls.items():
                    took[name].append(await load(call))
    costs = {name: median(values) for name, values in took.items()}
    table = Table("call", "CPU µs, client and server", title=f"median of {ROUNDS} rounds of {CALLS}")
    for echo, ours_, door in (("grpc.aio echo", "GetComplianceAssignment", "gRPC"), ("aiohttp echo", list(costs)[3], "REST")):
        table.add_row(echo, f"{costs[echo]:.0f}")
        table.add_row(ours_, f"{costs[ours_]:.0f}")
        table.add_row(f"what the gateway adds, {door}", f"{costs[ours_] - costs[echo]:.0f}")
    Console().print(table)


async def _echo(request: bytes, _: object) -> bytes:
    return request


async def _answer(_: web.Request) -> web.Response:
    return web.Response(body=ECHO, content_type="application/json")


if __name__ == "__main__":
    run(main())
