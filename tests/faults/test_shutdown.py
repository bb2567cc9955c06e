"""SIGTERM under load: a caller that gets OK has its assignment, every other caller is told that the gateway is stopping, and no
call is cancelled."""

import asyncio
import os
import secrets
import signal
import socket
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import grpc
import pytest
import tomli_w
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from edits_over_the_wire import ASSIGN, LIST, MERGE, group, guid
from edits_over_the_wire import create as create_through
from fake_ledger import NoLedger
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rig import NO_QUOTA, QUICK, command, failure, gateway, unthrottle

from gateway.assignments.edits import Add
from gateway.assignments.looks import Bounds
from gateway.assignments.patience import Patience
from gateway.assignments.policy import WriterDeps
from gateway.assignments.routes import Routes
from gateway.assignments.writers import Writers
from gateway.call import Record
from gateway.cli.emulator import config_for
from gateway.doors.connections import cut
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, WINDOWS
from gateway.entry import Entry
from gateway.errors import GatewayError
from gateway.ledger.write import Write
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.revision import PolicyName
from gateway.sets import SETS

EDITS, CHANNELS = 300, 12


def create(number: int) -> CreateComplianceAssignmentRequest:
    values = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": group(number)}, "requestId": secrets.token_hex(8)}
    return json_format.ParseDict(values, CreateComplianceAssignmentRequest())


async def insist(stub: ComplianceAssignmentServiceStub, number: int, token: str, told: list[str], gone: asyncio.Event) -> bool:
    """Repeats the call until it succeeds or the gateway is gone. Returns whether it succeeded."""
    metadata = (("authorization", f"Bearer {token}"),)
    request = create(number)
    while not gone.is_set():
        try:
            await stub.CreateComplianceAssignment(request, metadata=metadata, timeout=60)
        except grpc.aio.AioRpcError as error:
            found = failure(error)
            told.append(f"{found.status} {found.reason}".strip())
            await asyncio.sleep(0.005)
        else:
            told.append("OK")
            return True
    return False


def configured(emulator: Emulator, folder: Path, token: str, ledger: str = "", **server: object) -> Path:
    """Writes a configuration for this emulator and returns its path. ledger: its URL; by default a new SQLite file."""
    values = config_for(emulator, hash_token(token))
    values["server"] |= {"drain_notice_s": 0.3, "in_flight": 10_000, **server}
    values["graph"] |= NO_QUOTA | QUICK | MERGE["graph"]
    values["ledger"] = {"url": ledger or f"sqlite:///{folder}/{secrets.token_hex(4)}.db"}
    path = folder / "gateway.toml"
    path.write_text(tomli_w.dumps(values))
    return path


@pytest.mark.parametrize("time", [0, *(pytest.param(time, marks=pytest.mark.machine) for time in range(1, 5))])
async def test_sigterm_under_load_loses_nothing_and_cancels_nobody(live: Emulator, tmp_path: Path, time: int):
    unthrottle(live)
    token, told, gone = new_token(), [], asyncio.Event()
    server, serving = await command("serve", "--config", str(configured(live, tmp_path, token)))
    options = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100))
    channels = [grpc.aio.insecure_channel(serving["grpc"], options=options) for _ in range(CHANNELS)]
    stubs = [ComplianceAssignmentServiceStub(channel) for channel in channels]
    edits = []
    for number in range(EDITS):
        edits.append(asyncio.create_task(insist(stubs[number % CHANNELS], number, token, told, gone)))
        await asyncio.sleep(0.002)
        if number == EDITS // 3:
            while "OK" not in told:
                await asyncio.sleep(0.005)
            server.send_signal(signal.SIGTERM)
    ended = asyncio.create_task(server.communicate())
    _, log = await asyncio.wait_for(ended, 60)
    gone.set()
    done = await asyncio.gather(*edits)
    for channel in channels:
        await channel.close()
    assert server.returncode == 0, log.decode()
    assert set(told) <= {"OK", "UNAVAILABLE SHUTTING_DOWN", "UNAVAILABLE"}, Counter(told)
    assert {"OK", "UNAVAILABLE SHUTTING_DOWN"} <= set(told), Counter(told)
    there = {row["target"]["groupId"] for row in live.world.intune.policies[EMPTY].rows}
    lost = [number for number, is_done in enumerate(done) if is_done != (guid(number) in there)]
    assert not lost


async def test_calls_during_the_notice_are_told_when_to_try_again_at_both_doors(live: Emulator, tmp_path: Path):
    token = new_token()
    server, serving = await command("serve", "--config", str(configured(live, tmp_path, token, drain_notice_s=300)))
    bearer = {"authorization": f"Bearer {token}"}
    async with grpc.aio.insecure_channel(serving["grpc"]) as channel, aiohttp.ClientSession(headers=bearer) as rest:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        server.send_signal(signal.SIGTERM)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ComplianceAssignmentServiceStub(channel).CreateComplianceAssignment(create(0), metadata=bearer.items())
        url = f"http://{serving['rest']}/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assignments"
        async with rest.get(url) as answer:
            over_rest = answer.status, (await answer.json())["error"]["code"], answer.headers["Retry-After"]
    server.kill()
    await server.communicate()
    over_grpc = failure(caught.value)
    assert (over_grpc.status, over_grpc.reason, over_grpc.retry_after) == ("UNAVAILABLE", "SHUTTING_DOWN", 1.0)
    assert over_rest == (503, "SHUTTING_DOWN", "1")
    assert not [r for r in live.world.requests if r["method"] == "POST"]


async def faults_are_met(emulator: Emulator) -> None:
    async with asyncio.timeout(60):
        while emulator.world.faults.waiting:
            await asyncio.sleep(0.01)


async def test_what_is_under_way_longer_than_the_drain_is_answered_and_not_cancelled(live: Emulator):
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(gateway(live, **MERGE, server={"drain_s": 0.5}))
        async with grpc.aio.insecure_channel(rig.address) as channel:
            rig = replace(rig, channel=channel)  # its own is closed before the gateway is
            live.world.faults.order([Fault(**ASSIGN, delay_s=60)])
            write = asyncio.create_task(create_through(rig, group(0)))
            await faults_are_met(live)
            live.world.faults.order([Fault(**LIST, delay_s=60)])
            read = asyncio.create_task(rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS}))
            await faults_are_met(live)
            await stack.aclose()
            answers = await asyncio.gather(write, read)
    assert [answer.reason for answer in answers] == ["OUTCOME_UNKNOWN", "SHUTTING_DOWN"]


@pytest.mark.parametrize(("sent", "reason"), [(None, "SHUTTING_DOWN"), (b'{"key": null, "touched": []}', "OUTCOME_UNKNOWN")])
async def test_a_write_that_comes_when_the_writers_have_closed_is_told(sent: bytes | None, reason: str):
    """Its request ID was being claimed while the writers closed."""
    policy = PolicyName("contoso", "deviceCompliancePolicies", EMPTY)
    patience, bounds = Patience(1, 1, 1), Bounds(1, 1)
    writers = Writers({}, WriterDeps(Routes("assign", lambda: 0.0), NoLedger(), NoLedger(), patience, bounds, 5))
    await writers.close(0)
    writers.watch([policy])
    write = Write(NoLedger(), Entry(id="one", tenant="contoso", sent=sent), Record(), 0.0)
    with pytest.raises(GatewayError) as caught:
        await writers.carry_out(write, SETS["deviceCompliancePolicies"], EMPTY, Add({}))
    assert (caught.value.reason.name, len(writers)) == (reason, 0)


def test_cut_ends_the_connections_of_a_port_and_nothing_else(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as other:
        (tmp_path / "file").touch()
        with (tmp_path / "file").open(), ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(one.getsockname())) for one in (ours, other)]
            for one in (ours, other):
                stack.enter_context(one.accept()[0])
            before = len(os.listdir("/dev/fd"))
            cut({f"127.0.0.1:{ours.getsockname()[1]}"})
            assert len(os.listdir("/dev/fd")) == before
            assert clients[0].recv(1) == b""
            clients[1].setblocking(False)
            with pytest.raises(BlockingIOError):
                clients[1].recv(1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(ours.getsockname())
            stack.enter_context(socket.create_connection(other.getsockname()))
