"""merge: for any rows and any edits, nothing is lost that no edit names."""

import copy
import json
import string
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from merging import merge, row_set

from gateway.assignments.edits import Add, Applied, Edit, Remove, ReplaceAll, Retarget
from gateway.assignments.merge import merge as merge_rows
from gateway.assignments.rows import key_of, row_id, target_of
from gateway.assignments.witness import lost
from gateway.errors import GatewayError, Reason
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, extra_properties, filter_of

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


def is_owned(row: dict) -> bool:
    return str(row.get("source") or "").lower() == "policysets"


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
    others = extra_properties(target)
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
edit_lists = st.lists(edit_kinds, max_size=6)


def carried_out(edits: list[Edit], outcomes: list) -> list[Edit]:
    return [edit for edit, outcome in zip(edits, outcomes, strict=True) if isinstance(outcome, Applied)]


def has_twins(rows: list[dict]) -> bool:
    keys = [key_of(row) for row in rows if not is_owned(row)]
    return len(set(keys)) < len(keys)


@given(row_lists(), edit_lists)
def test_rows_that_no_edit_touches_are_in_the_result_byte_for_byte(rows: list[dict], edits: list[Edit]):
    merged = merge(copy.deepcopy(rows), edits)
    texts = {json.dumps(row) for row in merged.rows}
    named = {key for outcome in merged.outcomes if isinstance(outcome, Applied) for key in outcome.touched}
    for row in rows:
        if not is_owned(row) and key_of(row) not in named:
            assert json.dumps(row) in texts


@given(row_lists(), edit_lists)
def test_what_changes_goes_out_with_one_row_a_key_and_none_of_a_policy_set(rows: list[dict], edits: list[Edit]):
    merged = merge(rows, edits)
    assert not any(is_owned(row) for row in merged.rows)
    if merged.changed:
        assert len({key_of(row) for row in merged.rows}) == len(merged.rows)


@given(row_lists(), edit_lists)
def test_the_input_is_left_alone_and_the_witness_agrees(rows: list[dict], edits: list[Edit]):
    before = copy.deepcopy(rows)
    merged = merge(rows, edits)
    assert rows == before
    assert lost(rows, merged.rows, carried_out(edits, merged.outcomes)) == []


@given(row_lists(), edit_lists)
def test_what_is_taken_over_of_the_rows_before_is_what_a_new_look_finds(rows: list[dict], edits: list[Edit]):
    sent = merge_rows(row_set(rows), edits).rows
    anew = row_set(sent.rows)
    assert (sent.direct, sent.owned, sent.values) == (anew.direct, anew.owned, anew.values)


@given(row_lists(), edit_lists, st.randoms())
def test_the_witness_sees_a_lost_or_altered_row(rows: list[dict], edits: list[Edit], random):
    """Beside a replacement too: what it names has to be there."""
    merged = merge(rows, edits)
    edits = carried_out(edits, merged.outcomes)
    named = {key for outcome in merged.outcomes if isinstance(outcome, Applied) for key in outcome.touched}
    kept = [row for row in rows if not is_owned(row) and key_of(row) not in named and row in merged.rows]
    by_id = {edit.row_id for edit in edits if isinstance(edit, Retarget | Remove)}
    added = [key_of({"target": edit.target}) for edit in edits if isinstance(edit, Add)]
    kept = [row for row in kept if row_id(row) not in by_id and key_of(row) not in added and rows.count(row) == 1]
    if kept:
        gone = random.choice(kept)
        assert gone in lost(rows, [row for row in merged.rows if row != gone], edits)
        if not any(isinstance(edit, ReplaceAll) for edit in edits):
            assert gone in lost(rows, [{**row, "x": 1} if row == gone else row for row in merged.rows], edits)


@given(row_lists(), edit_lists)
def test_the_judge_is_asked_about_every_row_that_an_edit_changes_or_removes(rows: list[dict], edits: list[Edit]):
    """Old and new, filters included: whoever asks later can tell every touched key from what the judges were asked."""
    asked: list[tuple[set, set]] = []

    def judge(added, removed) -> None:
        asked.append(tuple({(key_of({"target": t}), filter_of(t)) for t in targets} for targets in (added, removed)))

    merged = merge(rows, [replace(edit, judge=judge) for edit in edits])
    before = {(key_of(row), filter_of(target_of(row))) for row in rows if not is_owned(row)}
    after = {(key_of(row), filter_of(target_of(row))) for row in merged.rows}
    assert after - before <= set().union(*(added for added, _ in asked))
    assert before - after <= set().union(*(removed for _, removed in asked))


@given(row_lists(), edit_lists)
def test_what_the_judge_refuses_leaves_no_trace(rows: list[dict], edits: list[Edit]):
    def judge(added, removed) -> None:
        raise GatewayError(Reason.CALLER_NOT_PERMITTED)

    merged = merge(rows, [replace(edit, judge=judge) for edit in edits])
    assert not merged.changed


@given(row_lists(), edit_lists)
def test_a_done_edit_shows_and_a_refused_one_leaves_no_trace(rows: list[dict], edits: list[Edit]):
    owned = [row for row in rows if is_owned(row)]
    for edit in edits:
        merged = merge(rows, [edit])
        [outcome] = merged.outcomes
        if isinstance(outcome, GatewayError):
            assert not merged.changed
            assert sorted(map(json.dumps, merged.rows)) == sorted(map(json.dumps, merge(rows, []).rows))
        else:
            after = {key_of(row): row for row in [*owned, *merged.rows]}
            if isinstance(edit, Remove):
                assert outcome.key not in {key_of(row) for row in merged.rows if row_id(row) == edit.row_id}
            assert outcome.key is None or isinstance(edit, Remove) or outcome.key in after
            if isinstance(edit, Add | Retarget) and outcome.changed:
                kept = isinstance(edit, Retarget) and edit.keep_filter and filter_of(edit.target) == ("", "")
                assert kept or filter_of(after[outcome.key]["target"]) == filter_of(edit.target)
            if isinstance(edit, ReplaceAll):
                assert {key_of({"target": t}) for t in edit.targets} - {key_of(r) for r in owned} == {
                    key_of(r) for r in merged.rows
                }
            assert merged.touched == outcome.touched


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
                kept = replace(kept, expected_count=None, allow_empty=True)
            assert merge(once + owned, [kept]).rows == once


@given(row_lists(), st.lists(edit_kinds, min_size=2, max_size=5), st.randoms())
def test_the_order_of_independent_edits_does_not_matter(rows: list[dict], edits: list[Edit], random):
    assume(not has_twins(rows))
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
