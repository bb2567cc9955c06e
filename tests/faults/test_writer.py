"""The writer under load and faults: writes are shared, one caller's fault is not another's, nothing is lost."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from rig import Failure, Rig, gateway, logged

from gateway.assignments import writer as writer_module
from gateway.assignments.edits import Add, Merged
from gateway.assignments.locks import InProcessLocks
from gateway.assignments.patience import Patience
from gateway.assignments.routes import REMEMBER_MISSING_S, Routes
from gateway.assignments.writer import Writers
from gateway.call import Call
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, MACOS, WINDOWS
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Answer
from gateway.operations import OPERATIONS

MERGE = {"graph": {"create_route": "assign", "read_back_s": 5, "doubt_s": 0.3}}
ASSIGN, LIST = {"method": "POST", "path": "/assign$"}, {"method": "GET", "path": "/assignments"}
BAD = {"configurationManagerCollection": {"collectionId": GROUP}}  # E15: a GUID as a collection id


def guid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def group(number: int) -> dict:
    return {"group": {"groupId": guid(number)}}


def create(rig: Rig, target: dict, policy: str = EMPTY, **fields):
    request = {"deviceCompliancePolicyId": policy, "assignment": {"target": target}, **fields}
    return rig.call("CreateComplianceAssignment", request)


def delete(rig: Rig, row_id: str, policy: str = EMPTY):
    request = {"deviceCompliancePolicyId": policy, "deviceCompliancePolicyAssignmentId": row_id}
    return rig.call("DeleteComplianceAssignment", request)


def created(answers: list) -> list:
    return [a for a in answers if isinstance(a, Assignment)]


async def test_edits_that_wait_share_a_write(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.3)])
        answers = await asyncio.gather(*(create(rig, group(i)) for i in range(60)))
        assert len(created(answers)) == 60
        assert len(rig.writes()) <= 3
        assert {row["id"] for row in rig.rows(EMPTY)} == {a.id for a in answers}


async def test_a_lone_edit_waits_for_nobody(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        await create(rig, group(0))
        loop = asyncio.get_running_loop()
        started = loop.time()
        await create(rig, group(1))
        assert loop.time() - started < 0.5
        assert [r["method"] for r in live.world.requests[-3:]] == ["GET", "POST", "GET"]


async def test_policies_do_not_wait_for_each_other(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(method="POST", path=f"{EMPTY}/assign$", delay_s=2)])
        slow = asyncio.create_task(create(rig, group(0)))
        await asyncio.sleep(0.1)
        assert isinstance(await create(rig, group(0), MACOS), Assignment)
        assert not slow.done()
        assert isinstance(await slow, Assignment)


async def test_only_the_culprits_edit_fails(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.3)])
        targets = [group(i) for i in range(31)]
        targets.insert(17, BAD)
        answers = await asyncio.gather(*(create(rig, target) for target in targets))
        failures = [a for a in answers if isinstance(a, Failure)]
        assert [(f.status, f.reason) for f in failures] == [("INVALID_ARGUMENT", "GRAPH_REFUSED_INPUT")]
        assert answers[17] is failures[0]
        assert len(rig.rows(EMPTY)) == 31
        assert len(rig.writes()) < 15, "halves, not one write an edit"


async def test_edits_of_one_row_in_one_write_come_in_order(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.3)])
        first = asyncio.create_task(create(rig, group(0)))
        await asyncio.sleep(0.15)
        filtered = group(1) | {
            "deviceAndAppManagementAssignmentFilterId": guid(7),
            "deviceAndAppManagementAssignmentFilterType": 2,
        }
        rest = asyncio.gather(create(rig, group(1)), create(rig, group(1)), create(rig, filtered, ifExists=2))
        one, again, changed = await rest
        assert isinstance(await first, Assignment)
        assert (one.id, again.status, changed.id) == (f"{EMPTY}_{guid(1)}", "ALREADY_EXISTS", f"{EMPTY}_{guid(1)}")
        assert changed.target.device_and_app_management_assignment_filter_id == guid(7)
        assert len(rig.writes()) == 2


async def test_edits_that_come_during_a_throttle_join_the_next_write(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, status=429, retry_after="0.5")])
        first = asyncio.create_task(create(rig, group(0)))
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(first, *(create(rig, group(i)) for i in range(1, 20)))
        assert len(created(answers)) == 20
        assert rig.writes()[0]["status"] == 429
        assert len(rig.writes()) == 2
        assert [r["method"] for r in live.world.requests][:4] == ["GET", "POST", "GET", "POST"], "read anew, never sent late"


async def test_a_throttle_beyond_the_deadline_is_said_at_once(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, status=429, retry_after="60")])
        failure = await create(rig, group(0))
        assert (failure.status, failure.retry_after, failure.pushback_ms) == ("RESOURCE_EXHAUSTED", 60, 60000)


LOST = {
    "cut before": {"cut": "before"},
    "cut after": {"cut": "after"},
    "500": {"status": 500},
    "504 with HTML": {"status": 504, "body": "<html>"},
    "503": {"status": 503},
    "409": {"status": 409},
}


@pytest.mark.parametrize("name", LOST)
@pytest.mark.parametrize("lag", [0.0, 0.8])
async def test_an_answer_that_is_lost_is_found_out_by_reading(live: Emulator, name: str, lag: float):
    before = {json.dumps(row) for row in live.world.intune.policies[WINDOWS].rows}
    live.world.intune.lag = lag
    live.world.faults.order([Fault(**ASSIGN, **LOST[name])])
    async with gateway(live, **MERGE) as rig:
        one, other = await asyncio.gather(create(rig, group(0), WINDOWS), create(rig, group(1), WINDOWS))
        gone = await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS)
        assert isinstance(one, Assignment), one
        assert isinstance(other, Assignment), other
        assert not isinstance(gone, Failure), gone
        now = {row["id"]: json.dumps(row) for row in rig.rows(WINDOWS)}
    assert {one.id, other.id} <= now.keys()
    assert {text for row_id, text in now.items() if row_id not in (one.id, other.id)} == {t for t in before if GROUP not in t}


@pytest.mark.parametrize("name", ["cut after", "cut before"])
async def test_a_lost_answer_of_a_removal_or_an_update_is_no_not_found(live: Emulator, name: str):
    async with gateway(live, **MERGE) as rig:
        row_id = (await create(rig, group(0))).id
        live.world.faults.order([Fault(**ASSIGN, **LOST[name])])
        request = {"deviceCompliancePolicyId": EMPTY, "deviceCompliancePolicyAssignmentId": row_id}
        moved = await rig.call("UpdateComplianceAssignment", request | {"assignment": {"target": group(1)}})
        assert moved.id == f"{EMPTY}_{guid(1)}"
        live.world.faults.order([Fault(**ASSIGN, **LOST[name])])
        assert not isinstance(await delete(rig, moved.id), Failure)
        assert rig.rows(EMPTY) == []


async def test_when_graph_stays_down_after_a_lost_answer_the_outcome_is_unknown(live: Emulator):
    async with gateway(live, graph={"create_route": "assign", "doubt_s": 0.2, "max_attempts": 2}) as rig:
        live.world.faults.order([Fault(**ASSIGN, cut="before", times=99)])
        failure = await create(rig, group(0))
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")


async def test_a_lagging_read_back_is_waited_for_and_what_was_read_back_is_answered(live: Emulator):
    live.world.intune.lag = 0.7
    async with gateway(live, **MERGE) as rig:
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = await create(rig, group(0))
        assert 0.6 < loop.time() - started < 3
        assert answer.source_id == EMPTY, "only Graph says so"
        assert len(rig.writes()) == 1


async def test_a_write_that_never_shows_is_unknown_and_not_repeated(live: Emulator):
    live.world.intune.lag = 3600
    async with gateway(live, graph={"create_route": "assign", "read_back_s": 0.4}) as rig:
        failure = await create(rig, group(0))
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        assert len(rig.writes()) == 1


BROKEN_LISTS = {
    "400": {"status": 400},
    "404 of a policy that is gone": {"status": 404},
    "no value": {"status": 200, "body": {"value": None}},
    "a value that is no list": {"status": 200, "body": {"value": {}}},
    "a row that is no object": {"status": 200, "body": {"value": [1]}},
    "HTML": {"status": 200, "body": "<html>"},
    "nothing": {"status": 200, "body": ""},
    "a next link that is no link": {"status": 200, "body": {"value": [], "@odata.nextLink": 7}},
    "a next link to another host": {"status": 200, "body": {"value": [], "@odata.nextLink": "https://evil.invalid/x"}},
    "500s": {"status": 500},
}


@pytest.mark.parametrize("name", BROKEN_LISTS)
async def test_an_incomplete_list_ends_it_and_nothing_is_written(live: Emulator, name: str):
    live.world.faults.order([Fault(**LIST, times=99, **BROKEN_LISTS[name])])
    async with gateway(live, graph={"create_route": "assign", "max_attempts": 1}) as rig:
        assert isinstance(await create(rig, group(0), WINDOWS), Failure)
        assert isinstance(await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS), Failure)
        assert not rig.writes()
        assert len(rig.rows(WINDOWS)) == 5


async def test_a_second_page_that_fails_ends_it_and_nothing_is_written(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="skiptoken", status=400, times=99)])
    async with gateway(live, **MERGE) as rig:
        assert isinstance(await create(rig, group(0), WINDOWS), Failure)
        assert not rig.writes()


async def test_a_next_link_that_goes_round_in_circles_ends_it(live: Emulator):
    link = f"{live.root}/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments?$skiptoken=x"
    live.world.faults.order([Fault(**LIST, status=200, body={"value": [], "@odata.nextLink": link}, times=999)])
    async with gateway(live, **MERGE) as rig:
        assert (await create(rig, group(0), WINDOWS)).reason == "GRAPH_ANSWER_UNREADABLE"
        assert not rig.writes()


async def test_a_row_that_goes_while_we_page_hides_no_other(live: Emulator):
    """A foreign writer removes a row of the first page after it was read: by offset, the next page skips a row."""
    live.world.faults.order([Fault(method="GET", path="skiptoken", delay_s=0.3)])
    async with gateway(live, **MERGE) as rig:
        task = asyncio.create_task(create(rig, group(0), WINDOWS))
        while not live.world.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        rest = live.world.intune.policies[WINDOWS].rows[1:]
        live.world.intune.set_rows(WINDOWS, rest)
        assert isinstance(await task, Assignment)
        assert {row["id"] for row in rest} <= {row["id"] for row in rig.rows(WINDOWS)}


async def test_edits_after_a_removed_policy_are_not_found_each(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.4)])
        first = asyncio.create_task(create(rig, group(0)))
        await asyncio.sleep(0.2)
        rest = [asyncio.create_task(create(rig, group(i))) for i in range(1, 5)]
        await asyncio.sleep(0.05)
        del live.world.intune.policies[EMPTY]
        answers = await asyncio.gather(first, *rest)
        assert {(a.status, a.resource) for a in answers} == {("NOT_FOUND", EMPTY)}


async def test_foreign_changes_are_counted_and_logged(live: Emulator):
    with logged() as lines:
        async with gateway(live, **MERGE) as rig:
            live.world.faults.order([Fault(**LIST), Fault(**LIST, delay_s=0.4)])
            task = asyncio.create_task(create(rig, group(0), WINDOWS))
            while not rig.writes() or rig.writes()[0]["status"] is None:
                await asyncio.sleep(0.01)
            rows = live.world.intune.policies[WINDOWS].rows
            foreign = {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(99)}}
            live.world.intune.set_rows(WINDOWS, [*rows[1:], foreign])
            assert isinstance(await task, Assignment)
    [event] = [json.loads(line) for line in lines if '"foreign changes"' in line]
    assert event["policy"] == WINDOWS
    assert set(event["rows"]) == {rows[0]["id"], f"{WINDOWS}_{guid(99)}"}
    [call] = [json.loads(line) for line in lines if '"message": "call"' in line]
    assert call["foreign_changes"] == 2


async def test_a_foreign_change_that_our_write_may_have_undone_is_said_to_the_caller(live: Emulator):
    """Reads lag: the foreign row comes before our write and shows only after it, to be gone again with it."""
    live.world.intune.lag = 1.0
    with logged() as lines:
        async with gateway(live, **MERGE) as rig:
            rows = live.world.intune.policies[WINDOWS].rows
            foreign = {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(99)}}
            live.world.intune.set_rows(WINDOWS, [*rows, foreign])
            await asyncio.sleep(0.6)
            call = rig.channel.unary_unary("/compliance_gateway.v1.ComplianceAssignmentService/CreateComplianceAssignment")
            message = OPERATIONS["CreateComplianceAssignment"].request(
                device_compliance_policy_id=WINDOWS,
                assignment={"target": {"all_devices": {}}},
            )
            rpc = call(message.SerializeToString(), metadata=(("authorization", f"Bearer {rig.token}"),))
            await rpc
            trailers = dict(await rpc.trailing_metadata())
    assert b"FOREIGN_CHANGE_UNDONE" in trailers["compliance-gateway-warning-bin"]
    assert guid(99).encode() in trailers["compliance-gateway-warning-bin"]
    [event] = [json.loads(line) for line in lines if '"a foreign change may be undone"' in line]
    assert event["rows"] == [f"{WINDOWS}_{guid(99)}"]


async def test_a_set_that_would_lose_a_row_is_never_sent(live: Emulator, monkeypatch):
    """The witness stands apart from merge: here merge has a bug."""
    merge_pending = writer_module.merge_pending

    def buggy(rows, batch):
        merged = merge_pending(rows, batch)
        return Merged(merged.rows[1:], merged.outcomes)

    monkeypatch.setattr(writer_module, "merge_pending", buggy)
    with logged() as lines:
        async with gateway(live, **MERGE) as rig:
            failure = await create(rig, group(0), WINDOWS)
            assert (failure.status, failure.reason) == ("INTERNAL", "INTERNAL")
            assert not rig.writes()
    [event] = [json.loads(line) for line in lines if "lost rows" in line]
    assert event["lost"] == [f"{WINDOWS}_{GROUP}"]
    assert len(event["before"]) == 5
    assert "groupId" not in json.dumps(event)


async def test_a_caller_that_gives_up_takes_its_edit_back_if_no_write_has_begun(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.6)])
        first = asyncio.create_task(create(rig, group(0)))
        await asyncio.sleep(0.2)
        impatient = await rig.call(
            "CreateComplianceAssignment",
            {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": group(1)}},
            timeout=0.2,
        )
        assert impatient.status == "DEADLINE_EXCEEDED"
        assert isinstance(await first, Assignment)
        await create(rig, group(2))
        assert {row["target"]["groupId"] for row in rig.rows(EMPTY)} == {guid(0), guid(2)}


class FakeGraph:
    """A tenant of policies that are all empty and remember what was assigned."""

    def __init__(self) -> None:
        self.rows: dict[str, list] = {}

    async def send(self, method: str, path: str, body, **_):
        policy = path.split("/")[-2]
        if method == "POST":
            self.rows[policy] = [{"id": f"{policy}_x", "source": "direct", **row} for row in body["assignments"]]
            return Answer(204, None)
        return Answer(200, {"value": self.rows.get(policy, [])})


def call_of(deadline: float) -> Call:
    return Call(OPERATIONS["CreateComplianceAssignment"], decode=lambda: None, metadata={}, deadline=deadline, tenant="t")


async def test_ten_thousand_policies_touched_once_leave_nothing_behind():
    locks = InProcessLocks()
    writers = Writers({"t": FakeGraph()}, Routes("assign", lambda: 0.0), locks, Patience())
    deadline = asyncio.get_running_loop().time() + 60
    target = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
    for start in range(0, 10_000, 500):
        await asyncio.gather(*(writers.carry_out(call_of(deadline), f"p{i}", Add(target)) for i in range(start, start + 500)))
    await asyncio.sleep(0)
    assert (len(writers), len(locks._locks)) == (0, 0)
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("writer")]


class LostLocks(InProcessLocks):
    """The lease is lost right after it was given."""

    @asynccontextmanager
    async def hold(self, name: str):
        yield SimpleNamespace(held=lambda: False)


class NoLocks(InProcessLocks):
    """The lock service is down."""

    @asynccontextmanager
    async def hold(self, name: str):
        raise GatewayError(Reason.LOCK_UNAVAILABLE, retry_after=1.0)
        yield


@pytest.mark.parametrize(("locks", "reason"), [(LostLocks(), Reason.LOCK_LOST), (NoLocks(), Reason.LOCK_UNAVAILABLE)])
async def test_without_a_sure_lock_nothing_is_written(locks, reason: Reason):
    graph = FakeGraph()
    writers = Writers({"t": graph}, Routes("assign", lambda: 0.0), locks, Patience())
    deadline = asyncio.get_running_loop().time() + 60
    edits = [Add({"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(i)}) for i in range(3)]
    results = await asyncio.gather(*(writers.carry_out(call_of(deadline), "p", e) for e in edits), return_exceptions=True)
    assert [r.reason for r in results] == [reason] * 3
    assert not graph.rows
    assert len(writers) == 0


def test_a_missing_route_is_remembered_for_a_day_and_then_tried_again():
    now = [0.0]
    routes = Routes("auto", lambda: now[0])
    assert routes.documented("a")
    assert routes.missing("a")
    assert not routes.documented("a")
    assert routes.documented("b"), "each tenant for itself"
    now[0] = REMEMBER_MISSING_S
    assert routes.documented("a")
    assert not Routes("documented", lambda: 0.0).missing("a")
