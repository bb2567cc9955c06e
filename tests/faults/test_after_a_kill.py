"""A gateway is killed while Graph works on its write: the next gateway does not know the outcome, and loses nothing."""

import asyncio
from pathlib import Path

import pytest
from at_rest import added, at_rest, effects, groups, groups_of, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, create, delete, group, guid
from killing import Victim
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 1, "late_s": 5, "doubt_s": 0.3}
AGAIN = ("REQUEST_IN_PROGRESS", "OUTCOME_UNKNOWN")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def one_page(live: Emulator) -> Emulator:
    live.world.graph.page_size = 100
    return live


def carried_out(rig: Rig, number: int) -> bool:
    """Whether the write with this index was answered, or would have been without a fault."""
    return rig.writes()[number]["status"] is not None


async def killed_at_its_write(victim: Victim, rig: Rig, fault: Fault, number: int, request_id: str) -> None:
    """Kills the gateway when Graph has its request; the caller gets no answer."""
    known = len(rig.writes())
    victim.emulator.world.faults.order([fault])
    calling = asyncio.create_task(create(rig, group(number), requestId=request_id))
    await until(lambda: len(rig.writes()) > known and (fault.cut is None or carried_out_by(rig, number)))
    await victim.end()
    assert (await calling).status == "UNAVAILABLE"


def carried_out_by(rig: Rig, number: int) -> bool:
    return guid(number) in groups(rig.emulator)


async def insist(rig: Rig, number: int, request_id: str) -> Assignment:
    """Repeats the request until it is answered, as a client would."""
    while True:
        answer = await create(rig, group(number), requestId=request_id)
        if isinstance(answer, Assignment):
            return answer
        assert answer.reason in AGAIN, answer
        await asyncio.sleep(0.1)


async def test_its_write_lands_after_others_were_acknowledged(one_page: Emulator, ledger_url: str, tmp_path: Path):
    victim = Victim(one_page, ledger_url, tmp_path, graph=GRAPH)
    async with victim.serving() as rig:
        assert isinstance(await create(rig, group(1)), Assignment)
        await killed_at_its_write(victim, rig, Fault(**ASSIGN, delay_s=3), 0, "killed")
    async with gateway(one_page, graph=GRAPH, ledger={"url": ledger_url}) as rig:
        assert isinstance(await create(rig, group(2)), Assignment)
        assert not isinstance(await delete(rig, f"{EMPTY}_{guid(1)}"), Failure)
        assert isinstance(await create(rig, group(3)), Assignment)
        assert groups(one_page) == {guid(2), guid(3)}
        assert not carried_out(rig, 1)
        await until(lambda: carried_out(rig, 1))
        await at_rest(rig)
        assert groups(one_page) - {guid(0)} == {guid(2), guid(3)}
        swept = [e for e in effects(one_page) if groups_of(e.before) - groups_of(e.after) - {guid(1), guid(0)}]
        assert len(swept) == 1, "it did its damage"
        await insist(rig, 0, "killed")
    assert groups(one_page) == {guid(0), guid(2), guid(3)}


async def test_reads_that_lag_longer_than_the_doubt_do_not_make_its_row_another_ones(
    one_page: Emulator, ledger_url: str, tmp_path: Path
):
    """The killed gateway's write is carried out, and does not show for three seconds: no NOT_CARRIED_OUT, no ALREADY_ASSIGNED,
    no second row."""
    graph = GRAPH | {"lag_s": 5, "late_s": 1}
    victim = Victim(one_page, ledger_url, tmp_path, graph=graph)
    one_page.world.intune.lag = 3
    async with victim.serving() as rig:
        await killed_at_its_write(victim, rig, Fault(**ASSIGN, cut="after"), 0, "killed")
    async with gateway(one_page, graph=graph, ledger={"url": ledger_url}) as rig:
        outcomes = set()

        async def watch() -> None:
            while True:
                outcomes.update(entry.outcome for entry in rig.entries())
                await asyncio.sleep(0.1)

        watching = asyncio.create_task(watch())
        answer = await insist(rig, 0, "killed")
        assert answer.id == f"{EMPTY}_{guid(0)}"
        watching.cancel()
        assert outcomes <= {"", "OUTCOME_UNKNOWN", "OK"}
        await at_rest(rig)
        assert len(rig.writes()) == 1
    assert added(one_page, guid(0)) == 1


async def test_a_gateway_that_is_killed_again_and_again_writes_at_once(one_page: Emulator, ledger_url: str, tmp_path: Path):
    """The quota leaves a part of the window to what a killed one may still have sent, and not all of it to a few."""
    victim = Victim(one_page, ledger_url, tmp_path, graph=GRAPH)
    for number in range(5):
        async with victim.serving() as rig:
            assert isinstance(await create(rig, group(number), timeout=20), Assignment)  # GONE_S is 30 s
