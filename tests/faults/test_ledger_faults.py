"""The ledger cannot be written to: writes are refused before anything is sent to Graph, reads go on, health reports it, and
everything recovers by itself."""

import asyncio
import itertools
import signal
import sqlite3
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, MERGE, create, group, guid
from grpc_health.v1 import health_pb2, health_pb2_grpc
from postgres_server import Server
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY
from gateway.ledger.chain import verify
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger

SERVICE = "compliance_gateway.v1.ComplianceAssignmentService"


async def health(rig: Rig, service: str) -> str:
    answer = await health_pb2_grpc.HealthStub(rig.channel).Check(health_pb2.HealthCheckRequest(service=service))
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.1)


async def refused(rig: Rig, number: int) -> bool:
    answer = await create(rig, group(number))
    if isinstance(answer, Assignment):
        return False
    assert (answer.status, answer.reason) == ("UNAVAILABLE", "LEDGER_UNAVAILABLE")
    assert answer.retry_after
    assert answer.pushback_ms
    return True


async def is_out_of_order_and_heals(rig: Rig, spoil, heal) -> None:
    assert not await refused(rig, 0)
    await until(lambda: has_health(rig, "SERVING"))
    spoil()
    numbers = itertools.count(1)
    await until(lambda: refused(rig, next(numbers)))
    known = len(rig.writes())
    assert all([await refused(rig, next(numbers)) for _ in range(3)])
    assert len(rig.writes()) == known, "Graph hears of nothing"
    page = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY})
    assert len(page.assignments) == known, "reads go on"

    async def is_told() -> bool:
        """Whether health reports the fault, after a further write: a full disk may have room for a moment."""
        await create(rig, group(next(numbers)))
        return await has_health(rig, "NOT_SERVING")

    await until(is_told)
    assert await health(rig, SERVICE) == await health(rig, "") == "SERVING"
    heal()
    await until(lambda: has_health(rig, "SERVING"))
    assert not await refused(rig, next(numbers))
    assert list(verify(SqlLedger(rig.ledger).find(Query(after=0)), SqlLedger(rig.ledger).ends())) == []


async def finished(rig: Rig) -> bool:
    return all(entry.state == "finished" for entry in rig.entries())


async def has_health(rig: Rig, status: str) -> bool:
    return await health(rig, "ledger") == status


@contextmanager
def small_disk(folder: Path):
    """A file system of 1 MiB. Skips the test if it cannot be mounted."""
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk(live: Emulator, tmp_path: Path):
    with small_disk(tmp_path) as folder:
        filler = folder / "filler"

        def fill() -> None:
            with filler.open("wb", buffering=0) as file:
                for size in (4096, 1):
                    try:
                        while True:
                            file.write(b"x" * size)
                    except OSError:
                        pass

        async with gateway(live, ledger={"url": f"sqlite:///{folder}/ledger.db"}, **MERGE) as rig:
            await is_out_of_order_and_heals(rig, fill, filler.unlink)


async def test_a_locked_file(live: Emulator, tmp_path: Path):
    async with gateway(live, **MERGE) as rig:
        other = sqlite3.connect(rig.ledger.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        await is_out_of_order_and_heals(rig, lambda: other.execute("BEGIN IMMEDIATE"), lambda: other.execute("ROLLBACK"))
        other.close()


async def test_postgresql_is_gone(live: Emulator, own_postgres: Server):
    async with gateway(live, ledger={"url": own_postgres.new_database()}, **MERGE) as rig:
        await is_out_of_order_and_heals(rig, own_postgres.stop, own_postgres.start)


async def test_postgresql_hangs(live: Emulator, own_postgres: Server):
    """Its processes are stopped: connections are accepted, and nothing is answered."""
    async with gateway(live, ledger={"url": own_postgres.new_database()}, **MERGE) as rig:
        try:
            await is_out_of_order_and_heals(
                rig, lambda: own_postgres.signal(signal.SIGSTOP), lambda: own_postgres.signal(signal.SIGCONT)
            )
        finally:
            own_postgres.signal(signal.SIGCONT)


async def test_it_starts_without_postgresql_and_writes_when_it_is_there(live: Emulator, own_postgres: Server):
    url = own_postgres.new_database()
    own_postgres.stop()
    async with gateway(live, ledger={"url": url}, **MERGE) as rig:
        assert await refused(rig, 1)
        page = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY})
        assert list(page.assignments) == []
        own_postgres.start()
        await until(lambda: has_health(rig, "SERVING"))
        assert not await refused(rig, 1)


async def test_an_outcome_that_cannot_be_written_down_is_written_down_later(live: Emulator, own_postgres: Server):
    """PostgreSQL stops while Graph works: no caller gets OK for an outcome that the ledger does not have, and a retry with the
    request ID finds it out."""
    live.world.faults.order([Fault(**ASSIGN, delay_s=1.5)])
    async with gateway(live, ledger={"url": own_postgres.new_database()}, **MERGE) as rig:
        writing = asyncio.create_task(create(rig, group(1), requestId="once"))
        while not rig.writes():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own_postgres.stop)
        assert (await writing).reason == "OUTCOME_UNKNOWN"
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: has_health(rig, "SERVING"))
        async with asyncio.timeout(30):
            while isinstance(answer := await create(rig, group(1), requestId="once"), Failure):
                await asyncio.sleep(0.1)
        assert answer.id == f"{EMPTY}_{guid(1)}"
        await until(lambda: finished(rig))
        [entry] = rig.entries()
        assert (entry.outcome, entry.assignment) == ("OK", answer.id)
        assert len(rig.writes()) == 1
