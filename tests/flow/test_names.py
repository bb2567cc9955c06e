"""Display names beside IDs, over both doors: which callers get which names, and the state if there is no name."""

from pathlib import Path
from typing import Any

import pytest
from compliance_gateway.v1.name_pb2 import ObjectName
from google.protobuf import json_format
from rest_caller import RestCaller, rest
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.errors import GROUP_ROLE
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EXCLUDED, FILTER, FILTERED, GROUP, MACOS, NAMES, POLICY_SET_GROUP, WINDOWS
from gateway.operations import OPERATIONS

LIST, REVISIONS, REVISION = (
    "ListComplianceAssignments", "ListComplianceAssignmentRevisions", "GetComplianceAssignmentRevision",
)  # fmt: skip
POLICY = {"deviceCompliancePolicyId": WINDOWS}
WITH = {**POLICY, "view": "ASSIGNMENT_VIEW_WITH_NAMES"}
READS = ("assignmentFilters", "deviceCompliancePolicies?$select=id,displayName", "getByIds")
ASSIGNMENTS = f"/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments"
WINDOWS_NAME, FILTER_NAME = "Windows: BitLocker and Secure Boot", "Corporate Windows"
ALL = {
    WINDOWS: WINDOWS_NAME,
    FILTER: FILTER_NAME,
    **{group: NAMES[group] for group in (GROUP, EXCLUDED, FILTERED, POLICY_SET_GROUP)},
}


def told(answer: Any) -> dict[str, str]:
    """ID -> the name, or the state if there is no name."""
    assert not isinstance(answer, Failure), answer
    assert len({name.id for name in answer.names}) == len(answer.names)
    return {name.id: name.display_name or ObjectName.State.Name(name.state) for name in answer.names}


def name_reads(rig: Rig) -> list[str]:
    return [r["path"] for r in rig.emulator.world.requests if any(part in r["path"] for part in READS)]


async def call(rig: Rig, caller: RestCaller, door: str, operation: str, request: dict[str, Any]) -> Any:
    message = json_format.ParseDict(request, OPERATIONS[operation].request())
    return await (rig.call(operation, message) if door == "grpc" else caller.call(operation, message))


@pytest.mark.parametrize("door", ["grpc", "rest"])
async def test_a_list_with_names(live: Emulator, door: str):
    async with rest(live) as (rig, caller):
        plain = await call(rig, caller, door, LIST, POLICY)
        assert not plain.names
        assert name_reads(rig) == []
        answer = await call(rig, caller, door, LIST, WITH)
        assert told(answer) == ALL
        kinds = {name.id: name.kind for name in answer.names}
        assert (kinds[WINDOWS], kinds[FILTER], kinds[GROUP]) == (1, 3, 2)
        assert (answer.assignments, answer.etag) == (plain.assignments, plain.etag)
        assert len(name_reads(rig)) >= 3
        before = len(name_reads(rig))
        assert told(await call(rig, caller, door, LIST, WITH)) == ALL
        assert len(name_reads(rig)) == before, "remembered"
        page = await call(rig, caller, door, LIST, {**WITH, "pageSize": 1})
        assert told(page) == {WINDOWS: WINDOWS_NAME, GROUP: NAMES[GROUP]}, "of what the page has"


async def test_a_policy_without_groups(live: Emulator):
    async with gateway(live) as rig:
        answer = await rig.call(LIST, {**WITH, "deviceCompliancePolicyId": MACOS})
        assert told(answer) == {MACOS: "macOS: FileVault"}, "all devices are no group"


async def test_rest_has_them_beside_the_rows_and_v1_has_no_filters(live: Emulator):
    async with rest(live) as (_, caller):
        beta = (await caller.send("GET", f"{ASSIGNMENTS}?view=withNames&$top=3")).json
        assert beta["@complianceGateway.names"][0] == {
            "id": WINDOWS, "kind": "policy", "state": "known", "displayName": WINDOWS_NAME,
        }  # fmt: skip
        assert "view=withNames&" in beta["@odata.nextLink"]
        v1 = (await caller.send("GET", f"{ASSIGNMENTS.replace('beta', 'v1.0')}?view=withNames")).json
        assert {name["kind"] for name in v1["@complianceGateway.names"]} == {"policy", "group"}
        assert FILTER not in str(v1)
        for path in (ASSIGNMENTS, ASSIGNMENTS.replace("assignments", "revisions")):
            wrong = await caller.send("GET", f"{path}?view=full")
            assert wrong.json["error"]["code"] == "INVALID_FIELD"
            assert "basic, withNames" in wrong.json["error"]["message"]


@pytest.mark.parametrize("door", ["grpc", "rest"])
async def test_revisions_with_names(live: Emulator, door: str):
    async with rest(live) as (rig, caller):
        target = {"target": {"group": {"groupId": GROUP}}}
        assert not isinstance(await rig.call("ReplaceComplianceAssignments", {**POLICY, "assignments": [target]}), Failure)
        page = await call(rig, caller, door, REVISIONS, {**POLICY, "view": "REVISION_VIEW_WITH_NAMES"})
        assert told(page) == {name: ALL[name] for name in (WINDOWS, EXCLUDED, FILTERED, FILTER)}
        [revision] = page.revisions
        assert not revision.names
        one = {**POLICY, "number": revision.number}
        assert not (await call(rig, caller, door, REVISION, one)).names
        found = await call(rig, caller, door, REVISION, {**one, "view": "REVISION_VIEW_WITH_NAMES"})
        assert (told(found), len(found.assignments_after)) == (told(page), 0)
        whole = await call(rig, caller, door, REVISION, {**one, "view": "REVISION_VIEW_FULL_WITH_NAMES"})
        assert told(whole) == ALL
        assert len(whole.assignments_after) == 2
    async with gateway(live) as rig:
        assert (await rig.call(REVISIONS, {**POLICY, "view": "REVISION_VIEW_FULL"})).fields == ["view"]


def rules(folder: Path, *more: str) -> dict[str, Any]:
    (folder / "rules.cedar").write_text("\n".join((f'permit(principal, action == Action::"{LIST}", resource);', *more)))
    return {"authorization": {"rules_file": str(folder / "rules.cedar")}}


async def test_who_may_not_read_names_is_told_none(live: Emulator, tmp_path: Path):
    async with gateway(live, **rules(tmp_path)) as rig:
        answer = await rig.call(LIST, WITH)
        assert told(answer) == dict.fromkeys(ALL, "STATE_CALLER_NOT_PERMITTED")
        assert len(answer.assignments) == len(rig.rows(WINDOWS))
        assert name_reads(rig) == []


@pytest.mark.parametrize("kind", ["group", "filter", "policy"])
async def test_names_of_one_kind(live: Emulator, tmp_path: Path, kind: str):
    of_kind = f'["{kind}"].containsAll(context.kinds)'
    rule = f'permit(principal, action == Action::"ReadNames", resource in Tenant::"emulator") when {{ {of_kind} }};'
    async with gateway(live, **rules(tmp_path, rule)) as rig:
        answer = await rig.call(LIST, WITH)
        known = {name.id for name in answer.names if name.state == ObjectName.STATE_KNOWN}
        assert known == {name.id for name in answer.names if ObjectName.Kind.Name(name.kind) == f"KIND_{kind.upper()}"}
        assert {n.state for n in answer.names if n.id not in known} == {ObjectName.STATE_CALLER_NOT_PERMITTED}


async def test_names_of_one_policy(live: Emulator, tmp_path: Path):
    rule = f'permit(principal, action == Action::"ReadNames", resource == Policy::"emulator/{MACOS}");'
    async with gateway(live, **rules(tmp_path, rule)) as rig:
        assert set(told(await rig.call(LIST, WITH)).values()) == {"STATE_CALLER_NOT_PERMITTED"}
        assert told(await rig.call(LIST, {**WITH, "deviceCompliancePolicyId": MACOS})) == {MACOS: "macOS: FileVault"}


async def test_the_app_may_not_read_groups(live: Emulator):
    live.world.entra.app.roles.remove(GROUP_ROLE)
    async with gateway(live) as rig:
        found = told(await rig.call(LIST, WITH))
        assert {found[group] for group in (GROUP, EXCLUDED, FILTERED, POLICY_SET_GROUP)} == {"STATE_PERMISSION_MISSING"}
        assert (found[WINDOWS], found[FILTER]) == (WINDOWS_NAME, FILTER_NAME)


async def test_what_is_gone(live: Emulator):
    del live.world.graph.trees.directory.groups[GROUP]
    live.world.graph.trees.filters.clear()
    async with gateway(live) as rig:
        gone = dict.fromkeys((GROUP, FILTER), "STATE_GONE")
        assert told(await rig.call(LIST, WITH)) == ALL | gone


@pytest.mark.parametrize("status", [500, 429, 404])
async def test_names_fail_no_list(live: Emulator, status: int):
    live.world.faults.order([Fault(method="POST", path="getByIds", times=99, status=status, retry_after="30")])
    async with gateway(live, graph={"max_attempts": 1}) as rig:
        found = told(await rig.call(LIST, WITH))
        assert (found[GROUP], found[WINDOWS]) == ("STATE_UNAVAILABLE", WINDOWS_NAME)


async def test_errors_tell_no_names(live: Emulator):
    async with gateway(live) as rig:
        assert told(await rig.call(LIST, WITH)) == ALL
        failure = await rig.call(
            "CreateComplianceAssignment", {**POLICY, "assignment": {"target": {"group": {"groupId": GROUP}}}}
        )
        assert failure.reason == "ALREADY_ASSIGNED"
        assert not any(name in f"{failure} {failure.seen}" for name in ALL.values())
