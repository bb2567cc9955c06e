"""What the gateway that sent a write observed overrides what a gateway that took its entry over concludes. While the outcome
cannot be known, nobody guesses. A request ID takes effect once."""

import asyncio
import signal
from pathlib import Path

import pytest
from at_rest import added, at_rest, effects, groups, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, group, guid
from killing import Victim
from postgres_server import Server as Postgres
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 5, "late_s": 1, "read_back_s": 20, "doubt_s": 0.3}
POST = {"method": "POST", "path": "/assignments$"}
OPEN = ("OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS")
TARGETS = {
    "a group": group(0),
    "all devices": {"allDevices": {}},
    "the base type": {},
    "an unknown type": {
        "unknown": {"odataType": "#microsoft.graph.scopeTagGroupAssignmentTarget", "json": '{"targetType":"user"}'}
    },
}


@pytest.fixture
def lagging(live: Emulator) -> Emulator:
    """Reads show the state three seconds ago."""
    live.world.graph.page_size = 100
    live.world.intune.lag = 3
    return live


async def insist(rig: Rig, target: dict, request_id: str) -> Assignment:
    """Repeats the request until it is answered, as a client would."""
    while True:
        answer = await create(rig, target, requestId=request_id)
        if isinstance(answer, Assignment):
            return answer
        assert answer.reason in OPEN, answer
        await asyncio.sleep(0.1)


async def test_an_entry_that_is_taken_over_while_its_owner_reads_back_says_what_the_owner_saw(
    lagging: Emulator, postgres: Postgres, tmp_path: Path
):
    """The owner is stopped and counts as dead. The other gateway reads, and the row does not show yet. Then the owner goes
    on."""
    lagging.world.intune.lag = 5
    graph, url = GRAPH | {"lag_s": 7}, postgres.new_database()
    owner = Victim(lagging, url, tmp_path, graph=graph)
    async with gateway(lagging, graph=graph, ledger={"url": url, "lease_s": 1}) as other, owner.serving() as rig:
        calling = asyncio.create_task(create(rig, group(0), requestId="once"))
        await until(lambda: guid(0) in groups(lagging))
        await asyncio.sleep(0.3)  # Graph's answer is there, and the first looks
        [before] = other.entries()
        owner.process.send_signal(signal.SIGSTOP)
        try:
            pids = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = {before.owner} AND granted"
            database = url.rpartition("/")[2]
            postgres.execute(database, f"SELECT pg_terminate_backend(pid) FROM ({pids}) AS found")
            await until(lambda: [e.state for e in other.entries() if e.owner != before.owner] in (["uncertain"], ["finished"]))
        finally:
            owner.process.send_signal(signal.SIGCONT)
        answer = await calling
        assert isinstance(answer, Assignment) or answer.reason in OPEN, answer
        again = await insist(other, group(0), "once")
        assert again.id == f"{EMPTY}_{guid(0)}"
        await at_rest(other)
        await until(lambda: other.entries()[0].state == "finished", 40)
        [entry] = other.entries()
        assert (entry.outcome, entry.assignment) == ("OK", again.id)
        lagging.world.intune.set_rows(EMPTY, [])
        assert await insist(other, group(0), "once") == again, "replayed: it is carried out no second time"
    assert added(lagging, guid(0)) == 1


@pytest.mark.parametrize("name", TARGETS)
async def test_on_the_documented_route_a_request_id_makes_one_row(documented: Emulator, name: str):
    """The answer is lost, and the row does not show for longer than `doubt_s`: nothing is sent again."""
    documented.world.graph.page_size = 100
    documented.world.intune.lag = 3
    async with gateway(documented, graph=GRAPH | {"create_route": "documented"}) as rig:
        documented.world.faults.order([Fault(**POST, cut="after")])
        first = await create(rig, TARGETS[name], requestId="once")
        assert len(rig.writes()) == 1
        answer = await insist(rig, TARGETS[name], "once")
        await at_rest(rig)
        assert [row["id"] for row in rig.rows(EMPTY)] == [answer.id]
        assert [len(e.after) for e in effects(documented) if e.by != "control"] == [1]
        assert isinstance(first, Failure)
        assert first.reason == "OUTCOME_UNKNOWN"
        assert (await insist(rig, TARGETS[name], "once")).id == answer.id
    assert len(rig.writes()) == 1


@pytest.mark.parametrize("effect", ["none", "now"])
async def test_a_base_type_target_is_never_sent_twice_for_one_request_id(documented: Emulator, effect: str):
    """Graph makes another row of every such request. After a 504 the gateway waits until the first request can no longer make
    one."""
    async with gateway(documented, graph=GRAPH | {"create_route": "documented", "lag_s": 1}) as rig:
        documented.world.faults.order([Fault(**POST, status=504, effect=effect)])
        answer = await create(rig, {}, requestId="once")
        while isinstance(answer, Failure):
            assert answer.reason in OPEN
            assert len(rig.writes()) == 1 or effect == "none"
            await asyncio.sleep(0.1)
            answer = await create(rig, {}, requestId="once")
        await at_rest(rig)
        assert [row["id"] for row in rig.rows(EMPTY)] == [answer.id]


async def test_a_lost_answer_is_no_already_assigned(lagging: Emulator):
    """The same on the route that replaces the set."""
    async with gateway(lagging, graph=GRAPH) as rig:
        lagging.world.faults.order([Fault(**ASSIGN, cut="after")])
        answer = await insist(rig, group(0), "once")
        assert answer.id == f"{EMPTY}_{guid(0)}"
        await at_rest(rig)
        assert len(rig.writes()) == 1
    assert added(lagging, guid(0)) == 1


async def test_a_read_that_graph_refuses_says_nothing_of_what_was_sent(live: Emulator):
    """A 400 to a GET is a refusal of that, and of no edit that was sent before."""
    live.world.graph.page_size = 100
    async with gateway(live, graph=GRAPH | {"lag_s": 0.5}) as rig:
        refusing = Fault(**LIST, status=400, body={"error": {"code": "BadRequest", "message": "Bad."}}, times=1000)
        live.world.faults.order([Fault(**LIST), Fault(**ASSIGN, cut="after"), refusing])
        for _ in range(2):
            assert (await create(rig, group(1), requestId="once")).reason == "OUTCOME_UNKNOWN"
        assert groups(live) == {guid(1)}
        live.world.faults.clear()
        assert (await insist(rig, group(1), "once")).id == f"{EMPTY}_{guid(1)}"
        assert len(rig.writes()) == 1
