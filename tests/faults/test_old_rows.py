"""Graph no longer accepts a row that the policy already has: that row is named, no caller's target is blamed, and edits that
remove the row still work."""

import asyncio

import pytest
from at_rest import groups
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, MERGE, create, delete, group, guid
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS

REFUSED = {
    "a type": ("refused_types", "scopeTagGroupAssignmentTarget"),
    "a property of the row": ("refused_properties", "note"),
    "a property of the target": ("refused_properties", "weights"),
}
BAD = {"configurationManagerCollection": {"collectionId": GROUP}}  # E15: a GUID as a collection id
NO_REASON = {"error": {"code": "BadRequest", "message": "An error has occurred - Operation ID (for customer support): 0"}}


@pytest.fixture(params=REFUSED)
def forgetful(request: pytest.FixtureRequest, live: Emulator) -> Emulator:
    """Graph serves the policy's fifth row, and does not accept it."""
    name, value = REFUSED[request.param]
    setattr(live.world.intune.model, name, [value])
    return live


def old_row(emulator: Emulator) -> str:
    [row_id] = [row["id"] for row in emulator.world.intune.policies[WINDOWS].rows if "scopeTag" in row["target"]["@odata.type"]]
    return row_id


def names_the_old_row(answer: object, emulator: Emulator) -> bool:
    assert isinstance(answer, Failure), answer
    assert (answer.status, answer.reason) == ("FAILED_PRECONDITION", "GRAPH_REFUSES_OLD_ROW")
    assert answer.resource == old_row(emulator)
    assert answer.fields == [], "no field of the request is wrong"
    return old_row(emulator) in answer.message and "scopeTagGroupAssignmentTarget" in answer.message


async def test_the_row_is_named_and_the_ledger_has_it(forgetful: Emulator):
    before = list(forgetful.world.intune.policies[WINDOWS].rows)
    async with gateway(forgetful, **MERGE) as rig:
        assert names_the_old_row(await create(rig, group(1), WINDOWS), forgetful)
        assert names_the_old_row(await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS), forgetful)
        assert {entry.outcome for entry in rig.entries()} == {"GRAPH_REFUSES_OLD_ROW"}
        assert {entry.state for entry in rig.entries()} == {"finished"}
    assert forgetful.world.intune.policies[WINDOWS].rows == before


async def waiting_together(rig: Rig, *targets: dict) -> list:
    """Creations that share a write, since they come during a slow read."""
    rig.emulator.world.faults.order([Fault(**LIST, delay_s=0.3)])
    first = asyncio.create_task(create(rig, group(90), WINDOWS))
    while rig.emulator.world.faults.waiting:
        await asyncio.sleep(0.005)
    answers = await asyncio.gather(*(create(rig, target, WINDOWS) for target in targets))
    await first
    return answers


async def test_many_that_share_a_write_are_all_told_the_same(forgetful: Emulator):
    async with gateway(forgetful, **MERGE) as rig:
        answers = await waiting_together(rig, *(group(number) for number in range(8)))
        assert all(names_the_old_row(answer, forgetful) for answer in answers)


async def test_a_bad_target_beside_an_old_row_is_still_its_own_callers_fault(live: Emulator):
    """Graph accepts the old rows here: the bad target is refused, and the other edits are carried out."""
    async with gateway(live, **MERGE) as rig:
        answers = await waiting_together(rig, group(1), BAD, group(2))
        assert [isinstance(answer, Assignment) for answer in answers] == [True, False, True]
        assert (answers[1].status, answers[1].reason) == ("INVALID_ARGUMENT", "GRAPH_REFUSED_INPUT")


async def test_who_removes_the_old_row_makes_room_for_the_others(forgetful: Emulator):
    async with gateway(forgetful, **MERGE) as rig:
        assert names_the_old_row(await create(rig, group(1), WINDOWS), forgetful)
        assert not isinstance(await delete(rig, old_row(forgetful), WINDOWS), Failure)
        assert isinstance(await create(rig, group(1), WINDOWS), Assignment)
        assert isinstance(await create(rig, group(1), EMPTY), Assignment), "other policies are not concerned"
    rows = forgetful.world.intune.policies[WINDOWS].rows
    assert not [row for row in rows if "scopeTag" in row["target"]["@odata.type"]]
    assert guid(1) in groups(forgetful, WINDOWS)
    assert len(rows) == 5


async def test_a_replacement_without_the_old_row_works(forgetful: Emulator):
    async with gateway(forgetful, **MERGE) as rig:
        request = {"deviceCompliancePolicyId": WINDOWS, "assignments": [{"target": group(1)}]}
        answer = await rig.call("ReplaceComplianceAssignments", request)
        assert not isinstance(answer, Failure), answer
    assert guid(1) in groups(forgetful, WINDOWS)
    assert len(forgetful.world.intune.policies[WINDOWS].rows) == 2, "and the policy set's"


async def test_a_new_row_of_a_type_that_graph_does_not_take_is_its_own_callers_fault(live: Emulator):
    """Graph's error is the same, but now it means the caller's target."""
    live.world.intune.model.refused_types = ["scopeTagGroupAssignmentTarget"]
    async with gateway(live, **MERGE) as rig:
        unknown = {"unknown": {"odataType": "#microsoft.graph.scopeTagGroupAssignmentTarget", "json": '{"targetType":"user"}'}}
        answer = await create(rig, unknown, EMPTY)
        assert (answer.status, answer.reason) == ("INVALID_ARGUMENT", "GRAPH_TYPE_UNKNOWN")
        assert len([w for w in rig.writes() if w["path"].endswith("assign")]) == 1


async def test_a_property_that_graph_does_not_declare_is_named_to_its_caller(live: Emulator):
    live.world.intune.model.refused_properties = ["ring"]
    async with gateway(live, **MERGE) as rig:
        odd = {
            "unknown": {"odataType": "#microsoft.graph.scopeTagGroupAssignmentTarget", "json": '{"targetType":"user","ring":1}'}
        }
        answer = await create(rig, odd, EMPTY)
        assert (answer.status, answer.reason) == ("INVALID_ARGUMENT", "GRAPH_PROPERTY_UNKNOWN")
        assert answer.message.startswith("assignment.target.ring: ")


async def test_a_deletion_that_graph_refuses_without_a_reason_is_not_its_callers_fault(live: Emulator):
    """E15 names nothing; the set without the caller's row has only rows that were there before."""
    live.world.faults.order([Fault(**ASSIGN, status=400, body=NO_REASON)])
    async with gateway(live, **MERGE) as rig:
        answer = await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS)
        assert (answer.status, answer.reason) == ("FAILED_PRECONDITION", "GRAPH_REFUSES_OLD_ROW")
        assert (answer.fields, answer.resource) == ([], "")
        assert not isinstance(await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS), Failure)


async def test_a_row_beside_one_of_a_policy_set_is_named_where_graph_names_nothing(live: Emulator):
    """When the direct row is sent back, Graph sees two rows for its target, whatever the edit."""
    theirs = {"source": "policySets", "target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(9)}}
    live.world.intune.set_rows(EMPTY, [theirs, {**theirs, "source": "direct"}])
    live.world.faults.order([Fault(**ASSIGN, status=400, body=NO_REASON, times=9)])
    async with gateway(live, **MERGE) as rig:
        answer = await create(rig, group(1))
        assert (answer.status, answer.reason) == ("FAILED_PRECONDITION", "GRAPH_REFUSES_OLD_ROW")
        assert answer.resource == f"{EMPTY}_{guid(9)}"


async def test_a_row_that_had_its_property_before_is_not_the_fault_of_who_changes_its_filter(live: Emulator):
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(9)}
    live.world.intune.set_rows(EMPTY, [{"note": "from before", "target": target}])
    live.world.intune.model.refused_properties = ["note"]
    async with gateway(live, **MERGE) as rig:
        filtered = group(9) | {
            "deviceAndAppManagementAssignmentFilterId": GROUP,
            "deviceAndAppManagementAssignmentFilterType": 2,
        }
        request = {"deviceCompliancePolicyId": EMPTY, "deviceCompliancePolicyAssignmentId": f"{EMPTY}_{guid(9)}"}
        mask = {"updateMask": "target.deviceAndAppManagementAssignmentFilterId"}
        answer = await rig.call("UpdateComplianceAssignment", request | mask | {"assignment": {"target": filtered}})
        assert (answer.status, answer.reason) == ("FAILED_PRECONDITION", "GRAPH_REFUSES_OLD_ROW")
        assert answer.resource == f"{EMPTY}_{guid(9)}"


async def test_a_property_that_another_row_has_as_well_is_the_fault_of_who_brings_it(live: Emulator):
    """Graph accepts the property in the other row, whose type has it."""
    words = "The property 'note' does not exist on type 'microsoft.management.services.api.groupAssignmentTarget'."
    body = {"error": {"code": "ModelValidationFailure", "message": words}}
    live.world.faults.order([Fault(**ASSIGN, status=400, body=body)])
    unknown = {"unknown": {"odataType": "#microsoft.graph.scopeTagGroupAssignmentTarget", "json": '{"note":"mine"}'}}
    async with gateway(live, **MERGE) as rig:
        answer = await create(rig, unknown, WINDOWS)
        assert (answer.status, answer.reason) == ("INVALID_ARGUMENT", "GRAPH_PROPERTY_UNKNOWN")


async def test_an_edit_beside_a_row_that_cannot_be_shown_was_carried_out(live: Emulator):
    """Its answer would have that row. The request ID stays taken, and the entry says what was done."""
    odd = {
        "id": f"{EMPTY}_odd",
        "source": 5,
        "sourceId": 7,
        "target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"},
    }
    live.world.intune.policies[EMPTY].history.append((0.0, [odd]))
    async with gateway(live, **MERGE) as rig:
        edits = [{"create": {"assignment": {"target": group(0)}}}]
        for _ in range(2):
            request = {"deviceCompliancePolicyId": EMPTY, "requestId": "once", "edits": edits}
            answer = await rig.call("EditComplianceAssignments", request)
            assert (answer.status, answer.reason) == ("ABORTED", "SET_CHANGED")
            assert answer.message == "The write was carried out. Graph has an assignment that cannot be read."
        assert groups(live) == {guid(0)}
        assert len(rig.writes()) == 1
        [entry] = rig.entries(request_id="once")
        assert (entry.outcome, guid(0) in (entry.changes or b"").decode()) == ("SET_CHANGED", True)
