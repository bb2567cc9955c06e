"""A caller that may write and not read learns no filter, row or count. A permission that is withdrawn during a write, or later,
counts."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from edits_over_the_wire import LIST, MERGE, guid
from rig import Failure, Rig, at_once, gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, FILTERED, GROUP, POLICY_SET_GROUP, WINDOWS
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

WRITES = ", ".join(f'Action::"{name}"' for name, operation in OPERATIONS.items() if operation.writes)
RULES = f"""
permit(principal == Caller::"writer", action in [{WRITES}], resource);
permit(principal == Caller::"writer", action in [Action::"TouchEveryone", Action::"TouchUnknown"], resource);
permit(principal == Caller::"ops", action, resource);
permit(principal == Caller::"teller", action, resource)
unless {{ [Action::"TouchEveryone", Action::"TouchUnknown"].contains(action) }};
permit(principal == Caller::"groups", action == Action::"ReplaceComplianceAssignments", resource);
permit(
  principal == Caller::"including",
  action in [Action::"UpdateComplianceAssignment", Action::"DeleteComplianceAssignment"],
  resource
) when {{ ["group"].containsAll(context.kinds) }};
"""
TOKENS = {name: new_token() for name in ("writer", "ops", "teller", "groups", "including")}
OTHER_FILTER = {
    "deviceAndAppManagementAssignmentFilterId": guid(77),
    "deviceAndAppManagementAssignmentFilterType": "DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_EXCLUDE",
}


def group(group_id: str) -> dict:
    return {"target": {"group": {"groupId": group_id}}}


@pytest.fixture
async def rig(live: Emulator) -> AsyncIterator[Rig]:
    rules = live.folder / "discretion.cedar"
    rules.write_text(RULES)
    callers = {"static": {name: hash_token(token) for name, token in TOKENS.items()}}
    sections = {"authorization": {"rules_file": str(rules)}, "server": {"reload_s": 0.05}, **MERGE}
    async with gateway(live, callers=callers, **sections) as rig:
        yield rig


async def ask(rig: Rig, caller: str, operation: str, **fields: Any) -> Any:
    name = f"{operation}ComplianceAssignment{'s' if operation in ('Replace', 'List', 'Edit') else ''}"
    metadata = (("authorization", f"Bearer {TOKENS[caller]}"),)
    return await rig.call(name, {"deviceCompliancePolicyId": WINDOWS, **fields}, metadata=metadata)


FILTER_ALONE = {"assignment": {"target": OTHER_FILTER}, "updateMask": "target.deviceAndAppManagementAssignmentFilterId"}


@pytest.mark.parametrize(
    ("operation", "fields"), [("Delete", {}), ("Update", FILTER_ALONE), ("Update", {"assignment": group(guid(1))})]
)
async def test_what_a_caller_may_not_touch_is_not_there_for_it(rig: Rig, operation: str, fields: dict):
    """A row's ID contains the group's ID, so a different answer would tell whether a group is assigned."""
    answers = [
        await ask(rig, "including", operation, deviceCompliancePolicyAssignmentId=f"{WINDOWS}_{one}", **fields)
        for one in (EXCLUDED, POLICY_SET_GROUP, guid(99))
    ]
    told = {(answer.status, answer.reason, answer.message, answer.resource, tuple(answer.fields)) for answer in answers}
    assert len(told) == 1, told
    assert answers[0].reason == "NOT_FOUND"


REFUSED = {
    "there already": ("Create", {"assignment": group(FILTERED)}, "ALREADY_ASSIGNED"),
    "there as an exclusion": ("Create", {"assignment": group(EXCLUDED)}, "ALREADY_ASSIGNED"),
    "there from a policy set": (
        "Create",
        {
            "assignment": {"target": {"group": {"groupId": POLICY_SET_GROUP}, **OTHER_FILTER}},
            "ifExists": "IF_EXISTS_REPLACE",
        },
        "OWNED_BY_POLICY_SET",
    ),
    "taken by another": (
        "Update",
        {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{GROUP}", "assignment": group(FILTERED)},
        "ALREADY_ASSIGNED",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_tells_nothing_of_rows(rig: Rig, name: str):
    operation, fields, reason = REFUSED[name]
    seen, told = [await ask(rig, caller, operation, **fields) for caller in ("ops", "writer")]
    assert (seen.reason, told.reason, told.status) == (reason, reason, seen.status)
    assert (told.resource, told.metadata) == ("", {})
    assert not any(word in told.message for word in (WINDOWS, "exclusion", "4", "77"))
    assert seen.message != told.message or seen.resource


def more(target: dict) -> dict:
    return {"create": {"assignment": target}}


async def test_what_is_wrong_with_one_edit_tells_nothing_of_the_others(rig: Rig):
    """Otherwise a caller could learn about every group, without a write, by adding one edit that is always refused."""
    wrong = {"target": {**group(guid(1))["target"], "otherProperties": '{"made": "up"}'}}
    edits = [more(wrong), more(group(FILTERED)), more(group(EXCLUDED)), {"delete": {"id": f"{WINDOWS}_{POLICY_SET_GROUP}"}}]
    seen, told = [await ask(rig, caller, "Edit", edits=edits, validateOnly=True) for caller in ("ops", "writer")]
    assert len(seen.fields) == len(edits)
    assert (seen.reason, told.reason) == ("INVALID_FIELD", "INVALID_FIELD")
    assert told.fields == ["edits[0].create.assignment.target.other_properties"]
    alone = await ask(rig, "writer", "Edit", edits=edits[:1], validateOnly=True)
    assert (told.message, told.metadata) == (alone.message, alone.metadata)
    assert "edits[1]" not in told.seen
    one, other = [
        await ask(rig, "writer", "Edit", edits=[more(wrong)] * 20 + [more(group(whose))] * 2, validateOnly=True)
        for whose in (FILTERED, guid(2))
    ]
    assert (one.reason, one.message, one.metadata) == (other.reason, other.message, other.metadata), "nor how many"


async def test_what_only_the_rows_make_necessary_is_not_named(rig: Rig):
    failure = await ask(rig, "groups", "Replace", assignments=[group(guid(1))])
    assert (failure.reason, failure.metadata["permission"]) == ("CALLER_NOT_PERMITTED", "ReplaceComplianceAssignments")
    assert "unknown" not in failure.message
    counted = await ask(rig, "groups", "Replace", assignments=[group(guid(1))], expectedCount=77)
    assert counted.reason == "CALLER_NOT_PERMITTED", "the count comes after the permission"


async def test_a_row_that_is_kept_is_answered_without_its_filter(rig: Rig):
    kept = {"assignment": group(FILTERED), "ifExists": "IF_EXISTS_KEEP"}
    seen, told = [await ask(rig, caller, "Create", **kept) for caller in ("ops", "writer")]
    assert seen.target.device_and_app_management_assignment_filter_id == FILTER
    assert (told.id, told.target.group.group_id) == (seen.id, FILTERED)
    assert FILTER not in str(told)
    assert not told.source


async def test_a_replacement_answers_the_callers_own_rows(rig: Rig):
    told = await ask(rig, "writer", "Replace", assignments=[group(FILTERED), group(guid(1))], keepFilters=True)
    assert [row.target.group.group_id for row in told.assignments] == [FILTERED, guid(1)]
    assert [row.id for row in told.assignments] == [f"{WINDOWS}_{FILTERED}", f"{WINDOWS}_{guid(1)}"]
    assert FILTER not in str(told)
    assert FILTER in str(await ask(rig, "ops", "List"))


@pytest.mark.parametrize("policy", [WINDOWS, EMPTY])
@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("count", range(7))
async def test_how_many_there_are_cannot_be_tried_out(rig: Rig, policy: str, count: int, preview: bool):
    """A preview writes nothing, nor does a call that Graph refuses. If they told whether expected_count is right, a caller
    could find the count by trying."""
    refused = {"target": {"unknown": {"odataType": "#x.y"}}}
    wanted = {"assignments": [group(guid(1))], "validateOnly": True} if preview else {"assignments": [refused]}
    asked = {"deviceCompliancePolicyId": policy, "expectedCount": count, **wanted}
    answer = await ask(rig, "writer", "Replace", **asked)
    assert (answer.reason, answer.metadata["permission"]) == ("CALLER_NOT_PERMITTED", "ListComplianceAssignments")
    known = await ask(rig, "ops", "Replace", **asked)
    assert getattr(known, "reason", "") in ("", "COUNT_DIFFERS", "GRAPH_TYPE_UNKNOWN"), "who may read may ask"


@pytest.mark.parametrize("policy", [WINDOWS, EMPTY])
async def test_an_empty_set_is_confirmed_whether_or_not_there_is_any_assignment(rig: Rig, policy: str):
    for preview in (False, True):
        asked = {"deviceCompliancePolicyId": policy, "assignments": [], "validateOnly": preview}
        answer = await ask(rig, "writer", "Replace", **asked)
        assert (answer.reason, answer.fields) == ("INVALID_FIELD", ["assignments"])
    assert not isinstance(await ask(rig, "writer", "Replace", **asked, allowEmpty=True), Failure)


async def rules_become(rig: Rig, text: str) -> None:
    with logged() as lines:
        at_once(rig.emulator.folder / "discretion.cedar", text)
        async with asyncio.timeout(60):
            while not any("rules loaded" in line for line in lines):
                await asyncio.sleep(0.02)


async def test_a_replayed_answer_tells_nothing_that_was_withdrawn(rig: Rig):
    fields = {"assignments": [group(FILTERED)], "keepFilters": True, "requestId": "once"}
    assert FILTER in str(await ask(rig, "ops", "Replace", **fields))
    await rules_become(rig, RULES.replace('"ops", action,', f'"ops", action in [{WRITES}],'))
    told = await ask(rig, "ops", "Replace", **fields)
    assert [row.target.group.group_id for row in told.assignments] == [FILTERED]
    assert FILTER not in str(told)


@pytest.mark.parametrize("if_exists", ["IF_EXISTS_UNSPECIFIED", "IF_EXISTS_KEEP", "IF_EXISTS_REPLACE"])
@pytest.mark.parametrize("target", [guid(1), GROUP])
async def test_a_permission_that_is_withdrawn_while_a_creation_waits_counts(rig: Rig, target: str, if_exists: str):
    rig.emulator.world.faults.order([Fault(**LIST, delay_s=1.5)])
    creating = asyncio.create_task(ask(rig, "writer", "Create", assignment=group(target), ifExists=if_exists))
    async with asyncio.timeout(60):
        while not rig.emulator.world.requests:
            await asyncio.sleep(0.01)
    await rules_become(rig, RULES.replace('"writer"', '"nobody"'))
    failure = await creating
    assert isinstance(failure, Failure)
    assert failure.reason == "CALLER_NOT_PERMITTED"
    assert rig.emulator.world.intune.effects == []


async def test_a_replacement_that_keeps_what_its_caller_may_not_touch_is_permitted(rig: Rig):
    everyone = {"target": {"allLicensedUsers": {}}}
    await ask(rig, "ops", "Replace", assignments=[everyone, group(GROUP)])
    kept = await ask(rig, "teller", "Replace", assignments=[everyone, group(guid(1))])
    assert not isinstance(kept, Failure), kept
    filtered = {"target": {"allLicensedUsers": {}, **OTHER_FILTER}}
    for rows in ([group(guid(1))], [filtered, group(guid(1))], [everyone, {"target": {"allDevices": {}}}]):
        failure = await ask(rig, "teller", "Replace", assignments=rows)
        assert failure.metadata["permission"] == "TouchEveryone"
