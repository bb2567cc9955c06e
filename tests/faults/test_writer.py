"""The writer under load and faults: writes are shared, one caller's error does not affect another caller, nothing is lost."""

import asyncio
import json

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, MERGE, callers, create, created, delete, group, guid, waiting
from rig import LIVE_QUOTA, QUICK, Failure, gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, MACOS, WINDOWS

BAD = {"configurationManagerCollection": {"collectionId": GROUP}}  # E15: a GUID as a collection id


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
        await create(rig, group(1))
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
        released = asyncio.Event()
        live.world.faults.order([Fault(**ASSIGN, until=released)])
        tasks = [asyncio.create_task(create(rig, group(0)))]
        while not rig.writes():
            await asyncio.sleep(0.01)
        filtered = group(1) | {
            "deviceAndAppManagementAssignmentFilterId": guid(7),
            "deviceAndAppManagementAssignmentFilterType": 2,
        }
        for number, (target, fields) in enumerate([(group(1), {}), (group(1), {}), (filtered, {"ifExists": 2})]):
            tasks.append(asyncio.create_task(create(rig, target, **fields)))
            await waiting(number + 2)
        released.set()
        first, one, again, changed = await asyncio.gather(*tasks)
        assert isinstance(first, Assignment)
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
        methods = [r["method"] for r in live.world.requests]
        first, then = (n for n, method in enumerate(methods) if method == "POST")
        assert "GET" in methods[first:then], "read anew, never sent late"


async def test_a_throttle_beyond_the_deadline_is_said_at_once(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, status=429, retry_after="60")])
        failure = await create(rig, group(0))
        assert (failure.status, failure.retry_after, failure.pushback_ms) == ("RESOURCE_EXHAUSTED", 60, -1)


CARRIED_OUT = {
    "cut after": {"cut": "after"},
    "500": {"status": 500, "effect": "now"},
    "503 that names no time": {"status": 503, "effect": "now"},
    "408": {"status": 408, "effect": "now"},
    "504 with HTML": {"status": 504, "body": "<html>", "effect": "now"},
}
NOT_CARRIED_OUT = {
    "503": {"status": 503, "retry_after": "0.1"},
    "409": {"status": 409},
    "429": {"status": 429, "retry_after": "0.1"},
}
OPEN = {
    "cut before": {"cut": "before"},
    "500": {"status": 500},
    "503": {"status": 503},
    "504 with HTML": {"status": 504, "body": "<html>"},
}
PATIENT = {"graph": {**MERGE["graph"], "doubt_s": 3}}


@pytest.mark.parametrize("name", CARRIED_OUT | NOT_CARRIED_OUT)
@pytest.mark.parametrize("lag", [0.0, 0.8])
async def test_an_answer_that_is_lost_is_found_out_by_reading(live: Emulator, name: str, lag: float):
    before = {json.dumps(row) for row in live.world.intune.policies[WINDOWS].rows}
    live.world.intune.lag = lag
    live.world.faults.order([Fault(**ASSIGN, **(CARRIED_OUT | NOT_CARRIED_OUT)[name])])
    async with gateway(live, **PATIENT) as rig:
        one, other = await asyncio.gather(create(rig, group(0), WINDOWS), create(rig, group(1), WINDOWS))
        gone = await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS)
        assert isinstance(one, Assignment), one
        assert isinstance(other, Assignment), other
        assert not isinstance(gone, Failure), gone
        now = {row["id"]: json.dumps(row) for row in rig.rows(WINDOWS)}
    assert {one.id, other.id} <= now.keys()
    assert {text for row_id, text in now.items() if row_id not in (one.id, other.id)} == {t for t in before if GROUP not in t}


@pytest.mark.parametrize("name", CARRIED_OUT)
async def test_a_lost_answer_of_a_removal_or_an_update_is_no_not_found(live: Emulator, name: str):
    live.world.intune.set_rows(
        EMPTY, [{"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(0)}}]
    )
    async with gateway(live, **PATIENT) as rig:
        live.world.faults.order([Fault(**ASSIGN, **CARRIED_OUT[name])])
        request = {"deviceCompliancePolicyId": EMPTY, "deviceCompliancePolicyAssignmentId": f"{EMPTY}_{guid(0)}"}
        moved = await rig.call("UpdateComplianceAssignment", request | {"assignment": {"target": group(1)}})
        assert moved.id == f"{EMPTY}_{guid(1)}"
        live.world.faults.order([Fault(**ASSIGN, **CARRIED_OUT[name])])
        assert not isinstance(await delete(rig, moved.id), Failure), "found out when no old read explains it any more"
        assert rig.rows(EMPTY) == []
        assert len(rig.writes()) == 2


@pytest.mark.parametrize("name", OPEN)
async def test_what_does_not_show_after_a_lost_answer_is_unknown_and_not_sent_again(live: Emulator, name: str):
    """The outcome stays unknown until the write can no longer take effect; then the same request is carried out."""
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, **OPEN[name])])
        failure = await create(rig, group(0), requestId="once")
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        again = await create(rig, group(0), requestId="once")
        assert (again.reason, len(rig.writes())) == ("OUTCOME_UNKNOWN", 1)
        assert 0 < again.retry_after <= QUICK["lag_s"] + QUICK["late_s"]
        async with asyncio.timeout(30):
            while isinstance(answer := await create(rig, group(0), requestId="once"), Failure):
                assert answer.reason == "OUTCOME_UNKNOWN"
                await asyncio.sleep(0.1)
        assert (answer.id, len(rig.writes())) == (f"{EMPTY}_{guid(0)}", 2)


async def test_a_lagging_read_back_is_waited_for_and_what_was_read_back_is_answered(live: Emulator):
    live.world.intune.lag = 0.7
    async with gateway(live, **MERGE) as rig:
        answer = await create(rig, group(0))
        methods = [r["method"] for r in live.world.requests]
        assert methods[methods.index("POST") :].count("GET") > 1, "the first look back did not show it"
        assert answer.source_id == EMPTY, "only Graph says so"
        assert len(rig.writes()) == 1


async def test_a_write_that_never_shows_is_unknown_and_not_repeated(live: Emulator):
    live.world.intune.lag = 3600
    async with gateway(live, graph={"create_route": "assign", "read_back_s": 0.4}) as rig:
        failure = await create(rig, group(0))
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        assert len(rig.writes()) == 1


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


async def test_a_caller_that_gives_up_takes_its_edit_back_if_no_write_has_begun(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=1.5)])
        first = asyncio.create_task(create(rig, group(0)))
        while not rig.writes():
            await asyncio.sleep(0.01)
        impatient = await rig.call(
            "CreateComplianceAssignment",
            {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": group(1)}},
            timeout=0.2,
        )
        assert impatient.status == "DEADLINE_EXCEEDED"
        assert isinstance(await first, Assignment)
        await create(rig, group(2))
        assert {row["target"]["groupId"] for row in rig.rows(EMPTY)} == {guid(0), guid(2)}


async def test_a_thousand_creates_on_ten_policies_take_thirty_writes_at_most(live: Emulator):
    """Under the live quota: 100 writes and 1,000 requests in 20 s. Each policy's first write is slow, until all others wait.
    tests/benchmarks/shared_writes.py measures a burst on a real machine."""
    live.world.graph.page_size = 1000
    policies = [f"policy-{i}" for i in range(10)]
    for policy in policies:
        live.world.intune.add_policy(policy, policy, [])
    all_there = asyncio.Event()
    live.world.faults.order([Fault(**ASSIGN, until=all_there, times=10)])
    async with gateway(live, graph={"create_route": "assign", **LIVE_QUOTA}) as rig, callers(rig, 5) as clients:
        answering = asyncio.gather(*(create(clients[i % 5], group(i), policies[i % 10], timeout=180) for i in range(1000)))
        await waiting(1000)
        all_there.set()
        answers = await answering
        assert [answer for answer in answers if isinstance(answer, Failure)] == []
        assert len(rig.writes()) <= 30
        assert sum(len(rig.rows(policy)) for policy in policies) == 1000


async def test_a_busy_policy_has_its_patience_anew_for_each_batch(live: Emulator):
    """Ten rounds without a pause, then a fault, which counts as the first attempt of its batch, not as the eleventh."""
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.1, times=10)])
        calls = []
        while len(rig.writes()) < 10:
            calls.append(asyncio.create_task(create(rig, group(len(calls)))))
            await asyncio.sleep(0.05)
        live.world.faults.order([Fault(**ASSIGN, status=503, retry_after="0.1")])
        calls += [asyncio.create_task(create(rig, group(len(calls) + i))) for i in range(5)]
        assert len(created(await asyncio.gather(*calls))) == len(calls)
        assert 503 in [w["status"] for w in rig.writes()]


async def test_a_bug_in_the_writer_is_internal_and_the_next_edit_is_served(live: Emulator, monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("canary-detail")

    with logged() as lines:
        async with gateway(live, **MERGE) as rig:
            with monkeypatch.context() as patch:
                patch.setattr("gateway.assignments.round.merging", broken)
                answers = await asyncio.gather(*(create(rig, group(i)) for i in range(3)))
                assert {a.reason for a in answers} == {"INTERNAL"}
            assert isinstance(await create(rig, group(0)), Assignment)
    assert "canary" not in "".join(lines)
    assert any("RuntimeError" in line for line in lines)
