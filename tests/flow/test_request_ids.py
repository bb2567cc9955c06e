"""A request ID is carried out once: replayed, joined, refused for another request, and free again if nothing was done."""

import asyncio
import sqlite3
import uuid

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, MERGE, guid
from google.rpc.error_details_pb2 import ErrorInfo
from rig import Failure, Rig, gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

REQUEST_ID, WARNING = "compliance-gateway-request-id", "compliance-gateway-warning-bin"


def request(number: int = 1, request_id: str = "once", policy: str = EMPTY) -> dict:
    target = {"group": {"groupId": guid(number)}}
    return {"deviceCompliancePolicyId": policy, "assignment": {"target": target}, "requestId": request_id}


async def create(rig: Rig, number: int = 1, request_id: str = "once", **options):
    return await rig.exchange("CreateComplianceAssignment", request(number, request_id), **options)


def replayed(trailers: dict) -> bool:
    return WARNING in trailers and ErrorInfo.FromString(trailers[WARNING]).reason == "REPLAYED"


async def test_the_same_again_is_answered_from_the_ledger(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        (first, one), (again, two) = await create(rig), await create(rig)
        assert first == again
        assert (replayed(one), replayed(two)) == (False, True)
        assert ErrorInfo.FromString(two[WARNING]).metadata["request_id"] == "once"
        assert one[REQUEST_ID] == two[REQUEST_ID] == "once"
        assert len(rig.writes()) == 1
        [entry] = rig.entries()
        assert (entry.request_id, entry.outcome, entry.assignment) == ("once", "OK", first.id)


@pytest.mark.parametrize("operation", ["Update", "Delete", "Replace"])
async def test_every_write_is_replayed(live: Emulator, operation: str):
    row_id = f"{WINDOWS}_{GROUP}"
    target = {"target": {"group": {"groupId": guid(7)}}}
    fields = {
        "Update": {"deviceCompliancePolicyAssignmentId": row_id, "assignment": target},
        "Delete": {"deviceCompliancePolicyAssignmentId": row_id},
        "Replace": {"assignments": [target]},
    }[operation]
    name = f"{operation}ComplianceAssignment{'s' if operation == 'Replace' else ''}"
    async with gateway(live, **MERGE) as rig:
        message = {"deviceCompliancePolicyId": WINDOWS, "requestId": "once", **fields}
        (first, _), (again, trailers) = [await rig.exchange(name, message) for _ in range(2)]
        assert not isinstance(first, Failure)
        assert first == again
        assert replayed(trailers)
        assert len(rig.writes()) == 1


async def test_the_answer_outlives_the_gateway(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        first, _ = await create(rig)
    live.world.intune.set_rows(EMPTY, [])  # and what others did since
    async with gateway(live, ledger={"url": rig.ledger.url}, **MERGE) as rig:
        again, trailers = await create(rig)
        assert (first, replayed(trailers)) == (again, True)
        assert rig.rows(EMPTY) == []


async def test_another_request_with_the_same_id_is_refused(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        await create(rig)
        others = [
            ("CreateComplianceAssignment", request(2)),
            ("CreateComplianceAssignment", request(1, policy=WINDOWS)),
            ("CreateComplianceAssignment", {**request(1), "ifExists": "IF_EXISTS_KEEP"}),
            ("ReplaceComplianceAssignments", {"deviceCompliancePolicyId": EMPTY, "requestId": "once", "allowEmpty": True}),
        ]
        for operation, message in others:
            failure = await rig.call(operation, message)
            assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")
            assert failure.fields == ["request_id"]
        assert len(rig.writes()) == 1
    refused = [entry for entry in rig.entries() if entry.outcome != "OK"]
    assert {entry.outcome for entry in refused} == {"REQUEST_ID_REUSED"}
    assert sum(entry.times for entry in refused) == 4


async def test_another_request_with_the_id_of_one_that_runs_is_refused(live: Emulator):
    live.world.faults.order([Fault(**ASSIGN, delay_s=0.4)])
    async with gateway(live, **MERGE) as rig:
        running = asyncio.create_task(create(rig))
        while not rig.writes():
            await asyncio.sleep(0.01)
        failure, _ = await create(rig, 2)
        assert failure.reason == "REQUEST_ID_REUSED"
        assert isinstance((await running)[0], Assignment)


async def test_the_same_id_of_another_caller_or_tenant_is_another(live: Emulator):
    token, other = new_token(), new_token()
    callers = {"static": {"demo": hash_token(token), "other": hash_token(other)}}
    async with gateway(live, callers=callers, **MERGE) as rig:
        answers = [await create(rig, n, metadata=(("authorization", f"Bearer {t}"),)) for n, t in ((1, token), (2, other))]
        assert [answer.target.group.group_id for answer, _ in answers] == [guid(1), guid(2)]


async def test_calls_without_an_id_get_one_each(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        ids = [(await create(rig, number, ""))[1][REQUEST_ID] for number in (1, 2)]
        failure, trailers = await create(rig, 1, "")
        assert failure.reason == "ALREADY_ASSIGNED"
        assert len({uuid.UUID(i) for i in (*ids, trailers[REQUEST_ID])}) == 3
        assert [entry.request_id for entry in rig.entries()] == [*ids, trailers[REQUEST_ID]]
        page, trailers = await rig.exchange("ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY})
        assert (len(page.assignments), REQUEST_ID in trailers) == (2, False)


async def test_the_same_at_the_same_time_is_joined(live: Emulator):
    live.world.faults.order([Fault(**ASSIGN, delay_s=0.3)])
    async with gateway(live, **MERGE) as rig:
        answers = await asyncio.gather(*(create(rig) for _ in range(20)))
        assert len({answer.id for answer, _ in answers}) == 1
        assert sum(replayed(trailers) for _, trailers in answers) == 19
        assert len(rig.writes()) == 1
        assert len(rig.entries()) == 1


async def test_who_gives_up_leaves_those_who_joined_their_answer(live: Emulator):
    released = asyncio.Event()
    live.world.faults.order([Fault(**ASSIGN, until=released)])
    async with gateway(live, **MERGE) as rig:
        first = asyncio.create_task(create(rig, timeout=4))
        while not rig.writes() and not first.done():
            await asyncio.sleep(0.01)
        joined = asyncio.create_task(create(rig, timeout=60))
        try:
            assert (await first)[0].status == "DEADLINE_EXCEEDED"
        finally:
            released.set()
        assert isinstance((await joined)[0], Assignment)
        assert len(rig.writes()) == 1


async def test_who_joined_one_that_gave_up_before_the_write_is_served(live: Emulator):
    """Its own deadline counts, not that of the one who began: it carries the write out, or it is told that the other did if the
    gateway was not as quick as the client to find that the deadline had passed."""
    released = asyncio.Event()
    live.world.faults.order([Fault(method="GET", path="assignments", until=released)])
    async with gateway(live, **MERGE) as rig:
        first = asyncio.create_task(create(rig, timeout=1))
        while not any(r["method"] == "GET" for r in live.world.requests) and not first.done():
            await asyncio.sleep(0.01)
        joined = asyncio.create_task(create(rig))
        try:
            assert (await first)[0].status == "DEADLINE_EXCEEDED"
        finally:
            released.set()
        assert (await joined)[0].id == f"{EMPTY}_{guid(1)}"
        assert len(rig.writes()) == 1


async def test_who_gave_up_gets_the_answer_by_the_same_id(live: Emulator):
    released = asyncio.Event()
    live.world.faults.order([Fault(**ASSIGN, until=released)])
    with logged() as lines:
        async with gateway(live, **MERGE) as rig:
            giving_up = asyncio.create_task(create(rig, timeout=60))
            while not rig.writes():
                await asyncio.sleep(0.01)
            giving_up.cancel()
            async with asyncio.timeout(60):
                while not any('"message": "call"' in line for line in lines):
                    await asyncio.sleep(0.01)
            released.set()
            answer, trailers = await create(rig)
            assert (answer.id, replayed(trailers)) == (f"{EMPTY}_{guid(1)}", True)
            assert len(rig.writes()) == 1


async def test_who_gives_up_before_the_write_has_done_nothing(live: Emulator):
    live.world.faults.order([Fault(**ASSIGN, delay_s=0.5)])
    async with gateway(live, **MERGE) as rig:
        other = asyncio.create_task(create(rig, 2, "other"))
        while not rig.writes():
            await asyncio.sleep(0.01)
        failure, _ = await create(rig, timeout=0.1)
        assert failure.status == "DEADLINE_EXCEEDED"
        await other
        while len(found := rig.entries(request_id="once")) != 1 or not found[0].outcome:
            await asyncio.sleep(0.01)
        assert found[0].outcome == "CALLER_GONE"
        assert [row["target"]["groupId"] for row in rig.rows(EMPTY)] == [guid(2)]
        assert isinstance((await create(rig))[0], Assignment), "the id is free again"


async def test_what_failed_is_carried_out_when_it_comes_again(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        assert (await create(rig, 1, "first"))[0].id
        assert (await create(rig))[0].reason == "ALREADY_ASSIGNED"
        live.world.intune.set_rows(EMPTY, [])
        answer, trailers = await create(rig)
        assert (answer.id, replayed(trailers)) == (f"{EMPTY}_{guid(1)}", False)
        assert [e.outcome for e in rig.entries(request_id="once")] == ["ALREADY_ASSIGNED", "OK"]


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_an_unknown_outcome_is_found_out_when_it_comes_again(live: Emulator, cut: str):
    """The answer is lost, and so is every read after it; a retry finds out the outcome."""
    async with gateway(live, graph={**MERGE["graph"], "doubt_s": 0.2, "max_attempts": 1}) as rig:
        live.world.faults.order([Fault(**ASSIGN, cut=cut, delay_s=0.1)])
        writing = asyncio.create_task(create(rig, timeout=8))
        while not rig.writes():
            await asyncio.sleep(0.005)
        live.world.faults.order([Fault(method="GET", path="/beta/", status=500, times=999)])
        failure, _ = await writing
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        [entry] = rig.entries()
        assert (entry.state, entry.outcome, entry.position) == ("uncertain", "OUTCOME_UNKNOWN", None)
        live.world.faults.clear()
        async with asyncio.timeout(30):
            while isinstance(answer := (await create(rig))[0], Failure):
                assert answer.reason == "OUTCOME_UNKNOWN", "as long as it may come late"
        assert answer.id == f"{EMPTY}_{guid(1)}"
        assert len(rig.writes()) == (1 if cut == "after" else 2)
        [entry] = rig.entries()
        assert (entry.state, entry.outcome) == ("finished", "OK")
        assert entry.client_request_id in {write["headers"]["client-request-id"] for write in rig.writes()}


@pytest.mark.parametrize(("cut", "outcome"), [("before", "NOT_CARRIED_OUT"), ("after", "OK")])
async def test_an_unknown_outcome_is_found_out_by_the_next_gateway_without_a_caller(live: Emulator, cut: str, outcome: str):
    """The outcome stays unknown as long as Graph cannot be read."""
    settings = {"graph": {**MERGE["graph"], "doubt_s": 0.2, "max_attempts": 1}}
    async with gateway(live, **settings) as rig:
        live.world.faults.order([Fault(**ASSIGN, cut=cut, delay_s=0.1)])
        writing = asyncio.create_task(create(rig, timeout=8))
        while not rig.writes():
            await asyncio.sleep(0.005)
        live.world.faults.order([Fault(method="GET", path="/beta/", status=500, times=999)])
        assert (await writing)[0].reason == "OUTCOME_UNKNOWN"
    live.world.faults.clear()
    live.world.faults.order([Fault(method="GET", path="/beta/", status=403, times=999)])
    same = {"ledger": {"url": rig.ledger.url}}
    async with gateway(live, **settings, **same) as rig:
        while (entry := rig.entries()[0]).state == "running" or live.world.faults.waiting == 999:
            await asyncio.sleep(0.02)
        assert (entry.state, entry.outcome) == ("uncertain", "OUTCOME_UNKNOWN")
    live.world.faults.clear()
    async with gateway(live, **settings, **same) as rig:
        while (entry := rig.entries()[0]).state != "finished":
            await asyncio.sleep(0.02)
        assert (entry.outcome, entry.request_id) == (outcome, "once")
        assert len(rig.writes()) == 1, "nobody asked for another"
        answer, trailers = await create(rig)
        assert (answer.id, replayed(trailers)) == (f"{EMPTY}_{guid(1)}", outcome == "OK")


async def test_an_answer_that_somebody_changed_in_the_ledger_is_given_to_nobody(live: Emulator, caplog):
    async with gateway(live, **MERGE) as rig:
        await create(rig)
        with sqlite3.connect(rig.ledger.url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE entries SET answer = ?", [Assignment(id="forged").SerializeToString()])
        with caplog.at_level("ERROR"):
            failure = await rig.call("CreateComplianceAssignment", request(1))
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        assert "was altered, so its outcome is unknown" in failure.message
        assert "an entry is forged" in caplog.text
        assert len(rig.writes()) == 1
