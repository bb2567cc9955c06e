"""What a caller does not know or cannot see is kept through its edits."""

import pytest
from merging import merge

from gateway.assignments.edits import Add, ReplaceAll, Retarget
from gateway.errors import Reason
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, filter_of

GRAPH = "#microsoft.graph."
GUIDS = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(2)]
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"


def group(guid: str) -> dict:
    return {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": guid}


OTHERS = {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GUIDS[0], "ring": {"pilot": True}}
FILTERED = {**group(GUIDS[0]), FILTER_ID: FILTER, FILTER_TYPE: "include"}


def row_of(target: dict) -> dict:
    return {"id": "p_0", "source": "direct", "target": target}


KEPT_NOT_SET = {
    "a new row": ([], Add(OTHERS)),
    "another value": ([row_of(OTHERS)], Retarget("p_0", {**OTHERS, "ring": {"pilot": False}})),
    "one more": ([row_of(OTHERS)], Add({**OTHERS, "more": 1}, "keep")),
    "to another kind": ([row_of(OTHERS)], Retarget("p_0", {**OTHERS, "@odata.type": f"{GRAPH}exclusionGroupAssignmentTarget"})),
    "in a set": ([], ReplaceAll((OTHERS,))),
    "a filter in other letters": ([], Add({**group(GUIDS[0]), FILTER_ID.lower(): FILTER})),
    "a group of all devices": ([], Add({"@odata.type": f"{GRAPH}allDevicesAssignmentTarget", "groupId": GUIDS[0]})),
}


@pytest.mark.parametrize("name", KEPT_NOT_SET)
def test_a_property_that_nobody_knows_is_not_set(name: str):
    rows, edit = KEPT_NOT_SET[name]
    merged = merge(rows, [edit])
    assert merged.rows == rows
    [error] = merged.outcomes
    assert error.reason is Reason.INVALID_FIELD
    assert error.violations[0].field.endswith("target.other_properties")


@pytest.mark.parametrize("sent", [OTHERS, group(GUIDS[0])], ids=["sent back", "left out"])
def test_a_property_that_nobody_knows_is_kept_through_every_edit(sent: dict):
    filtered = {**sent, FILTER_ID: FILTER, FILTER_TYPE: "exclude"}
    for edit in (Add(filtered, "replace"), Retarget("p_0", filtered), ReplaceAll((filtered,))):
        [row] = merge([row_of(OTHERS)], [edit]).rows
        assert row == row_of({**OTHERS, FILTER_ID: FILTER, FILTER_TYPE: "exclude"})
    [row] = merge([row_of(OTHERS)], [Retarget("p_0", {**sent, "groupId": GUIDS[1]})]).rows
    assert row["target"] == {**OTHERS, "groupId": GUIDS[1]}


def test_callers_that_cannot_see_filters_keep_them():
    rows, bare = [row_of(FILTERED)], group(GUIDS[0])
    for edit in (Retarget("p_0", bare, keep_filter=True), ReplaceAll((bare,), keep_filters=True)):
        assert merge(rows, [edit]).rows == rows
    assert all(filter_of(merge(rows, [e]).rows[0]["target"]) == ("", "") for e in (Retarget("p_0", bare), ReplaceAll((bare,))))
    moved = merge(rows, [Retarget("p_0", group(GUIDS[1]), keep_filter=True)]).rows[0]["target"]
    assert moved == {**FILTERED, "groupId": GUIDS[1]}
    exclusion = {**bare, "@odata.type": f"{GRAPH}exclusionGroupAssignmentTarget"}
    assert merge(rows, [Retarget("p_0", exclusion, keep_filter=True)]).rows[0]["target"] == exclusion
