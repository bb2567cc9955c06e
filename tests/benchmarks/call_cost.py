"""What the gateway adds to a call: a bare grpc.aio echo beside GetComplianceAssignment with a Graph that answers from memory.
`python tests/benchmarks/call_cost.py`; both run in turns in one process, 64 calls in flight."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

import grpc
from rich.console import Console
from rich.table import Table

from gateway import bootstrap
from gateway.cli.emulator import config_for
from gateway.cli.loop import run
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.graph.transports import Request, Response, Settings
from gateway.odata import dumps
from gateway.operations import OPERATIONS
from gateway.policies.authenticators.static_tokens import hash_token, new_token

IN_FLIGHT, CALLS, ROUNDS = 64, 4000, 5
GET = "/compliance_gateway.v1.ComplianceAssignmentService/GetComplianceAssignment"
ROW = {
    "id": "p_g",
    "source": "direct",
    "sourceId": "p",
    "target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"},
}


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


async def main() -> None:
    echo = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_echo)
    echo.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    echo_port = echo.add_insecure_port("127.0.0.1:0")
    await echo.start()
    plug_in = bootstrap.plug_in
    bootstrap.plug_in = lambda group, kind: FromMemory if group == "transports" else plug_in(group, kind)
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
            bootstrap.running(parse(values)) as door,
            grpc.aio.insecure_channel(door.grpc) as ours,
            grpc.aio.insecure_channel(f"127.0.0.1:{echo_port}") as bare,
        ):
            get, say = ours.unary_unary(GET), bare.unary_unary("/bench.Echo/Echo")
            data, metadata = request.SerializeToString(), (("authorization", f"Bearer {token}"),)
            echoes, gets = [], []
            for _ in range(ROUNDS):
                echoes.append(await load(lambda: say(data, metadata=metadata)))
                gets.append(await load(lambda: get(data, metadata=metadata)))
    await echo.stop(0)
    table = Table("call", "CPU µs, client and server", title=f"median of {ROUNDS} rounds of {CALLS}")
    table.add_row("grpc.aio echo", f"{median(echoes):.0f}")
    table.add_row("GetComplianceAssignment", f"{median(gets):.0f}")
    table.add_row("what the gateway adds", f"{median(gets) - median(echoes):.0f}")
    Console().print(table)


async def _echo(request: bytes, _: object) -> bytes:
    return request


if __name__ == "__main__":
    run(main())
