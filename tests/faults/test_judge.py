"""The rules are asked about every row that an edit changes or removes, before and after the change, filters included."""

from collections.abc import AsyncIterator

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import MERGE, guid
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTER, FILTERED, GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

RULES = """
@id("the team may do what it likes, but not with a filter")
permit(principal == Caller::"team", action, resource)
unless { context has filter_types && context.filter_types.containsAny(["include", "exclude"]) };
permit(principal == Caller::"ops", action, resource);
"""
TOKENS = {name: new_token() for name in ("team", "ops")}
INCLUDE = {
    "deviceAndAppManagementAssignmentFilterId": FILTER,
    "deviceAndAppManagementAssignmentFilterType": "DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE",
}
ROW = {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{FILTERED}"}
PLAIN, OTHER = {"target": {"group": {"groupId": FILTERED}}}, {"target": {"group": {"groupId": guid(1)}}}
EXCLUDED = {"target": {"exclusionGroup": {"groupId": FILTERED}}}
# What would strip, change, move or remove the filter of a row that the caller may not touch.
TOUCHES = {
    "create that replaces": ("CreateComplianceAssignment", {"assignment": PLAIN, "ifExists": "IF_EXISTS_REPLACE"}),
    "update to the same group": ("UpdateComplianceAssignment", {**ROW, "assignment": PLAIN}),
    "update of the filter alone": (
        "UpdateComplianceAssignment",
        {**ROW, "assignment": PLAIN, "updateMask": "target.deviceAndAppManagementAssignmentFilterId"},
    ),
    "update to another group": ("UpdateComplianceAssignment", {**ROW, "assignment": OTHER}),
    "update that keeps the filter": ("UpdateComplianceAssignment", {**ROW, "assignment": OTHER, "keepFilter": True}),
    "update to an exclusion": ("UpdateComplianceAssignment", {**ROW, "assignment": EXCLUDED}),
    "delete": ("DeleteComplianceAssignment", ROW),
    "replace without the row": ("ReplaceComplianceAssignments", {"assignments": [OTHER]}),
    "replace with the row": ("ReplaceComplianceAssignments", {"assignments": [PLAIN, OTHER]}),
    "replace of everything": ("ReplaceComplianceAssignments", {"allowEmpty": True}),
}


@pytest.fixture
async def rig(live: Emulator) -> AsyncIterator[Rig]:
    rules = live.folder / "filters-are-for-ops.cedar"
    rules.write_text(RULES)
    callers = {"static": {name: hash_token(token) for name, token in TOKENS.items()}}
    async with gateway(live, callers=callers, authorization={"rules_file": str(rules)}, **MERGE) as rig:
        yield rig


async def ask(rig: Rig, caller: str, operation: str, fields: dict) -> object:
    metadata = (("authorization", f"Bearer {TOKENS[caller]}"),)
    return await rig.call(operation, {"deviceCompliancePolicyId": WINDOWS, **fields}, metadata=metadata)


@pytest.mark.parametrize("name", TOUCHES)
async def test_a_filter_that_a_caller_may_not_touch_stays(rig: Rig, name: str):
    before = list(rig.rows(WINDOWS))
    failure = await ask(rig, "team", *TOUCHES[name])
    assert rig.rows(WINDOWS) == before
    assert rig.emulator.world.intune.effects == []
    assert isinstance(failure, Failure)
    assert (failure.status, failure.reason) == ("PERMISSION_DENIED", "CALLER_NOT_PERMITTED")


@pytest.mark.parametrize("name", TOUCHES)
async def test_who_may_touch_it_does(rig: Rig, name: str):
    before = list(rig.rows(WINDOWS))
    answer = await ask(rig, "ops", *TOUCHES[name])
    assert not isinstance(answer, Failure), answer
    assert rig.rows(WINDOWS) != before


async def test_what_changes_no_filter_is_permitted(rig: Rig):
    kept = await ask(rig, "team", "CreateComplianceAssignment", {"assignment": PLAIN, "ifExists": "IF_EXISTS_KEEP"})
    assert isinstance(kept, Assignment), kept
    assert kept.target.device_and_app_management_assignment_filter_id == FILTER
    plain = {"target": {"group": {"groupId": GROUP}}}
    same = await ask(rig, "team", "CreateComplianceAssignment", {"assignment": plain, "ifExists": "IF_EXISTS_REPLACE"})
    assert isinstance(same, Assignment), same
    assert rig.writes() == []
    assert isinstance(await ask(rig, "team", "CreateComplianceAssignment", {"assignment": OTHER}), Assignment)
