"""Several edits in one write: all are carried out or none, whatever Graph does, and each is authorised separately."""

import asyncio
from typing import Any

import pytest
from at_rest import at_rest, effects, groups, groups_of
from compliance_gateway.v1.change_pb2 import ComplianceAssignmentsChange as Change
from edits_over_the_wire import ASSIGN, LIST, MERGE, create, group, guid
from rig import Failure, Rig, gateway, unthrottle

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, FILTERED, GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

CREATED, UPDATED, REMOVED, UNCHANGED = 1, 2, 3, 4
MANY = 100


def more(target: dict, **fields: Any) -> dict:
    return {"create": {"assignment": {"target": target}, **fields}}


def less(target: dict, **fields: Any) -> dict:
    return {"delete": {"target": target, **fields}}


def another(group_id: str, target: dict, **fields: Any) -> dict:
    return {"update": {"id": f"{WINDOWS}_{group_id}", "assignment": {"target": target}, **fields}}


async def edit(rig: Rig, *edits: dict, policy: str = EMPTY, token: str = "", **fields: Any) -> Any:
    request = {"deviceCompliancePolicyId": policy, "edits": edits, **fields}
    metadata = (("authorization", f"Bearer {token or rig.token}"),)
    return await rig.call("EditComplianceAssignments", request, metadata=metadata)


async def test_a_hundred_edits_are_one_write(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        answer = await edit(rig, *(more(group(number)) for number in range(MANY)))
        assert ([one.outcome for one in answer.outcomes], len(rig.writes())) == ([CREATED] * MANY, 1)
        assert [one.after.target.group.group_id for one in answer.outcomes] == [guid(number) for number in range(MANY)]
        assert all(one.after.id and not one.HasField("before") for one in answer.outcomes)
        answer = await edit(rig, *(less(group(number)) for number in range(MANY)), more(group(MANY)))
        assert ([one.outcome for one in answer.outcomes], len(rig.writes())) == ([REMOVED] * MANY + [CREATED], 2)
        assert (len(answer.assignments_before), len(answer.assignments_after), answer.revision) == (MANY, 1, 2)
    assert groups(live) == {guid(MANY)}
    assert len(effects(live)) == 2


async def test_what_each_edit_did_is_told(live: Emulator):
    before = {row["id"] for row in live.world.intune.policies[WINDOWS].rows}
    filtered = {"group": {"groupId": FILTERED}}
    async with gateway(live, **MERGE) as rig:
        answer = await edit(
            rig,
            more(group(1)),
            another(GROUP, {"exclusionGroup": {"groupId": guid(2)}}),
            less(filtered),
            more({"group": {"groupId": guid(1)}}, ifExists=1),
            less(group(9), allowMissing=True),
            policy=WINDOWS,
        )
        assert [one.outcome for one in answer.outcomes] == [CREATED, UPDATED, REMOVED, UNCHANGED, UNCHANGED]
        created, updated, removed, kept, missing = answer.outcomes
        assert (updated.before.id, updated.after.id) == (f"{WINDOWS}_{GROUP}", f"{WINDOWS}_{guid(2)}")
        assert removed.before.target.device_and_app_management_assignment_filter_id == FILTER
        assert not removed.HasField("after")
        assert created.after == kept.after
        assert not missing.HasField("before")
        assert not missing.HasField("after")
        assert {row.id for row in answer.assignments_before} == before
        assert {row.id for row in answer.assignments_after} == {row["id"] for row in rig.rows(WINDOWS)}
        assert len(rig.writes()) == 1


async def test_what_comes_to_nothing_is_no_write(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        for edits in ([more(group(1)), less(group(1))], [less(group(1), allowMissing=True)]):
            answer = await edit(rig, *edits)
            assert (answer.revision, rig.writes(), list(answer.assignments_after)) == (0, [], [])
        there = {"group": {"groupId": GROUP}}
        answer = await edit(rig, less(there), more(there), policy=WINDOWS)
        assert (answer.revision, rig.writes()) == (0, [])


async def test_one_that_graph_refuses_takes_all_of_its_own_and_no_other_callers(live: Emulator):
    """Both callers' edits share the first write, since they come while the list before it is read."""
    live.world.faults.order([Fault(**LIST, delay_s=1.0)])
    poison = {"configurationManagerCollection": {"collectionId": guid(7)}}
    async with gateway(live, **MERGE) as rig:
        refused, other = await asyncio.gather(edit(rig, more(group(1)), more(poison), more(group(2))), create(rig, group(3)))
        assert (refused.status, refused.reason) == ("INVALID_ARGUMENT", "GRAPH_REFUSED_INPUT")
        assert not isinstance(other, Failure), other
        assert len(rig.writes()[0]["body"]["assignments"]) == 4, "they did share a write"
    assert groups(live) == {guid(3)}
    assert len(effects(live)) == 1


FAULTS = {
    "503, nothing done": Fault(**ASSIGN, status=503, retry_after="0"),
    "409, nothing done": Fault(**ASSIGN, status=409),
    "500, done": Fault(**ASSIGN, status=500, effect="now"),
    "504, done late": Fault(**ASSIGN, status=504, effect="late", late_s=1),
    "cut off, nothing done": Fault(**ASSIGN, cut="before"),
    "cut off, done": Fault(**ASSIGN, cut="after"),
    "cut off, done late": Fault(**ASSIGN, cut="before", effect="late", late_s=1),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_is_half_done(live: Emulator, name: str):
    """Every state in Graph has all of the edits or none. A retry with the request ID gets the outcome."""
    fault = FAULTS[name]
    fault.times = 1
    live.world.graph.page_size = 100
    wanted = {guid(number) for number in range(1, 11)}
    edits = (less(group(0)), *(more(group(number)) for number in range(1, 11)))
    async with gateway(live, graph={**MERGE["graph"], "lag_s": 1, "late_s": 2}) as rig:
        assert not isinstance(await create(rig, group(0)), Failure)
        live.world.faults.order([fault])
        answer = await edit(rig, *edits, requestId="all")
        async with asyncio.timeout(30):
            while isinstance(answer, Failure):
                assert answer.reason in ("OUTCOME_UNKNOWN", "GRAPH_UNAVAILABLE", "GRAPH_CONFLICT", "NOT_CARRIED_OUT"), answer
                await asyncio.sleep(min(answer.retry_after or 0.1, 3))
                answer = await edit(rig, *edits, requestId="all")
        assert groups(live) == wanted
        assert [one.outcome for one in answer.outcomes] == [REMOVED, *[CREATED] * 10]
        assert [one.target.group.group_id for one in answer.assignments_before] == [guid(0)]
        await at_rest(rig)
    assert groups(live) == wanted
    for effect in effects(live):
        assert groups_of(effect.after) in ({guid(0)}, wanted)


async def test_an_error_names_as_many_refused_edits_as_fit(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        failure = await edit(rig, *(less(group(number)) for number in range(1000)))
        assert (failure.status, failure.reason) == ("NOT_FOUND", "NOT_FOUND")
        assert failure.fields[:2] == ["edits[0].delete", "edits[1].delete"]
        assert int(failure.metadata["more_violations"]) == 1000 - len(failure.fields)
        assert len(failure.seen) < 20_000
        failure = await edit(rig, *(more(group(number)) for number in range(1001)))
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["edits"])
        assert rig.writes() == []


RULES = """
permit(principal == Caller::"ops", action, resource);
permit(principal == Caller::"reader", action == Action::"ListComplianceAssignments", resource);
permit(principal == Caller::"groups", action == Action::"EditComplianceAssignments", resource)
when { ["group"].containsAll(context.kinds) };
permit(principal == Caller::"blind", action == Action::"EditComplianceAssignments", resource)
when { ["group"].containsAll(context.kinds) };
permit(principal == Caller::"groups", action == Action::"ListComplianceAssignments", resource);
forbid(principal, action, resource) when { context.added_ids.contains("0000029a-0000-4000-8000-000000000000") };
permit(principal == Caller::"careful", action, resource)
unless { [Action::"TouchEveryone", Action::"TouchUnknown"].contains(action) };
"""
TOKENS = {name: new_token() for name in ("ops", "reader", "groups", "blind", "careful")}
OWN = {"group": {"groupId": GROUP}}
EVERYONE, EXCLUSION = {"allDevices": {}}, {"exclusionGroup": {"groupId": EXCLUDED}}
EDIT = "EditComplianceAssignments"
# caller, edits -> what is missing: the permission; NOT_FOUND: a caller that may not read is told no more.
JUDGED = {
    "groups of groups": ("groups", [more(group(1)), less(OWN)], ""),
    "a forbidden group": ("groups", [more(group(1)), more(group(666))], EDIT),
    "all devices": ("groups", [more(group(1)), more(EVERYONE)], EDIT),
    "an exclusion that goes": ("groups", [more(group(1)), less(EXCLUSION)], EDIT),
    "an exclusion that becomes a group": ("groups", [another(EXCLUDED, group(1))], EDIT),
    "an exclusion that goes by its id": ("groups", [{"delete": {"id": f"{WINDOWS}_{EXCLUDED}"}}], EDIT),
    "a group that becomes forbidden": ("groups", [another(GROUP, group(666))], EDIT),
    "everyone for the careful": ("careful", [more(group(1)), more(EVERYONE)], "TouchEveryone"),
    "an unknown one that goes": (
        "careful",
        [{"delete": {"id": f"{WINDOWS}_593472ea-1bd9-5cb1-9e80-53a82186df42"}}],
        "TouchUnknown",
    ),
    "who only reads": ("reader", [more(group(1))], EDIT),
    "the blind, of groups": ("blind", [more(group(1)), less(OWN)], ""),
    "the blind, of what is hidden": ("blind", [more(group(1)), {"delete": {"id": f"{WINDOWS}_{EXCLUDED}"}}], "NOT_FOUND"),
}


def with_rules(emulator: Emulator) -> dict[str, Any]:
    (emulator.folder / "together.cedar").write_text(RULES)
    callers = {"static": {name: hash_token(token) for name, token in TOKENS.items()}}
    return {"callers": callers, "authorization": {"rules_file": str(emulator.folder / "together.cedar")}, **MERGE}


@pytest.mark.parametrize("preview", [False, True], ids=["write", "preview"])
@pytest.mark.parametrize("name", JUDGED)
async def test_each_edit_is_judged_row_by_row(live: Emulator, name: str, preview: bool):
    caller, edits, missing = JUDGED[name]
    before = live.world.intune.policies[WINDOWS].rows
    async with gateway(live, **with_rules(live)) as rig:
        answer = await edit(rig, *edits, policy=WINDOWS, token=TOKENS[caller], validateOnly=preview)
        if not missing:
            assert isinstance(answer, Change), answer
            assert len(rig.writes()) == (not preview)
            return
        if missing == "NOT_FOUND":
            assert (answer.status, answer.fields, answer.resource) == ("NOT_FOUND", [], "")
        else:
            assert (answer.status, answer.metadata["permission"]) == ("PERMISSION_DENIED", missing), answer
        assert rig.writes() == []
        assert rig.rows(WINDOWS) is before


@pytest.mark.parametrize("preview", [False, True], ids=["write", "preview"])
async def test_who_may_not_read_is_told_no_row_no_etag_and_no_count(live: Emulator, preview: bool):
    metadata = (("authorization", f"Bearer {TOKENS['blind']}"),)
    edits = [more(group(1)), less(OWN)]
    request = {"deviceCompliancePolicyId": WINDOWS, "edits": edits, "validateOnly": preview}
    async with gateway(live, **with_rules(live)) as rig:
        answer, trailers = await rig.exchange("EditComplianceAssignments", request, metadata=metadata)
        assert answer == Change(revision=answer.revision)
        assert "compliance-gateway-etag" not in trailers
        failure = await edit(rig, more(group(1)), more({"group": {"groupId": FILTERED}}), policy=WINDOWS, token=TOKENS["blind"])
        assert (failure.reason, failure.fields, failure.resource) == ("ALREADY_ASSIGNED", [], "")


async def test_a_thousand_edits_are_carried_out(live: Emulator):
    unthrottle(live)
    live.world.graph.page_size = 1000
    async with gateway(live, **MERGE) as rig:
        answer = await edit(rig, *(more(group(number)) for number in range(1000)))
        assert (len(answer.outcomes), len(rig.writes())) == (1000, 1)
    assert len(groups(live)) == 1000
