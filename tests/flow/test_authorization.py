"""A call without permission is refused before anything is looked up. The error names the permission, the ledger has an entry,
and nothing is sent to Graph."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from conftest import as_new
from edits_over_the_wire import MERGE, guid
from rig import Failure, Rig, at_once, gateway, logged

from gateway.cli.emulator import RULES as EMULATORS
from gateway.cli.emulator import config_for, tenant_of
from gateway.config import ConfigError, parse
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTERED, GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.plugins import authorizer_of

POLICIES = f"""
@id("ops may all") permit(principal == Caller::"ops", action, resource);

@id("hr may assign groups in emulator")
permit(
  principal == Caller::"hr",
  action in [
    Action::"CreateComplianceAssignment", Action::"UpdateComplianceAssignment",
    Action::"DeleteComplianceAssignment", Action::"ReplaceComplianceAssignments"
  ],
  resource in Tenant::"emulator"
) when {{ ["group"].containsAll(context.kinds) }};

@id("directory may read groups") permit(principal == Caller::"directory", action == Action::"ReadThrough", resource)
when {{ context.kind == "groups" || context.path like "*/assignments" }};

@id("but not the admins") forbid(principal, action, resource)
when {{ context.added_ids.contains("{guid(666)}") }} unless {{ principal == Caller::"ops" }};

@id("reader") permit(
  principal == Caller::"reader", action in [Action::"GetComplianceAssignment", Action::"ListComplianceAssignments"], resource
);

@id("filters") permit(principal == Caller::"filters", action == Action::"UpdateComplianceAssignment", resource)
when {{ ["include"].containsAll(context.filter_types) }};

@id("all operations, but not everyone") permit(principal == Caller::"careful", action, resource)
unless {{ [Action::"TouchEveryone", Action::"TouchUnknown"].contains(action) }};

@id("not that collection") forbid(principal, action, resource) when {{ context.added_ids.contains("SMS00001") }};
@id("bold may all") permit(principal == Caller::"bold", action, resource);
"""
HIDDEN = "a row that it may not touch, and not read either, is not there for it"
CALLERS = ("ops", "hr", "reader", "filters", "careful", "bold", "nobody")
TOKENS = {name: new_token() for name in CALLERS}
ALL_USERS, ALL_DEVICES = "acacacac-9df4-4c7d-9d50-4ef0226f57a9", "adadadad-808e-44e2-905a-0b7873a8a531"
DEVICES, GROUP_1 = {"allDevices": {}}, {"group": {"groupId": guid(1)}}
FILTER = "deviceAndAppManagementAssignmentFilter"


def filtered(kind: str) -> dict:
    return {f"{FILTER}Id": guid(5), f"{FILTER}Type": f"DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_{kind}"}


def unknown(text: str, name: str = "#microsoft.graph.fooAssignmentTarget") -> dict:
    return {"assignment": {"target": {"unknown": {"odataType": name, "json": text}}}}


def row(group: str) -> dict:
    return {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{group}"}


def to(*targets: dict) -> dict:
    return {"assignments": [{"target": target} for target in targets]}


# caller, operation, fields -> the missing permission, empty if it is allowed
CASES = [
    ("ops", "Create", {"assignment": {"target": DEVICES}}, ""),
    ("ops", "Create", {"assignment": {"target": {"group": {"groupId": guid(666)}}}}, ""),
    ("ops", "Delete", row(GROUP), ""),
    ("ops", "Replace", to(GROUP_1), ""),
    ("hr", "Create", {"assignment": {"target": GROUP_1}}, ""),
    ("hr", "Create", {"assignment": {"target": {"group": {"groupId": guid(666)}}}}, "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": {"group": {"groupId": guid(666).upper()}}}}, "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": DEVICES}}, "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": {"exclusionGroup": {"groupId": guid(1)}}}}, "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": {}}}, "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": {"unknown": {"odataType": "x.y", "json": "{}"}}}}, "CreateComplianceAssignment"),
    ("hr", "Delete", row(GROUP), ""),
    ("hr", "Delete", row(EXCLUDED), HIDDEN),
    ("hr", "Update", {**row(EXCLUDED), "assignment": {"target": GROUP_1}}, HIDDEN),
    ("hr", "Update", {**row(GROUP), "assignment": {"target": DEVICES}}, "UpdateComplianceAssignment"),
    ("hr", "Update", {**row(GROUP), "assignment": {"target": {"group": {"groupId": guid(666)}}}}, "UpdateComplianceAssignment"),
    ("hr", "Replace", to(GROUP_1), "ReplaceComplianceAssignments"),  # would remove an exclusion and an unknown row
    ("hr", "Get", row(GROUP), "GetComplianceAssignment"),
    ("hr", "List", {}, "ListComplianceAssignments"),
    ("reader", "Get", row(GROUP), ""),
    ("reader", "List", {}, ""),
    ("reader", "Create", {"assignment": {"target": GROUP_1}}, "CreateComplianceAssignment"),
    ("reader", "Delete", row("no-such-row"), "DeleteComplianceAssignment"),
    ("filters", "Update", {**row(FILTERED), "assignment": {"target": filtered("EXCLUDE")}}, HIDDEN),
    ("careful", "Create", {"assignment": {"target": GROUP_1}}, ""),
    ("careful", "Create", {"assignment": {"target": DEVICES}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"allLicensedUsers": {}}}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"group": {"groupId": ALL_USERS}}}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"group": {"groupId": ALL_USERS.upper()}}}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"group": {"groupId": ALL_DEVICES}}}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"exclusionGroup": {"groupId": ALL_USERS}}}}, "TouchEveryone"),
    ("careful", "Create", {"assignment": {"target": {"exclusionGroup": {"groupId": ALL_DEVICES.title()}}}}, "TouchEveryone"),
    ("careful", "Update", {**row(GROUP), "assignment": {"target": {"group": {"groupId": ALL_USERS}}}}, "TouchEveryone"),
    ("careful", "Replace", to(GROUP_1, {"group": {"groupId": ALL_DEVICES.upper()}}), "TouchEveryone"),
    ("careful", "Create", unknown("{}"), "TouchUnknown"),
    ("careful", "Create", unknown(f'{{"a":[{{"b":"{ALL_USERS.upper()}"}}]}}'), "TouchEveryone"),
    ("careful", "Replace", {"allowEmpty": True}, "TouchUnknown"),  # would remove an unknown row
    ("bold", "Replace", {"allowEmpty": True}, ""),
    ("bold", "Create", unknown(f'{{"entraObjectId":"{guid(666)}"}}'), "CreateComplianceAssignment"),
    ("bold", "Create", unknown(f'{{"groupid":"{guid(666).upper()}"}}'), "CreateComplianceAssignment"),
    ("bold", "Create", unknown(f'{{"a":{{"GroupId":["{guid(666)}"]}}}}'), "CreateComplianceAssignment"),
    ("bold", "Create", unknown('{"x":"\\u0030' + guid(666)[1:] + '"}'), "CreateComplianceAssignment"),
    ("hr", "Create", {"assignment": {"target": {"group": {"groupId": ALL_USERS}}}}, "CreateComplianceAssignment"),
    ("hr", "Replace", to({"group": {"groupId": ALL_USERS}}), "ReplaceComplianceAssignments"),
    ("ops", "Create", {"assignment": {"target": {"group": {"groupId": ALL_USERS}}}}, ""),
    ("nobody", "List", {}, "ListComplianceAssignments"),
    ("nobody", "Create", {"assignment": {"target": GROUP_1}}, "CreateComplianceAssignment"),
    (
        "nobody",
        "Create",
        {"assignment": {"target": GROUP_1}, "deviceCompliancePolicyId": "no-such"},
        "CreateComplianceAssignment",
    ),
]


def sections(folder: Path, text: str = POLICIES) -> dict:
    (folder / "rules.cedar").write_text(text)
    return {
        "authorization": {"rules_file": str(folder / "rules.cedar")},
        "callers": {"static": {name: hash_token(token) for name, token in TOKENS.items()}},
        **MERGE,
    }


async def ask(rig: Rig, caller: str, operation: str, fields: dict, tenant: str = ""):
    metadata = [("authorization", f"Bearer {TOKENS[caller]}"), *([("x-graph-tenant", tenant)] if tenant else [])]
    if operation == "Update" and "group" not in str(fields) and "Devices" not in str(fields):
        fields = {**fields, "updateMask": "target.deviceAndAppManagementAssignmentFilterId"}
    name = f"{operation}ComplianceAssignment{'s' if operation in ('Replace', 'List') else ''}"
    return await rig.call(name, {"deviceCompliancePolicyId": WINDOWS, **fields}, metadata=tuple(metadata))


@pytest.mark.parametrize(("caller", "operation", "fields"), [case[:3] for case in CASES if not case[3]])
async def test_who_may_does(live: Emulator, tmp_path: Path, caller: str, operation: str, fields: dict):
    async with gateway(live, **sections(tmp_path)) as rig:
        answer = await ask(rig, caller, operation, fields)
    assert not isinstance(answer, Failure), answer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rig(live_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One gateway for all refused calls: they change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.pipeline.floods.SECOND", 0.0)  # an entry for each
        async with gateway(as_new(live_emulator), **sections(tmp_path_factory.mktemp("rules"))) as found:
            yield found


@pytest.mark.parametrize(("caller", "operation", "fields", "missing"), [case for case in CASES if case[3]])
async def test_who_may_not_is_told_what_is_missing(
    rig: Rig, live: Emulator, caller: str, operation: str, fields: dict, missing: str
):
    before = len(rig.entries())
    answer = await ask(rig, caller, operation, fields)
    entries = rig.entries()[before:]
    if missing == HIDDEN:
        assert (answer.status, answer.reason) == ("NOT_FOUND", "NOT_FOUND")
        assert rig.writes() == []
        return
    assert (answer.status, answer.reason) == ("PERMISSION_DENIED", "CALLER_NOT_PERMITTED")
    assert answer.metadata["permission"] == missing
    assert missing in answer.message
    assert "permit" not in answer.message.replace("permission", ""), "not the text of the rules"
    assert rig.writes() == []
    assert [(entry.outcome, entry.caller, entry.state) for entry in entries] == [("CALLER_NOT_PERMITTED", caller, "finished")]


@pytest.mark.parametrize("everyone", [DEVICES, {"group": {"groupId": ALL_USERS}}, {"exclusionGroup": {"groupId": ALL_USERS}}])
async def test_everyone_is_touched_by_removal_too(live: Emulator, tmp_path: Path, everyone: dict):
    async with gateway(live, **sections(tmp_path)) as rig:
        created = await ask(rig, "ops", "Create", {"assignment": {"target": everyone}, "deviceCompliancePolicyId": EMPTY})
        before = rig.rows(EMPTY)
        for operation, fields in (
            ("Delete", {"deviceCompliancePolicyAssignmentId": created.id}),
            ("Update", {"deviceCompliancePolicyAssignmentId": created.id, "assignment": {"target": GROUP_1}}),
            ("Replace", to(GROUP_1)),
        ):
            answer = await ask(rig, "careful", operation, {**fields, "deviceCompliancePolicyId": EMPTY})
            assert answer.metadata["permission"] == "TouchEveryone"
        assert len(before) == 1
        assert rig.rows(EMPTY) == before


async def test_a_refused_edit_harms_no_other_in_the_same_write(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        answers = await asyncio.gather(
            ask(rig, "hr", "Create", {"assignment": {"target": GROUP_1}}),
            ask(rig, "hr", "Delete", row(EXCLUDED)),
            ask(rig, "ops", "Delete", row(GROUP)),
        )
        assert [isinstance(answer, Failure) for answer in answers] == [False, True, False]
        assert f"{WINDOWS}_{EXCLUDED}" in {r["id"] for r in rig.rows(WINDOWS)}


async def test_another_tenant_is_another(live: Emulator, tmp_path: Path):
    tenants = {"emulator": tenant_of(live), "other": tenant_of(live)}
    async with gateway(live, tenants=tenants, **sections(tmp_path)) as rig:
        fields = {"assignment": {"target": GROUP_1}}
        assert (await ask(rig, "hr", "Create", fields, "other")).metadata["permission"] == "CreateComplianceAssignment"
        assert not isinstance(await ask(rig, "hr", "Create", fields, "emulator"), Failure)
        again = await ask(rig, "hr", "Create", fields)
        assert again.reason == "ALREADY_ASSIGNED", "the only tenant in which it may needs no name"
        assert (await ask(rig, "ops", "Create", fields)).reason == "TENANT_REQUIRED"
        assert (await ask(rig, "nobody", "Create", fields)).reason == "CALLER_NOT_PERMITTED"
        assert [entry.tenant for entry in rig.entries()] == ["other", "emulator", "emulator", "", ""]


async def test_policies_are_read_again_and_wrong_ones_are_not_taken(live: Emulator, tmp_path: Path):
    async with gateway(live, server={"reload_s": 0.05}, **sections(tmp_path)) as rig:
        with logged() as lines:

            async def write(text: str, told: str) -> None:
                at_once(tmp_path / "rules.cedar", text)
                async with asyncio.timeout(60):
                    while not any(told in line for line in lines):
                        await asyncio.sleep(0.02)
                lines.clear()

            assert not isinstance(await ask(rig, "reader", "List", {}), Failure)
            await write("permit(principal, action, ", "the new rules are wrong; the old ones stay")
            assert not isinstance(await ask(rig, "reader", "List", {}), Failure)
            await write('permit(principal == Caller::"nobody", action, resource);', "rules loaded")
            assert isinstance(await ask(rig, "reader", "List", {}), Failure)
            assert not isinstance(await ask(rig, "nobody", "List", {}), Failure)
            (tmp_path / "rules.cedar").unlink()
            await asyncio.sleep(0.2)
            assert not isinstance(await ask(rig, "nobody", "List", {}), Failure)


WRONG = {
    "no Cedar": "permit everything",
    "an unknown entity": 'permit(principal == User::"x", action, resource);',
    "an unknown operation": 'permit(principal, action == Action::"Crate", resource);',
    "an unknown fact": "permit(principal, action, resource) when { context.group == 1 };",
    "a wrong type": 'permit(principal, action, resource) when { context.kinds == "group" };',
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_policies_stop_the_start(live: Emulator, tmp_path: Path, name: str):
    values = config_for(live, hash_token(new_token())) | sections(tmp_path, WRONG[name])
    with pytest.raises(ConfigError, match=r"authorization\.rules_file: .*rules\.cedar"):
        authorizer_of(parse(values).authorization)


async def test_the_emulators_three_callers(live: Emulator, tmp_path: Path):
    (tmp_path / "rules.cedar").write_text(EMULATORS)
    tokens = {name: new_token() for name in ("demo", "groups-only", "reader")}
    callers = {"static": {name: hash_token(token) for name, token in tokens.items()}}
    authorization = {"rules_file": str(tmp_path / "rules.cedar")}
    may = {"demo": [True, True, True], "groups-only": [True, False, False], "reader": [False, False, True]}
    async with gateway(live, callers=callers, authorization=authorization, **MERGE) as rig:
        for number, (name, token) in enumerate(tokens.items()):
            metadata = (("authorization", f"Bearer {token}"),)
            targets = {"group": {"groupId": guid(number)}}, {"exclusionGroup": {"groupId": guid(10 + number)}}
            answers = [
                await rig.call(
                    "CreateComplianceAssignment",
                    {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": target}},
                    metadata=metadata,
                )
                for target in targets
            ]
            request = {"deviceCompliancePolicyId": EMPTY}
            answers.append(await rig.call("ListComplianceAssignments", request, metadata=metadata))
            assert [not isinstance(answer, Failure) for answer in answers] == may[name], name
