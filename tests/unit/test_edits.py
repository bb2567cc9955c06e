"""merge: for any rows and any edits, nothing is lost that no edit names."""

import copy
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.assignments.edits import Add, Done, Edit, Remove, ReplaceAll, Retarget, lost, merge, shown
from gateway.assignments.rows import FILTER_ID, FILTER_TYPE, filter_of, is_owned, key_of, others_of, row_id, same_target
from gateway.errors import GatewayError, Reason

GRAPH = "#microsoft.graph."
GUIDS = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(6)]
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"

guids = st.sampled_from(GUIDS).flatmap(lambda guid: st.sampled_from([guid, guid.upper()]))
filters = st.sampled_from(
    [
        {},
        {FILTER_ID: None, FILTER_TYPE: "none"},
        {FILTER_ID: FILTER, FILTER_TYPE: "include"},
        {FILTER_ID: FILTER, FILTER_TYPE: "exclude"},
    ]
)
odd = st.dictionaries(
    st.text(string.ascii_lowercase, min_size=1, max_size=4), st.integers() | st.text(max_size=3) | st.none(), max_size=2
)


def spelled(name: str) -> st.SearchStrategy[str]:
    full = f"microsoft.graph.{name}"
    return st.sampled_from([f"#{full}", full, f"#{full.upper()}"])


def of_type(name: str, **own: st.SearchStrategy) -> st.SearchStrategy[dict]:
    known = st.fixed_dictionaries({"@odata.type": spelled(name), **own})
    return st.tuples(known, filters, odd).map(lambda parts: {**parts[2], **parts[0], **parts[1]})


targets = st.one_of(
    of_type("groupAssignmentTarget", groupId=guids),
    st.tuples(spelled("exclusionGroupAssignmentTarget"), guids).map(lambda p: {"@odata.type": p[0], "groupId": p[1]}),
    of_type("allDevicesAssignmentTarget"),
    of_type("allLicensedUsersAssignmentTarget"),
    of_type("configurationManagerCollectionAssignmentTarget", collectionId=st.sampled_from(["SMS00001", "SMS00002"])),
    of_type("fooTarget", tag=st.sampled_from(["1", "2"])),
)


def without_others(target: dict) -> dict:
    others = others_of(target)
    return {k: v for k, v in target.items() if k not in others}


# What callers send; with properties that nobody knows it is nearly always refused.
asked = st.one_of(targets.map(without_others), targets.map(without_others), targets)


@st.composite
def row_lists(draw) -> list[dict]:
    rows = []
    for index, target in enumerate(draw(st.lists(targets, max_size=8))):
        source = draw(st.sampled_from(["direct", "direct", "policySets", None]))
        rows.append({"id": f"p_{index}", "source": source, **draw(odd), "target": target})
    return rows


row_ids = st.integers(0, 9).map(lambda i: f"p_{i}")
edit_kinds = st.one_of(
    st.builds(Add, asked, st.sampled_from(["fail", "keep", "replace"])),
    st.builds(Retarget, row_ids, asked, st.booleans(), st.booleans()),
    st.builds(Remove, row_ids),
    st.builds(ReplaceAll, st.lists(asked, max_size=4).map(tuple), st.none() | st.integers(0, 4), st.booleans(), st.booleans()),
)
without_replace = st.lists(edit_kinds.filter(lambda edit: not isinstance(edit, ReplaceAll)), max_size=6)
edit_lists = st.lists(edit_kinds, max_size=6)


def named(edits: list[Edit]) -> tuple[set, set]:
    ids = {e.row_id for e in edits if isinstance(e, Retarget | Remove)}
    return ids, {key_of({"target": e.target}) for e in edits if isinstance(e, Add)}


@given(row_lists(), without_replace)
def test_rows_that_no_edit_names_are_in_the_result_byte_for_byte(rows: list[dict], edits: list[Edit]):
    texts = {json.dumps(row) for row in merge(copy.deepcopy(rows), edits).rows}
    ids, keys = named(edits)
    seen = set()
    for row in rows:
        if not is_owned(row) and key_of(row) not in seen:
            seen.add(key_of(row))
            if row["id"] not in ids and key_of(row) not in keys:
                assert json.dumps(row) in texts


@given(row_lists(), edit_lists)
def test_one_row_a_key_goes_out_and_none_of_a_policy_set(rows: list[dict], edits: list[Edit]):
    sent = merge(rows, edits).rows
    assert len({key_of(row) for row in sent}) == len(sent)
    assert not any(is_owned(row) for row in sent)


@given(row_lists(), edit_lists)
def test_the_input_is_left_alone_and_the_witness_agrees(rows: list[dict], edits: list[Edit]):
    before = copy.deepcopy(rows)
    sent = merge(rows, edits).rows
    assert rows == before
    assert lost(rows, sent, edits) == []


@given(row_lists(), without_replace)
def test_the_witness_sees_a_lost_row(rows: list[dict], edits: list[Edit]):
    sent = merge(rows, edits).rows
    ids, keys = named(edits)
    first = {key_of(r): r for r in reversed(rows) if not is_owned(r)}.values()
    for row in (r for r in first if r["id"] not in ids and key_of(r) not in keys):
        rest = [r for r in sent if key_of(r) != key_of(row)]
        assert any(key_of(r) == key_of(row) for r in lost(rows, rest, edits))


@given(row_lists(), edit_lists)
def test_a_done_edit_shows_and_a_refused_one_leaves_no_trace(rows: list[dict], edits: list[Edit]):
    owned = [row for row in rows if is_owned(row)]
    for edit in edits:
        merged = merge(rows, [edit])
        [outcome] = merged.outcomes
        if isinstance(outcome, GatewayError):
            assert not merged.changed
            assert merged.rows == merge(rows, []).rows
        else:
            after = {key_of(row): row for row in [*owned, *merged.rows]}
            if isinstance(edit, Remove):
                assert outcome.key not in {key_of(row) for row in merged.rows}
            assert outcome.key is None or isinstance(edit, Remove) or outcome.key in after
            if isinstance(edit, Add | Retarget) and outcome.changed:
                kept = isinstance(edit, Retarget) and edit.keep_filter and filter_of(edit.target) == ("", "")
                assert kept or filter_of(after[outcome.key]["target"]) == filter_of(edit.target)
            if isinstance(edit, ReplaceAll):
                assert {key_of({"target": t}) for t in edit.targets} - {key_of(r) for r in owned} == {
                    key_of(r) for r in merged.rows
                }
            assert shown(outcome, merged.rows, merged.rows + owned)
            assert shown(outcome, merged.rows, rows) != outcome.changed


@given(row_lists(), edit_lists)
def test_merge_is_idempotent(rows: list[dict], edits: list[Edit]):
    owned = [row for row in rows if is_owned(row)]
    merged = merge(rows, edits)
    again = merge(merged.rows + owned, [])
    assert again.rows == merged.rows
    assert not again.changed
    for edit in edits:
        if isinstance(edit, ReplaceAll | Add) and not isinstance(merge(rows, [edit]).outcomes[0], GatewayError):
            once = merge(rows, [edit]).rows
            kept = Add(edit.target, "replace") if isinstance(edit, Add) and edit.if_exists != "keep" else edit
            if isinstance(kept, ReplaceAll):
                kept = ReplaceAll(kept.targets, None, allow_empty=True)
            assert merge(once + owned, [kept]).rows == once


@given(row_lists(), st.lists(edit_kinds, min_size=2, max_size=5), st.randoms())
def test_the_order_of_independent_edits_does_not_matter(rows: list[dict], edits: list[Edit], random):
    touched: set = set()
    independent = []
    for edit in edits:
        keys = {key_of({"target": edit.target})} if isinstance(edit, Add | Retarget) else set()
        if isinstance(edit, Retarget | Remove):
            keys |= {key_of(row) for row in rows if row_id(row) == edit.row_id}
        if not isinstance(edit, ReplaceAll) and not keys & touched:
            touched |= keys
            independent.append(edit)
    shuffled = independent[:]
    random.shuffle(shuffled)
    one, other = merge(rows, independent), merge(rows, shuffled)
    assert sorted(map(json.dumps, one.rows)) == sorted(map(json.dumps, other.rows))
    outcomes = {id(e): repr(o) for e, o in zip(independent, one.outcomes, strict=True)}
    assert outcomes == {id(e): repr(o) for e, o in zip(shuffled, other.outcomes, strict=True)}


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
    assert all(isinstance(outcome, Done) and not outcome.changed for outcome in merged.outcomes)
    assert not merged.changed


def test_a_new_target_drops_the_id_that_graph_made_from_the_old_one():
    [changed, _] = merge(ROWS, [Retarget("p_0", group(GUIDS[3]))]).rows
    assert changed == {"source": "direct", "target": group(GUIDS[3])}


@pytest.mark.parametrize(
    "spelling", [{}, {FILTER_TYPE: "none"}, {FILTER_ID: None}, {FILTER_ID: "00000000-0000-0000-0000-000000000000"}]
)
def test_no_filter_is_no_filter_however_spelled(spelling: dict):
    assert filter_of(spelling) == ("", "")
    assert same_target(group(GUIDS[0]), group(GUIDS[0].upper(), **spelling))
