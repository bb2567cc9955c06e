"""Every client where its surroundings fail it: no token that can be sent, a connection that is lost or moved on, a server that
answers what no gateway does."""

import asyncio
import base64
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from driver import driving, environment, over_tls
from rig import Failure, gateway
from test_clients import CREATE, LIST, pytestmark  # noqa: F401 - of this module too

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

SECRET = "never-to-be-shown"
TOKENS = {"no file": None, "nothing in it": "\n", "two lines": f"{SECRET}\n{SECRET}\n", "no ASCII": f"{SECRET}\u00e9"}


@pytest.mark.parametrize("found", TOKENS)
async def test_a_token_that_cannot_be_sent(live: Emulator, language: str, found: str, tmp_path: Path):
    """Nothing is sent, the error says what is wrong, and nothing shows the token. The next call asks anew."""
    async with over_tls(live, tmp_path) as rig:
        env, text = environment(rig, tmp_path, rig.token), TOKENS[found]
        (tmp_path / "token").unlink()
        if text is not None:
            (tmp_path / "token").write_text(text)
        with (tmp_path / "stderr").open("wb") as stderr:
            async with driving(language, env, stderr) as client:
                answer = await client.ask(method="ListComplianceAssignments", request=sent(LIST))
                assert (answer["error"]["code"], answer["error"]["reason"]) == (16, ""), answer
                assert answer["error"]["message"].startswith("no token: ")
                (tmp_path / "token").write_text(rig.token)
                assert not isinstance(await client.call("ListComplianceAssignments", LIST), Failure)
        said = str(answer) + (tmp_path / "stderr").read_text()
        # As text, and as some print bytes.
        assert SECRET not in said
        assert ", ".join(str(byte) for byte in SECRET.encode()) not in said


async def test_a_connection_that_is_lost_within_a_call(live: Emulator, language: str, tmp_path: Path):
    """The call is sent again over another one, a write with its request id."""
    released = asyncio.Event()
    live.world.faults.order([Fault(method="GET", path="/assignments", until=released, times=1)])
    async with gateway(live, graph={"create_route": "assign"}) as rig, going_through(rig.address) as (address, cut):
        env = {**environment(rig, tmp_path, rig.token), "GATEWAY_ADDRESS": address}
        del env["GATEWAY_CA"]
        async with driving(language, env) as client:
            call = asyncio.create_task(client.call("CreateComplianceAssignment", CREATE))
            async with asyncio.timeout(30):
                while not any("/assignments" in request["path"] for request in live.world.requests):
                    await asyncio.sleep(0.05)
            cut()
            released.set()
            answer = await call
            assert not isinstance(answer, Failure), answer
        assert [row["id"] for row in rig.rows(EMPTY)] == [answer.id]
        assert len({entry.request_id for entry in rig.entries()}) == 1


async def test_a_server_that_moves_its_callers_on(language: str, tmp_path: Path):
    """GOAWAY, over and over: no call fails for it."""

    async def slow(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.1)
        return b""

    options = [("grpc.max_connection_age_ms", 300), ("grpc.max_connection_age_grace_ms", 5000)]
    async with answering(slow, options) as address, driving(language, plain(address)) as client:
        for _ in range(20):
            assert not isinstance(await client.call("ListComplianceAssignments", LIST), Failure)


ODD = {
    "compliance-gateway-warning-bin": b"\xff\xff",
    "ratelimit": f'"writes";r={"9" * 30};t={"9" * 30}',
    "ratelimit-policy": f'"writes";q={"9" * 30};w={"9" * 30}',
}


@pytest.mark.parametrize("details", [b"\xff\xff", b"\x08\x05", b"\x08\x05\x1a\x06\x12\x04\xff\xff\xff\xff"])
async def test_trailers_that_no_gateway_sends(language: str, details: bytes, tmp_path: Path):
    """What can be understood is told; the call ends, and the next one works."""

    async def refuse(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((*ODD.items(), ("grpc-status-details-bin", details)))
        await context.abort(grpc.StatusCode.NOT_FOUND, "odd")
        return b""

    async with answering(refuse) as address, driving(language, plain(address)) as client:
        for _ in range(2):
            failure = await client.call("ListComplianceAssignments", LIST)
            assert (failure.status, failure.reason) == ("NOT_FOUND", "")
            assert failure.message in ("odd", ""), "details that can be read have a message of their own: none"


async def test_odd_trailers_of_a_call_that_went_well(language: str, tmp_path: Path):
    async def serve(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata(tuple(ODD.items()))
        return b""

    async with answering(serve) as address, driving(language, plain(address)) as client:
        assert await client.call("ListComplianceAssignments", LIST) == service_pb.ListComplianceAssignmentsResponse()


async def test_the_error_has_the_request_id_that_was_sent(language: str, tmp_path: Path):
    """Of a write that had none of its own; so that its caller can find out what became of it."""
    ids = []

    async def refuse(request: bytes, context: Any) -> bytes:
        ids.append(service_pb.CreateComplianceAssignmentRequest.FromString(request).request_id)
        await context.abort(grpc.StatusCode.UNKNOWN, "who knows")
        return b""

    async with answering(refuse) as address, driving(language, plain(address)) as client:
        for timeout_ms in (0, 20_000):
            answer = await client.ask(method="CreateComplianceAssignment", request=sent(CREATE), timeout_ms=timeout_ms)
            assert answer["error"]["request_id"] == ids[-1]
    assert [uuid.UUID(each).version for each in ids] == [4, 4]  # as the field says
    assert len({*ids}) == 2


def sent(request: Any) -> str:
    return base64.b64encode(request.SerializeToString()).decode()


def plain(address: str) -> dict[str, str]:
    return {**os.environ, "GATEWAY_ADDRESS": address}


@asynccontextmanager
async def answering(method: Any, options: Any = ()) -> AsyncIterator[str]:
    """The address of a server whose every method is this one."""

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(method)

    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Everything(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def going_through(address: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """An address that leads to another one, and what cuts the connections that there are."""
    host, _, port = address.rpartition(":")
    ends: list[asyncio.StreamWriter] = []

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except ConnectionError:
            pass
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        ends.extend((writer, back))
        await asyncio.gather(pour(reader, back), pour(there, writer))

    def cut() -> None:
        while ends:
            ends.pop().transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        try:
            yield "{}:{}".format(*server.sockets[0].getsockname()), cut
        finally:
            cut()
