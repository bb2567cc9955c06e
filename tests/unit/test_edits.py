"""merge, case by case: what is refused, what changes in place, what is no change, and rows that Graph should not have."""

import pytest
from merging import merge, row_set

from gateway.assignments.edits import Add, Applied, Edit, Remove, ReplaceAll, Retarget
from gateway.assignments.rows import key_of, target_of, value_of
from gateway.errors import GatewayError, Reason
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, filter_of
from gateway.sets import COMPLIANCE

GRAPH = "#microsoft.graph."
GUIDS = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(6)]
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"


def group(guid: str, name: str = "groupAssignmentTarget", **more: object) -> dict:
    return {"@odata.type": f"{GRAPH}{name}", "groupId": guid, **more}


def row(number: int, target: dict, source: str = "direct") -> dict:
    return {"id": f"p_{number}", "source": source, "target": target}


INCLUDE = {FILTER_ID: FILTER, FILTER_TYPE: "include"}
EXCLUSION = "exclusionGroupAssignmentTarget"
ROWS = [row(0, group(GUIDS[0])), row(1, group(GUIDS[1], EXCLUSION)), row(2, group(GUIDS[2]), "policySets")]
REFUSED = [
    (Add(group(GUIDS[0].upper())), Reason.ALREADY_ASSIGNED),
    (Add(group(GUIDS[0], EXCLUSION), "keep"), Reason.ALREADY_ASSIGNED),
    (Add(group(GUIDS[1]), "replace"), Reason.ALREADY_ASSIGNED),
    (Add(group(GUIDS[2])), Reason.ALREADY_ASSIGNED),
    (Add(group(GUIDS[2], **INCLUDE), "replace"), Reason.OWNED_BY_POLICY_SET),
    (Retarget("p_2", group(GUIDS[3])), Reason.OWNED_BY_POLICY_SET),
    (Retarget("p_0", group(GUIDS[1])), Reason.ALREADY_ASSIGNED),
    (Retarget("p_0", group(GUIDS[2])), Reason.ALREADY_ASSIGNED),
    (Retarget("p_1", INCLUDE, filter_only=True), Reason.INVALID_FIELD),
    (Retarget("p_9", group(GUIDS[3])), Reason.NOT_FOUND),
    (Remove("p_2"), Reason.OWNED_BY_POLICY_SET),
    (Remove("p_9"), Reason.NOT_FOUND),
    (ReplaceAll(()), Reason.INVALID_FIELD),
    (ReplaceAll((), expected_count=1), Reason.COUNT_DIFFERS),
    (ReplaceAll((group(GUIDS[3]), group(GUIDS[3], EXCLUSION))), Reason.INVALID_FIELD),
    (ReplaceAll((group(GUIDS[2], EXCLUSION),)), Reason.OWNED_BY_POLICY_SET),
]


@pytest.mark.parametrize(("edit", "reason"), REFUSED)
def test_what_is_refused(edit: Edit, reason: Reason):
    [outcome] = merge(ROWS, [edit]).outcomes
    assert isinstance(outcome, GatewayError)
    assert outcome.reason is reason


def test_a_filter_changes_in_place_and_all_else_stays():
    rows = [{"id": "p_0", "future": 1, "target": {"@odata.type": f"{GRAPH}groupAssignmentTarget", "x": 2, "groupId": GUIDS[0]}}]
    for edit in (
        Add(group(GUIDS[0], **INCLUDE), "replace"),
        Retarget("p_0", INCLUDE, filter_only=True),
        Retarget("p_0", group(GUIDS[0], **INCLUDE)),
        ReplaceAll((group(GUIDS[0], **INCLUDE),)),
    ):
        [changed] = merge(rows, [edit]).rows
        assert changed == {**rows[0], "target": {**rows[0]["target"], **INCLUDE}}


def test_removing_one_broad_target_leaves_the_other():
    rows = [
        row(0, {"@odata.type": f"{GRAPH}allDevicesAssignmentTarget"}),
        row(1, {"@odata.type": f"{GRAPH}allLicensedUsersAssignmentTarget"}),
    ]
    assert merge(rows, [Remove("P_0")]).rows == rows[1:]


def test_no_change_is_no_write():
    unchanged = [
        Add(group(GUIDS[0]), "keep"),
        Add(group(GUIDS[0]), "replace"),
        Add(group(GUIDS[2]), "keep"),
        Retarget("p_0", group(GUIDS[0])),
        Retarget("p_1", {}, filter_only=True),
        ReplaceAll((group(GUIDS[0]), group(GUIDS[1], EXCLUSION), group(GUIDS[2]))),
    ]
    merged = merge(ROWS, unchanged)
    assert all(isinstance(outcome, Applied) and not outcome.changed for outcome in merged.outcomes)
    assert not merged.changed


def test_a_new_target_drops_the_id_that_graph_made_from_the_old_one():
    [_, changed] = merge(ROWS, [Retarget("p_0", group(GUIDS[3]))]).rows
    assert changed == {"source": "direct", "target": group(GUIDS[3])}


@pytest.mark.parametrize(
    "spelling", [{}, {FILTER_TYPE: "none"}, {FILTER_ID: None}, {FILTER_ID: "00000000-0000-0000-0000-000000000000"}]
)
def test_no_filter_is_no_filter_however_spelled(spelling: dict):
    assert filter_of(spelling) == ("", "")
    one, other = ({"target": target} for target in (group(GUIDS[0]), group(GUIDS[0].upper(), **spelling)))
    assert (key_of(one), value_of(COMPLIANCE, (one,))) == (key_of(other), value_of(COMPLIANCE, (other,)))


TWINS = [row(0, group(GUIDS[0])), row(1, group(GUIDS[0], EXCLUSION)), row(2, group(GUIDS[1]))]


@pytest.mark.parametrize(
    "edit",
    [Add(group(GUIDS[3])), Retarget("p_2", INCLUDE, filter_only=True), Retarget("p_2", group(GUIDS[3])), Remove("p_2")],
)
def test_a_set_with_two_rows_for_one_target_is_not_written_over_silently(edit: Edit):
    merged = merge(TWINS, [edit])
    [error] = merged.outcomes
    assert error.reason is Reason.TARGET_ASSIGNED_TWICE
    assert "p_0 (group) and p_1 (exclusion_group)" in error.message
    assert merged.rows == TWINS


def test_a_deletion_by_id_or_a_replacement_makes_one_row_of_two_and_the_judge_sees_both():
    judged = []
    edits = [Remove("p_1", judge=lambda added, removed: judged.append(removed)), Add(group(GUIDS[3]))]
    merged = merge(TWINS, edits)
    assert all(isinstance(outcome, Applied) for outcome in merged.outcomes)
    assert merged.rows[:2] == [TWINS[0], TWINS[2]]
    assert judged == [(TWINS[1]["target"],)]
    replaced = ReplaceAll((group(GUIDS[0], EXCLUSION),), judge=lambda added, removed: judged.append(tuple(removed)))
    assert merge(TWINS, [replaced]).rows == [TWINS[1]]
    assert {row["target"]["groupId"] for row in TWINS} == {target["groupId"] for target in judged[1]}
    three = [*TWINS, row(3, group(GUIDS[0], **INCLUDE))]
    assert merge(three, [Remove("p_1")]).outcomes[0].reason is Reason.TARGET_ASSIGNED_TWICE


def test_a_repair_is_merged_before_the_edits_and_sees_to_no_row_of_a_policy_set():
    back = row(7, group(GUIDS[4], **INCLUDE))
    repairs = {key_of(back): (back,), key_of(ROWS[0]): (), key_of(ROWS[2]): (row(8, group(GUIDS[2])),)}
    merged = merge(ROWS, [Add(group(GUIDS[0]))], repairs)
    assert back in merged.rows
    assert isinstance(merged.outcomes[0], Applied)
    assert not any(target_of(r)["groupId"] == GUIDS[2] for r in merged.rows)


def test_rows_are_indexed_once_and_compared_by_value():
    rows = row_set(ROWS)
    assert rows.values is rows.values
    assert rows.value(key_of(ROWS[0])) == (("group", "", ""),)
    assert rows.value(key_of(ROWS[2])) == (), "a row of a policy set is not ours"
    assert rows.row(key_of(ROWS[2])) is ROWS[2]
