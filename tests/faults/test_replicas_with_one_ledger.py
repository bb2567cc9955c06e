"""Several gateways on one PostgreSQL: a request ID is carried out once, whichever gateway gets it, and one finishes what
another left."""

import asyncio
from pathlib import Path

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, create, group, guid
from killing import Victim
from postgres_server import Server as Postgres
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "read_back_s": 10, "doubt_s": 0.3}


@pytest.fixture
def shared(postgres: Postgres):
    """The configuration that both gateways share."""
    return {"graph": GRAPH, "ledger": {"url": postgres.new_database(), "lease_s": 1}}


async def insist(rig: Rig, number: int) -> Assignment:
    """Repeats the request until it is answered, as a client would."""
    while True:
        answer = await create(rig, group(number), requestId=f"r{number}")
        if isinstance(answer, Assignment):
            return answer
        assert answer.reason in ("REQUEST_IN_PROGRESS", "OUTCOME_UNKNOWN"), answer
        await asyncio.sleep(0.05)


async def test_the_same_id_sent_to_both_at_once_is_carried_out_once(live: Emulator, shared: dict):
    async with gateway(live, **shared) as one, gateway(live, **shared) as other:
        answers = await asyncio.gather(*(insist(rig, number) for number in range(40) for rig in (one, other)))
        assert [a.id for a in answers[::2]] == [a.id for a in answers[1::2]] == [f"{EMPTY}_{guid(n)}" for n in range(40)]
        entries = one.entries()
        assert sorted(entry.request_id for entry in entries) == sorted(f"r{n}" for n in range(40))
        assert {entry.outcome for entry in entries} == {"OK"}
        assert len({entry.owner for entry in entries}) == 2, "both had their share"
        assert len(one.rows(EMPTY)) == 40


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_what_a_killed_replica_left_is_finished_by_the_other(live: Emulator, shared: dict, tmp_path: Path, cut: str):
    async with gateway(live, **shared) as other:
        victim = Victim(live, shared["ledger"]["url"], tmp_path)
        await victim.start()
        live.world.faults.order([Fault(**ASSIGN, cut=cut, delay_s=0.1)])
        async with victim.rig() as rig:
            lost = asyncio.create_task(create(rig, group(1), requestId="r1"))
            while live.world.faults.waiting:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            await victim.end()
            await lost
        async with asyncio.timeout(20):
            while not (entries := other.entries()) or entries[0].state != "finished":
                await asyncio.sleep(0.1)
        assert entries[0].outcome == ("OK" if cut == "after" else "NOT_CARRIED_OUT")
        assert (await insist(other, 1)).id == f"{EMPTY}_{guid(1)}"
        assert len(other.rows(EMPTY)) == 1
        assert len(other.writes()) == (1 if cut == "after" else 2)
