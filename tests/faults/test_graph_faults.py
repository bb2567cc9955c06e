"""Graph's faults through the whole gateway: the status of the table, the gateway's message, Graph's IDs, and never its body."""

import asyncio
import json
from pathlib import Path

import pytest
from rig import QUICK, Failure, gateway, logged

from gateway.cli.emulator import config_for
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

CASES = json.loads((Path(__file__).parents[1] / "cases/graph_faults.json").read_text())
DOCUMENTED = {"graph": {"create_route": "documented"}}
GOOD = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}
POST = {"method": "POST", "path": "/assignments$"}


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
async def test_each_fault_of_the_facts(documented: Emulator, case: dict):
    fault = Fault(**POST, status=case["status"], body=case["body"], retry_after=case.get("retry_after"), times=99)
    documented.world.faults.order([fault])
    with logged() as lines:
        async with gateway(documented, graph={"create_route": "documented", "max_attempts": 1, "doubt_s": 0}) as rig:
            failure = await rig.call("CreateComplianceAssignment", GOOD)
    assert (failure.status, failure.reason) == (case["grpc"], case["reason"])
    assert failure.metadata["graph_status"] == str(case["status"])
    assert failure.metadata["client_request_id"] == rig.writes()[-1]["headers"]["client-request-id"]
    assert (failure.retry_after is not None) == ("retry_after" in case or "waits" in case)
    if "retry_after" in case:
        assert failure.retry_after == pytest.approx(float(case["retry_after"]))
    assert (failure.pushback_ms is None) == (failure.retry_after is None)
    assert "canary-body" not in failure.seen + "".join(lines)
    assert rig.rows(EMPTY) == []
    if failure.status == "NOT_FOUND":
        assert failure.resource == EMPTY


WRITES_IN_DOUBT = {
    "500": Fault(**POST, status=500, effect="now"),
    "502 with HTML": Fault(**POST, status=502, body="<html>canary-body</html>"),
    "504": Fault(**POST, status=504, effect="now"),
    "cut before it was carried out": Fault(**POST, cut="before"),
    "cut after it was carried out": Fault(**POST, cut="after"),
    "201 with nothing": Fault(**POST, status=201, body=""),
    "201 with HTML": Fault(**POST, status=201, body="<html>canary-body</html>"),
    "201 with broken JSON": Fault(**POST, status=201, body='{"id": "canary-body'),
    "201 with an array": Fault(**POST, status=201, body=["canary-body"]),
    "201 with 1 MB of something": Fault(**POST, status=201, body={"canary-body": "x" * (1 << 20)}),
    "201 over the size limit": Fault(**POST, status=201, body={"id": "x" * (9 << 20)}),
    "201 with an id that is no string": Fault(**POST, status=201, body={"id": 7}),
    "201 nested too deep": Fault(**POST, status=201, body="[" * 100_000),
}


@pytest.mark.parametrize("name", WRITES_IN_DOUBT)
async def test_a_lost_answer_is_found_out_by_reading_and_the_row_is_there_once(documented: Emulator, name: str):
    fault = WRITES_IN_DOUBT[name]
    fault.times = 1
    documented.world.faults.order([fault])
    carried_out = fault.cut == "after" or fault.effect == "now"
    with logged() as lines:
        async with gateway(documented, graph={"create_route": "documented", "doubt_s": 0.2}) as rig:
            answer = await rig.call("CreateComplianceAssignment", GOOD | {"requestId": "once"})
            if not carried_out:
                assert answer.reason == "OUTCOME_UNKNOWN"
                assert len(rig.writes()) == 1, "it is not sent again while it may come late"
                async with asyncio.timeout(30):
                    while isinstance(answer, Failure):
                        await asyncio.sleep(0.1)
                        answer = await rig.call("CreateComplianceAssignment", GOOD | {"requestId": "once"})
    [row] = rig.rows(EMPTY)
    assert answer.id == row["id"]
    assert len(rig.writes()) == (1 if carried_out else 2)
    assert "canary-body" not in "".join(lines)


@pytest.mark.parametrize("name", WRITES_IN_DOUBT)
async def test_a_write_that_cannot_be_reconciled_is_unknown_and_is_not_sent_again(documented: Emulator, name: str):
    fault = WRITES_IN_DOUBT[name]
    fault.times = 1
    documented.world.faults.order([fault])
    blind = Fault(method="GET", status=500, times=99)
    with logged() as lines:
        async with gateway(documented, graph={"create_route": "documented", "doubt_s": 0.2, "max_attempts": 1}) as rig:
            task = asyncio.create_task(rig.call("CreateComplianceAssignment", GOOD))
            while not rig.writes():
                await asyncio.sleep(0)  # before it is read back
            documented.world.faults.order([blind])
            failure = await task
    assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
    assert 0 < failure.retry_after <= QUICK["lag_s"] + QUICK["late_s"], "then it can be found out"
    assert len(rig.writes()) == 1
    assert "canary-body" not in failure.seen + "".join(lines)


SENT_AGAIN = {
    "429 in seconds": Fault(**POST, status=429, retry_after="0"),
    "429 in decimal seconds": Fault(**POST, status=429, retry_after="0.2"),
    "429 with a date": Fault(**POST, status=429, retry_after="Tue, 24 Nov 2020 10:00:00 GMT"),
    "429 without Retry-After": Fault(**POST, status=429),
    "503": Fault(**POST, status=503, retry_after="0.1"),
    "an expired token": Fault(**POST, status=401, body={"error": {"code": "InvalidAuthenticationToken", "message": "expired"}}),
}


async def test_a_date_to_come_back_at_is_by_graphs_own_clock(live: Emulator):
    graphs = {"Date": "Tue, 24 Nov 2020 10:00:00 GMT"}
    live.world.faults.order(
        [Fault(method="GET", path="/assignments", status=429, retry_after="Tue, 24 Nov 2020 10:00:30 GMT", headers=graphs)]
    )
    async with gateway(live) as rig:
        failure = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": EMPTY}, timeout=5)
        assert (failure.reason, failure.retry_after) == ("GRAPH_THROTTLED", 30)


@pytest.mark.parametrize("name", SENT_AGAIN)
async def test_what_graph_did_not_carry_out_is_sent_again(documented: Emulator, name: str):
    fault = SENT_AGAIN[name]
    fault.times = 1
    documented.world.faults.order([fault])
    async with gateway(documented, **DOCUMENTED) as rig:
        answer = await rig.call("CreateComplianceAssignment", GOOD)
    assert answer.id
    assert [w["status"] for w in rig.writes()] == [fault.status, 201]
    assert documented.world.entra.token_requests == (2 if fault.status == 401 else 1)
    assert len({w["headers"]["client-request-id"] for w in rig.writes()}) == 2


async def test_503_for_long_ends_as_unavailable_with_a_time_to_come_back(documented: Emulator):
    documented.world.faults.order([Fault(**POST, status=503, times=99, retry_after="0.01")])
    async with gateway(documented, graph={"create_route": "documented", "max_attempts": 3}) as rig:
        failure = await rig.call("CreateComplianceAssignment", GOOD)
    assert (failure.status, failure.reason) == ("UNAVAILABLE", "GRAPH_UNAVAILABLE")
    assert failure.retry_after
    assert len(rig.writes()) == 3


async def test_graph_out_of_reach(documented: Emulator):

    tenant = config_for(documented, "")["tenants"]["emulator"] | {"graph": "https://127.0.0.1:1"}
    documented.world.faults.order([Fault(path="oauth2", status=200, body=documented.world.entra.token(
        documented.world.entra.tenant_id,
        {
            "grant_type": "client_credentials",
            "client_id": documented.world.entra.app.client_id,
            "client_secret": documented.world.entra.app.secret,
            "scope": f"{documented.root}/.default",
        },
    ))])  # fmt: skip
    async with gateway(documented, tenants={"emulator": tenant}, graph={"max_attempts": 2}) as rig:
        failure = await rig.call("CreateComplianceAssignment", GOOD)
    assert (failure.status, failure.reason) == ("UNAVAILABLE", "GRAPH_UNAVAILABLE")


async def test_the_throttle_of_the_emulator_is_survived(documented: Emulator):
    documented.world.graph.throttle.app_writes = 3
    async with gateway(documented, **DOCUMENTED) as rig:
        for i in range(3):
            target = {"group": {"groupId": f"{i:08x}-0000-4000-8000-000000000000"}}
            assert (await rig.call("CreateComplianceAssignment", GOOD | {"assignment": {"target": target}})).id
        failure = await rig.call("CreateComplianceAssignment", GOOD, timeout=3)
        assert (failure.status, failure.reason) == ("RESOURCE_EXHAUSTED", "GRAPH_THROTTLED")
        assert failure.retry_after > 0
        documented.world.clock.advance(21)
        assert (await rig.call("CreateComplianceAssignment", GOOD)).id
