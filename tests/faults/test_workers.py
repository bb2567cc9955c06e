"""`serve --workers`: several processes behind the same ports. No call is lost when one of them is renewed, killed or
stopped."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import tomli_w
from compliance_gateway.v1.compliance_assignment_service_pb2 import ListComplianceAssignmentsRequest
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from edits_over_the_wire import guid
from postgres_server import Server
from processes import Process
from rig import failure, outcome, unthrottle
from test_shutdown import configured, create

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import new_token

CHANNELS = 6
GROUP = {"@odata.type": "#microsoft.graph.groupAssignmentTarget"}
WELL = {"ledger": "up", "writes": "up", "authorization.rules_file": "up", "clock": "up"}
NO_RETRIES = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
AMONG_GOING = {"UNAVAILABLE SHUTTING_DOWN", "UNAVAILABLE", "503 SHUTTING_DOWN", "ServerDisconnectedError", "ClientOSError"}
AMONG_GOING |= {"ClientConnectorError"}


@dataclass
class Served:
    """`serve --workers 2`. doors: its ready line. log: the path of its log."""

    process: Process
    doors: dict[str, Any]
    token: str
    log: Path
    config: Path

    @property
    def workers(self) -> set[int]:
        """The workers' process IDs."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, check=False).stdout.split()
        return set(map(int, found))

    def lines(self, message: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self.log.read_text().splitlines())
        return [line for line in lines if line["message"] == message]

    async def page(self, path: str, door: str = "admin") -> tuple[int, str]:
        async with aiohttp.ClientSession() as client, client.get(f"http://{self.doors[door]}{path}") as answer:
            return answer.status, await answer.text()

    async def json(self, path: str, door: str = "admin") -> tuple[int, dict[str, Any]]:
        status, text = await self.page(path, door)
        return status, json.loads(text)

    async def end(self, number: int = signal.SIGTERM) -> int | None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode


@asynccontextmanager
async def served(emulator: Emulator, folder: Path, database: str, **server: object) -> AsyncIterator[Served]:
    unthrottle(emulator)
    token, log = new_token(), folder / "log"
    config = configured(emulator, folder, token, database, **server)
    with log.open("a") as file:
        process = await Process().start(("serve", "--config", str(config), "--workers", "2"), file)
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
    assert line, log.read_text()
    found = Served(process, json.loads(line), token, log, config)
    try:
        yield found
    finally:
        await found.end(signal.SIGKILL if process.returncode is None else 0)


async def until(said: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not said():
            await asyncio.sleep(0.05)


@dataclass
class Load:
    """Creates and reads through both doors by callers that never retry. told: how each call ended. done: the groups of creates
    that were answered."""

    served: Served
    told: Counter[str] = field(default_factory=Counter)
    done: set[int] = field(default_factory=set)
    sent: int = 0
    enough: bool = False

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Runs the load inside the block. At the block's end each call that was sent has ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CHANNELS):
                group.create_task(self._over_grpc())
                group.create_task(self._over_rest())
            yield
            self.enough = True

    async def _over_grpc(self) -> None:
        metadata = (("authorization", f"Bearer {self.served.token}"),)
        reading = ListComplianceAssignmentsRequest(device_compliance_policy_id=EMPTY)
        async with grpc.aio.insecure_channel(self.served.doors["grpc"], options=NO_RETRIES) as channel:
            stub = ComplianceAssignmentServiceStub(channel)
            while not self.enough:
                number = self._next()
                try:
                    await stub.CreateComplianceAssignment(create(number), metadata=metadata, timeout=60)
                    self._answered("OK", number)
                    await stub.ListComplianceAssignments(reading, metadata=metadata, timeout=60)
                    self._answered("OK")
                except grpc.aio.AioRpcError as error:
                    found = failure(error)
                    self._answered(f"{found.status} {found.reason}".strip())
                await asyncio.sleep(0.01)

    async def _over_rest(self) -> None:
        url = f"http://{self.served.doors['rest']}/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assignments"
        bearer = {"Authorization": f"Bearer {self.served.token}"}
        async with aiohttp.ClientSession(headers=bearer) as client:
            while not self.enough:
                number = self._next()
                try:
                    headers = {"Idempotency-Key": secrets.token_hex(8)}
                    async with client.post(url, json={"target": GROUP | {"groupId": guid(number)}}, headers=headers) as answer:
                        self._answered(await how(answer), number)
                    async with client.get(url) as answer:
                        self._answered(await how(answer))
                except aiohttp.ClientError as error:
                    self._answered(type(error).__name__)
                await asyncio.sleep(0.01)

    def _next(self) -> int:
        self.sent += 1
        return self.sent

    def _answered(self, how: str, number: int = 0) -> None:
        self.told[how] += 1
        if number and how == "OK":
            self.done.add(number)

    def lost(self, emulator: Emulator) -> list[int]:
        """Acknowledged creates whose rows are not there."""
        there = {row["target"]["groupId"] for row in emulator.world.intune.policies[EMPTY].rows}
        return [number for number in self.done if guid(number) not in there]


async def how(answer: aiohttp.ClientResponse) -> str:
    body = await answer.json()
    return "OK" if answer.ok else f"{answer.status} {body['error']['code']}"


def counted(page: str, name: str) -> float:
    """The sum of all series with this name."""
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if re.match(rf"{name}[{{ ]", line))


async def test_all_serve_at_the_same_ports_and_one_page_tells_of_all(live: Emulator, postgres: Server, tmp_path: Path):
    async with served(live, tmp_path, postgres.new_database()) as gateway:
        assert gateway.doors["workers"] == 2
        assert gateway.doors["ready"] is True
        assert len(gateway.workers) == 2
        load = Load(gateway)
        async with load.going():
            await until(lambda: load.told["OK"] >= 200)
        assert set(load.told) == {"OK"}
        assert {line["worker"] for line in gateway.lines("call")} == {1, 2}
        _, page = await gateway.page("/metrics")
        assert counted(page, "compliance_gateway_calls_total") == load.told["OK"]
        assert counted(page, "compliance_gateway_call_seconds_count") == load.told["OK"]
        assert counted(page, "compliance_gateway_ledger_up") == 1
        assert await gateway.json("/readyz", "rest") == (200, {"ready": True, **WELL})
        assert await gateway.json("/readyz") == (200, {"ready": True, **WELL, "workers": "up"})
        assert await gateway.json("/healthz") == (200, {"well": True, **WELL, "workers": "up"})
        _, quota = await gateway.json("/quota")
        writes, _ = quota["emulator"]["windows"]
        assert writes["ceiling"] == 100_000
        assert 100_000 - 2 < writes["share"] <= 100_000, "of each worker a share, rounded down"
        # The gateway's own, such as a repair, are nobody's.
        assert 0 < sum(caller["used"] for caller in writes["callers"]) <= writes["used"]
        assert (await gateway.page("/channelz/GetServers"))[0] == 400
        for worker in (1, 2):
            _, servers = await gateway.json(f"/channelz/GetServers?worker={worker}")
            assert len(servers["server"]) == 1
        assert await gateway.end() == 0
        assert not load.lost(live)


async def test_sighup_renews_them_and_no_call_is_lost(live: Emulator, postgres: Server, tmp_path: Path):
    async with served(live, tmp_path, postgres.new_database(), connection_age_s=1) as gateway:
        old, load = gateway.workers, Load(gateway)
        async with load.going():
            await until(lambda: load.told["OK"] >= 50)
            gateway.process.send_signal(signal.SIGHUP)
            await until(lambda: gateway.lines("all workers have been replaced"))
            await until(lambda: not old & gateway.workers)
            before = load.told["OK"]
            await until(lambda: load.told["OK"] >= before + 50)
        assert set(load.told) == {"OK"}
        assert len(gateway.workers) == 2
        assert not load.lost(live)
        _, page = await gateway.page("/metrics")
        assert counted(page, "compliance_gateway_calls_total") == load.told["OK"]
        assert await gateway.end() == 0


async def test_one_that_is_killed_comes_again_and_nothing_acknowledged_is_lost(
    live: Emulator, postgres: Server, tmp_path: Path
):
    async with served(live, tmp_path, postgres.new_database()) as gateway:
        load, old = Load(gateway), gateway.workers
        async with load.going():
            await until(lambda: load.told["OK"] >= 50)
            killed = min(old)
            os.kill(killed, signal.SIGKILL)
            await until(lambda: gateway.lines("a worker has ended"))
            assert (await gateway.json("/readyz"))[0] == (await gateway.json("/readyz", "rest"))[0] == 503
            [line] = gateway.lines("a worker has ended")
            assert (line["status"], line["another_in_s"]) == (-signal.SIGKILL, 0.5)
            await until(lambda: len(gateway.workers) == 2)
            while (await gateway.json("/readyz"))[0] != 200:
                await asyncio.sleep(0.05)
            before = load.told["OK"]
            await until(lambda: load.told["OK"] >= before + 50)
        assert killed not in gateway.workers
        assert not load.lost(live)
        assert set(load.told) - {"OK"} <= AMONG_GOING, load.told
        assert await gateway.end() == 0


async def test_sigterm_ends_all_and_nothing_acknowledged_is_lost(live: Emulator, postgres: Server, tmp_path: Path):
    async with served(live, tmp_path, postgres.new_database()) as gateway:
        load, old = Load(gateway), gateway.workers
        async with load.going():
            await until(lambda: load.told["OK"] >= 50)
            assert await gateway.end() == 0
        assert len(old) == 2
        assert not load.lost(live)
        assert set(load.told) - {"OK"} <= AMONG_GOING, load.told
        assert {"UNAVAILABLE SHUTTING_DOWN", "503 SHUTTING_DOWN"} & set(load.told), load.told


async def test_a_killed_parent_leaves_no_worker(live: Emulator, postgres: Server, tmp_path: Path):
    async with served(live, tmp_path, postgres.new_database(), drain_notice_s=0) as gateway:
        workers = gateway.workers
        gateway.process.kill()
        await until(lambda: not any(map(is_there, workers)))


def is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_what_cannot_start_ends_all_with_its_reason(live: Emulator, postgres: Server, tmp_path: Path):
    path = configured(live, tmp_path, new_token())
    status, _, told = await outcome("serve", "--config", str(path), "--workers", "2")
    assert status == 1
    assert told.count("config: ledger: sqlite:///") == 1
    assert 'serve --workers needs url = "postgresql://user@host/database"; or leave --workers out' in told
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for door in ("grpc", "rest", "admin"):
            path = configured(live, tmp_path, new_token(), postgres.new_database(), **{door: address})
            status, _, told = await outcome("serve", "--config", str(path), "--workers", "2")
            assert (status, told.count("config: server: ")) == (1, 1), told


async def test_a_new_one_that_cannot_start_leaves_the_others_alone(live: Emulator, postgres: Server, tmp_path: Path):
    async with served(live, tmp_path, postgres.new_database()) as gateway:
        old = gateway.workers
        gateway.config.write_text(tomli_w.dumps({}))
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: "no new worker can be started" in gateway.log.read_text())
        assert gateway.workers == old
        assert (await gateway.json("/readyz"))[0] == 200
        assert await gateway.end() == 0
