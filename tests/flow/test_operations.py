"""The six operations on the live routes: edits of a set that the service can only replace."""

import json

import pytest
from compliance_gateway.v1.compliance_assignment_service_pb2 import ReplaceComplianceAssignmentsRequest
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, FILTERED, GROUP, MACOS, POLICY_SET_GROUP, WINDOWS

NEW = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
OTHER_FILTER = "71627384-95a6-4b7c-88d9-eafb0c1d2e34"
FILTER_ID, FILTER_TYPE = "deviceAndAppManagementAssignmentFilterId", "deviceAndAppManagementAssignmentFilterType"


def group(group_id: str = NEW, filter_id: str = "", filter_type: int = 0) -> dict:
    target = {"group": {"groupId": group_id}}
    return {**target, FILTER_ID: filter_id, FILTER_TYPE: filter_type} if filter_id else target


async def ask(rig: Rig, operation: str, policy: str = WINDOWS, **fields):
    return await rig.call(f"{operation}ComplianceAssignment", {"deviceCompliancePolicyId": policy, **fields})


async def create(rig: Rig, target: dict, policy: str = WINDOWS, **fields):
    return await ask(rig, "Create", policy, assignment={"target": target}, **fields)


async def update(rig: Rig, row_id: str, target: dict, mask: str = "", policy: str = WINDOWS):
    more = {"updateMask": mask} if mask else {}
    return await ask(rig, "Update", policy, deviceCompliancePolicyAssignmentId=row_id, assignment={"target": target}, **more)


async def replace(rig: Rig, targets: list, policy: str = WINDOWS, **fields):
    request = {"deviceCompliancePolicyId": policy, "assignments": [{"target": t} for t in targets], **fields}
    return await rig.call("ReplaceComplianceAssignments", request)


async def list_all(rig: Rig, policy: str = WINDOWS, **fields):
    return await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": policy, **fields})


def texts(rows: list, *without: str) -> set[str]:
    return {json.dumps(row) for row in rows if row["id"] not in without}


async def test_create_adds_one_row_and_leaves_the_others_byte_for_byte(live: Emulator):
    before = texts(live.world.intune.policies[WINDOWS].rows)
    async with gateway(live) as rig:
        answer = await create(rig, group(NEW, FILTER, 2))
        assert answer.id == f"{WINDOWS}_{NEW}"
        assert (answer.target.group.group_id, answer.source, answer.source_id) == (NEW, 1, WINDOWS)
        assert texts(rig.rows(WINDOWS), answer.id) == before
        assert len(rig.rows(WINDOWS)) == 6
        [_, assign] = rig.writes()
        assert assign["path"] == f"/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assign"
        assert not any(row.get("source") == "policySets" for row in assign["body"]["assignments"])


async def test_auto_tries_the_documented_route_once_a_day(live: Emulator):
    async with gateway(live) as rig:
        await create(rig, group())
        await create(rig, {"allDevices": {}})
        await create(rig, {"allDevices": {}}, EMPTY)
        assert [w["path"].rpartition("/")[2] for w in rig.writes()] == ["assignments", "assign", "assign", "assign"]


async def test_documented_only_says_that_the_route_is_missing(live: Emulator):
    async with gateway(live, graph={"create_route": "documented"}) as rig:
        failure = await create(rig, group())
        assert (failure.status, failure.reason) == ("FAILED_PRECONDITION", "GRAPH_ROUTE_MISSING")


async def test_assign_never_tries_the_documented_route(documented: Emulator):
    async with gateway(documented, graph={"create_route": "assign"}) as rig:
        assert (await create(rig, group())).id
        assert [w["path"].rpartition("/")[2] for w in rig.writes()] == ["assign"]


async def test_if_exists(live: Emulator):
    async with gateway(live, graph={"create_route": "assign"}) as rig:
        failure = await create(rig, group(GROUP.upper()))
        assert (failure.status, failure.reason) == ("ALREADY_EXISTS", "ALREADY_ASSIGNED")
        assert failure.resource == f"{WINDOWS}_{GROUP}"
        kept = await create(rig, group(FILTERED, OTHER_FILTER, 3), ifExists=1)
        assert (kept.target.device_and_app_management_assignment_filter_id, rig.writes()) == (FILTER, [])
        replaced = await create(rig, group(FILTERED, OTHER_FILTER, 3), ifExists=2)
        assert replaced.target.device_and_app_management_assignment_filter_id == OTHER_FILTER
        assert replaced.id == kept.id
        for if_exists in (0, 1, 2):
            failure = await create(rig, {"exclusionGroup": {"groupId": GROUP}}, ifExists=if_exists)
            assert failure.status == "ALREADY_EXISTS"
        failure = await create(rig, group(POLICY_SET_GROUP, FILTER, 2), ifExists=2)
        assert (failure.status, failure.reason) == ("FAILED_PRECONDITION", "OWNED_BY_POLICY_SET")
        assert len(rig.writes()) == 1


async def test_update_the_filter_in_place(live: Emulator):
    before = live.world.intune.policies[WINDOWS].rows
    async with gateway(live) as rig:
        row_id = f"{WINDOWS}_{FILTERED}"
        mask = "target.deviceAndAppManagementAssignmentFilterType"
        answer = await update(rig, row_id, group(FILTERED, OTHER_FILTER, 3), mask)
        assert answer.target.device_and_app_management_assignment_filter_type == 3
        answer = await update(rig, row_id.upper(), {"allDevices": {}}, mask)
        assert answer.id == row_id, "only the filter was taken"
        assert answer.target.device_and_app_management_assignment_filter_id == ""
        assert answer.target.WhichOneof("type") == "group"
        assert texts(rig.rows(WINDOWS), row_id) == texts(before, row_id)


async def test_update_to_another_target(live: Emulator):
    async with gateway(live) as rig:
        row_id = f"{WINDOWS}_{GROUP}"
        answer = await update(rig, row_id, {"exclusionGroup": {"groupId": NEW}})
        assert answer.id == f"{WINDOWS}_{NEW}"
        assert answer.target.exclusion_group.group_id == NEW
        assert row_id not in {row["id"] for row in rig.rows(WINDOWS)}
        assert (await update(rig, row_id, group())).status == "NOT_FOUND"
        taken = await update(rig, answer.id, group(EXCLUDED))
        assert (taken.status, taken.resource) == ("ALREADY_EXISTS", f"{WINDOWS}_{EXCLUDED}")


@pytest.mark.parametrize("mask", ["id", "target.group", "source", "target,id"])
async def test_an_update_mask_of_other_fields_is_refused(live: Emulator, mask: str):
    async with gateway(live) as rig:
        failure = await update(rig, f"{WINDOWS}_{GROUP}", group(), mask)
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["update_mask"])
        assert not live.world.requests


async def test_delete(live: Emulator):
    before = live.world.intune.policies[WINDOWS].rows
    async with gateway(live) as rig:
        row_id = f"{WINDOWS}_{GROUP}"
        await ask(rig, "Delete", deviceCompliancePolicyAssignmentId=row_id)
        assert texts(rig.rows(WINDOWS)) == texts(before, row_id)
        failure = await ask(rig, "Delete", deviceCompliancePolicyAssignmentId=row_id)
        assert (failure.status, failure.resource) == ("NOT_FOUND", row_id)
        failure = await ask(rig, "Delete", deviceCompliancePolicyAssignmentId=f"{WINDOWS}_{POLICY_SET_GROUP}")
        assert failure.reason == "OWNED_BY_POLICY_SET"


async def test_replace_sets_exactly_what_is_given_and_leaves_policy_sets_alone(live: Emulator):
    kept = next(r for r in live.world.intune.policies[WINDOWS].rows if r["id"].endswith(FILTERED))
    owned = next(r for r in live.world.intune.policies[WINDOWS].rows if r["source"] == "policySets")
    async with gateway(live) as rig:
        answer = await replace(rig, [group(FILTERED, FILTER, 2), {"allDevices": {}}])
        assert {a.id for a in answer.assignments} == {row["id"] for row in rig.rows(WINDOWS)}
        assert len(answer.assignments) == 3
        assert {json.dumps(kept), json.dumps(owned)} <= texts(rig.rows(WINDOWS))


async def test_replace_by_what_list_gave_changes_nothing(live: Emulator):
    before = live.world.intune.policies[WINDOWS].rows
    async with gateway(live) as rig:
        page = await list_all(rig)
        request = {"device_compliance_policy_id": WINDOWS, "assignments": page.assignments}
        answer = await rig.call("ReplaceComplianceAssignments", ReplaceComplianceAssignmentsRequest(**request))
        assert [a.id for a in answer.assignments] == [a.id for a in page.assignments]
        assert rig.writes() == []
        assert rig.rows(WINDOWS) is before


async def test_an_empty_replacement_by_accident_is_refused(live: Emulator):
    async with gateway(live) as rig:
        failure = await replace(rig, [])
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["assignments"])
        failure = await replace(rig, [], expectedCount=3)
        assert (failure.status, failure.reason) == ("ABORTED", "COUNT_DIFFERS")
        assert not rig.writes()
        assert (await replace(rig, [], EMPTY)).assignments == []
        answer = await replace(rig, [], expectedCount=4)
        assert [a.source for a in answer.assignments] == [2]
        assert (await replace(rig, [], MACOS, allowEmpty=True)).assignments == []


async def test_a_replacement_with_one_target_twice_is_refused(live: Emulator):
    async with gateway(live) as rig:
        failure = await replace(rig, [group(), {"exclusionGroup": {"groupId": NEW.upper()}}])
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["assignments[1].target"])


async def test_get_answers_filters_source_and_unknown_types(live: Emulator):
    async with gateway(live) as rig:
        answers = [await ask(rig, "Get", deviceCompliancePolicyAssignmentId=row["id"].upper()) for row in rig.rows(WINDOWS)]
        assert [a.id for a in answers] == [row["id"] for row in rig.rows(WINDOWS)]
        assert {a.target.WhichOneof("type") for a in answers} == {"group", "exclusion_group", "unknown"}
        assert answers[2].target.device_and_app_management_assignment_filter_id == FILTER
        assert [a.source for a in answers] == [1, 1, 1, 2, 1]
        failure = await ask(rig, "Get", deviceCompliancePolicyAssignmentId="none")
        assert (failure.status, failure.resource) == ("NOT_FOUND", "none")


async def test_list_pages(live: Emulator):
    async with gateway(live) as rig:
        ids, token, pages = [], "", 0
        while True:
            page = await list_all(rig, pageSize=2, pageToken=token)
            ids += [a.id for a in page.assignments]
            token, pages = page.next_page_token, pages + 1
            if not token:
                break
        assert ids == [row["id"] for row in rig.rows(WINDOWS)]
        assert pages == 3
        assert (await list_all(rig, EMPTY)).assignments == []


async def test_page_tokens_of_others_and_damaged_ones_are_refused(live: Emulator):
    async with gateway(live) as rig:
        token = (await list_all(rig, pageSize=1)).next_page_token
        other = await list_all(rig, MACOS, pageToken=token)
        assert (other.status, other.fields) == ("INVALID_ARGUMENT", ["page_token"])
        swapped = ("A" if token[0] != "A" else "B") + token[1:]
        for damaged in (token[:-1], swapped, token + "A", "x", "ä", "eyJ9", token.lower()):
            failure = await list_all(rig, pageToken=damaged)
            assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["page_token"]), damaged
        failure = await list_all(rig, pageSize=1001)
        assert failure.fields == ["page_size"]


@pytest.mark.parametrize("operation", ["Create", "Get", "List", "Update", "Delete", "Replace"])
async def test_no_such_policy(live: Emulator, operation: str):
    async with gateway(live) as rig:
        calls = {
            "Create": lambda: create(rig, group(), "none"),
            "Get": lambda: ask(rig, "Get", "none", deviceCompliancePolicyAssignmentId="a"),
            "List": lambda: list_all(rig, "none"),
            "Update": lambda: update(rig, "a", group(), policy="none"),
            "Delete": lambda: ask(rig, "Delete", "none", deviceCompliancePolicyAssignmentId="a"),
            "Replace": lambda: replace(rig, [group()], "none"),
        }
        failure = await calls[operation]()
        assert (failure.status, failure.resource) == ("NOT_FOUND", "none")


async def test_what_graph_refuses_fails_with_its_reason_and_changes_nothing(live: Emulator):
    before = live.world.intune.policies[WINDOWS].rows
    refused = {
        "GRAPH_TYPE_ABSTRACT": {},
        "GRAPH_TYPE_UNKNOWN": {"unknown": {"odataType": "microsoft.graph.fooTarget", "json": "{}"}},
        "GRAPH_REFUSED_INPUT": {"configurationManagerCollection": {"collectionId": NEW}},
    }
    async with gateway(live) as rig:
        for reason, target in refused.items():
            failure = await create(rig, target)
            assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", reason)
            assert failure.metadata["graph_request_id"]
        assert rig.rows(WINDOWS) is before
