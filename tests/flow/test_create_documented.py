"""The documentation's create page, line by line, against the running program on the documented routes."""

import asyncio
import json
import threading

import pytest
from compliance_gateway import connect
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from google.protobuf import json_format
from rig import gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.errors import WRITE_ROLE
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GROUP = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"
NO_FILTER = {"deviceAndAppManagementAssignmentFilterId": None, "deviceAndAppManagementAssignmentFilterType": "none"}
GRAPH = "#microsoft.graph."
DOCUMENTED = {"graph": {"create_route": "documented"}}


def create(target: dict) -> dict:
    return {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": target}}


async def test_every_line_of_the_page(documented: Emulator):
    async with gateway(documented, **DOCUMENTED) as rig:
        answer = await rig.call("CreateComplianceAssignment", create({}))
    assert isinstance(answer, DeviceCompliancePolicyAssignment), answer
    [request] = rig.writes()
    page = {
        "HTTP request": (request["method"], request["path"]),
        "Permissions, application": WRITE_ROLE in documented.world.entra.app.roles,
        "Authorization: Bearer {token}": "authorization" not in request["headers"],  # the emulator checks it and hides it
        "Content-Type: application/json": request["headers"]["content-type"],
        "Request body": request["body"],
        "201 Created": request["status"],
        "id in the answer": request["answer"]["id"],
        "@odata.type in the answer": request["answer"]["@odata.type"],
    }
    assert page == {
        "HTTP request": ("POST", f"/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assignments"),
        "Permissions, application": True,
        "Authorization: Bearer {token}": True,
        "Content-Type: application/json": "application/json",
        # as printed there, but for the `#` that the page leaves out of the target's type
        "Request body": {
            "@odata.type": "#microsoft.graph.deviceCompliancePolicyAssignment",
            "target": {"@odata.type": "#microsoft.graph.deviceAndAppManagementAssignmentTarget"},
        },
        "201 Created": 201,
        "id in the answer": answer.id,
        "@odata.type in the answer": "#microsoft.graph.deviceCompliancePolicyAssignment",
    }
    assert list(request["body"]) == ["@odata.type", "target"]
    assert answer.target.WhichOneof("type") is None


async def test_without_the_pages_permission_nothing_is_created(documented: Emulator):
    documented.world.entra.app.roles = ["DeviceManagementConfiguration.Read.All"]
    async with gateway(documented, **DOCUMENTED) as rig:
        for _ in range(2):  # the emulator answers E3 and E4 in turn
            failure = await rig.call("CreateComplianceAssignment", create({"allDevices": {}}))
            assert (failure.status, failure.reason) == ("FAILED_PRECONDITION", "GRAPH_PERMISSION_MISSING")
            assert WRITE_ROLE in failure.message
    assert {r["status"] for r in rig.writes()} == {401, 403}
    assert len(rig.writes()) == 2
    assert documented.world.entra.token_requests == 1


BIG = '{"targetType":"user","weights":12345678901234567890123}'
TARGETS = {
    "group": ({"group": {"groupId": GROUP}}, {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GROUP}),
    "group with a filter": (
        {
            "group": {"groupId": GROUP},
            "deviceAndAppManagementAssignmentFilterId": FILTER,
            "deviceAndAppManagementAssignmentFilterType": 3,
        },
        {
            "@odata.type": f"{GRAPH}groupAssignmentTarget",
            "groupId": GROUP,
            "deviceAndAppManagementAssignmentFilterId": FILTER,
            "deviceAndAppManagementAssignmentFilterType": "exclude",
        },
    ),
    "exclusion": (
        {"exclusionGroup": {"groupId": GROUP}},
        {"@odata.type": f"{GRAPH}exclusionGroupAssignmentTarget", "groupId": GROUP},
    ),
    "all users": ({"allLicensedUsers": {}}, {"@odata.type": f"{GRAPH}allLicensedUsersAssignmentTarget"}),
    "all devices": ({"allDevices": {}}, {"@odata.type": f"{GRAPH}allDevicesAssignmentTarget"}),
    "collection": (
        {"configurationManagerCollection": {"collectionId": "SMS00001"}},
        {"@odata.type": f"{GRAPH}configurationManagerCollectionAssignmentTarget", "collectionId": "SMS00001"},
    ),
    "unknown": (
        {"unknown": {"odataType": "microsoft.graph.scopeTagGroupAssignmentTarget", "json": BIG}},
        {"@odata.type": f"{GRAPH}scopeTagGroupAssignmentTarget", "targetType": "user", "weights": 12345678901234567890123},
    ),
}


@pytest.mark.parametrize(("target", "sent"), TARGETS.values(), ids=TARGETS)
async def test_every_kind_of_target(documented: Emulator, target: dict, sent: dict):
    async with gateway(documented, **DOCUMENTED) as rig:
        answer = await rig.call("CreateComplianceAssignment", create(target))
    assert isinstance(answer, DeviceCompliancePolicyAssignment), answer
    [request] = rig.writes()
    assert request["body"]["target"] == sent
    assert next(iter(request["body"]["target"])) == "@odata.type"
    [row] = rig.rows(EMPTY)
    assert row == {"id": answer.id, "source": "direct", "sourceId": EMPTY, "target": NO_FILTER | sent}
    assert answer.source == 1
    if answer.target.WhichOneof("type") == "unknown":
        assert json.loads(answer.target.unknown.json) == {k: v for k, v in (NO_FILTER | sent).items() if k != "@odata.type"}


async def test_what_only_graph_may_say_is_not_sent(documented: Emulator):
    async with gateway(documented, **DOCUMENTED) as rig:
        request = create({"allDevices": {}})
        request["assignment"] |= {"id": "mine", "source": 2, "sourceId": "ignored"}
        answer = await rig.call("CreateComplianceAssignment", request)
    assert rig.writes()[0]["body"] == {
        "@odata.type": "#microsoft.graph.deviceCompliancePolicyAssignment",
        "target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"},
    }
    assert answer.id == f"{EMPTY}_adadadad-808e-44e2-905a-0b7873a8a531"


async def test_a_call_is_one_event_in_the_log_with_all_ids(documented: Emulator):

    with logged() as lines:
        async with gateway(documented, **DOCUMENTED) as rig:
            request = create({"allDevices": {}}) | {"requestId": "order-1"}
            answer = await rig.call("CreateComplianceAssignment", request)
    [event] = [json.loads(line) for line in lines if '"message": "call"' in line]
    sent = rig.writes()[0]["headers"]
    assert event["graph_request_id"]
    assert {k: event[k] for k in ("operation", "caller", "tenant", "policy", "request_id", "outcome", "route")} == {
        "operation": "CreateComplianceAssignment",
        "caller": "demo",
        "tenant": "emulator",
        "policy": EMPTY,
        "request_id": "order-1",
        "outcome": "OK",
        "route": "documented",
    }
    assert (event["assignment"], event["client_request_id"]) == (answer.id, sent["client-request-id"])


async def test_the_deadline_is_the_callers(documented: Emulator):

    documented.world.faults.order([Fault(method="POST", path="/assignments", delay_s=5)])
    async with gateway(documented, **DOCUMENTED) as rig:
        failure = await rig.call("CreateComplianceAssignment", create({"allDevices": {}}), timeout=0.5)
    assert failure.status == "DEADLINE_EXCEEDED"


async def test_a_call_without_deadline_gets_the_configured_one(documented: Emulator):

    documented.world.faults.order([Fault(method="POST", path="/assignments", delay_s=5)])
    async with gateway(documented, server={"default_deadline_s": 0.5}, **DOCUMENTED) as rig:
        failure = await rig.call("CreateComplianceAssignment", create({"allDevices": {}}), timeout=None)
    assert (failure.status, failure.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")


async def test_cancelling_a_call_stops_its_work(documented: Emulator):

    documented.world.faults.order([Fault(method="POST", path="/assignments", times=99, status=429, retry_after="1")])
    async with gateway(documented, **DOCUMENTED) as rig:
        task = asyncio.create_task(rig.call("CreateComplianceAssignment", create({"allDevices": {}})))
        while not rig.writes():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1.5)
    assert len(rig.writes()) == 1


async def test_the_client_helper_sends_token_tenant_request_id_and_a_deadline(documented: Emulator):

    def ask(address: str, token: str) -> str:
        with connect(address, lambda: token, tenant="emulator", plain_text=True) as stub:
            message = json_format.ParseDict(create({"allDevices": {}}), CreateComplianceAssignmentRequest())
            created = stub.CreateComplianceAssignment(message)
            assert not message.request_id
            return created.id

    with logged() as lines:
        async with gateway(documented, **DOCUMENTED) as rig:
            assert await asyncio.to_thread(ask, rig.address, rig.token)
    [event] = [json.loads(line) for line in lines if '"message": "call"' in line]
    assert len(event["request_id"]) == 36


async def test_the_client_helper_retries_with_the_same_request_id(documented: Emulator):

    # longer than the call's first patience with 503, so that the gateway gives up once and asks for a retry
    documented.world.faults.order([Fault(method="POST", path="/assignments", times=1, status=503, retry_after="0.05")])

    def ask(address: str, token: str) -> None:
        with connect(address, token, plain_text=True) as stub:
            message = json_format.ParseDict(create({"allDevices": {}}), CreateComplianceAssignmentRequest())
            stub.CreateComplianceAssignment(message, timeout=20)

    with logged() as lines:
        async with gateway(documented, graph={"create_route": "documented", "max_attempts": 1}) as rig:
            await asyncio.to_thread(ask, rig.address, rig.token)
    events = [json.loads(line) for line in lines if '"message": "call"' in line]
    assert [event["outcome"] for event in events] == ["GRAPH_UNAVAILABLE", "OK"]
    assert len({event["request_id"] for event in events}) == 1


async def test_eighty_calls_at_once_need_no_thread_each(documented: Emulator):

    async with gateway(documented, **DOCUMENTED) as rig:
        targets = [{"group": {"groupId": f"{i:08x}-0000-4000-8000-000000000000"}} for i in range(80)]
        before = threading.active_count()
        answers = await asyncio.gather(*(rig.call("CreateComplianceAssignment", create(t)) for t in targets))
        assert all(isinstance(a, DeviceCompliancePolicyAssignment) for a in answers)
        assert threading.active_count() - before < 20
    assert documented.world.entra.token_requests == 1
