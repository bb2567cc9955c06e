"""Restorations and several edits at once, merged: what was there comes back exactly, and nothing else is touched."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from merging import merge, row_set

from gateway.assignments.edits import Add, Applied, Remove, ReplaceAll, Restore, Retarget, Together
from gateway.assignments.rows import key_of
from gateway.assignments.witness import lost
from gateway.errors import GatewayError

GROUP = "#microsoft.graph.groupAssignmentTarget"
FILTERS = (None, "51627384-95a6-4b7c-88d9-eafb0c1d2e34", "71627384-95a6-4b7c-88d9-eafb0c1d2e34")


def target(number: int, of_filter: str | None = None, **more: object) -> dict:
    filtered = {
        "deviceAndAppManagementAssignmentFilterId": of_filter,
        "deviceAndAppManagementAssignmentFilterType": "include" if of_filter else "none",
    }
    return {"@odata.type": GROUP, **filtered, "groupId": f"{number:08x}-0000-4000-8000-000000000000", **more}


def row(number: int, of_filter: str | None = None, **more: object) -> dict:
    return {"id": f"p_{number}", "source": "direct", **more, "target": target(number, of_filter, ring=number)}


def text(rows: list[dict]) -> list[str]:
    return sorted(json.dumps(one, sort_keys=True) for one in rows)


def undone(applied: Applied, **more) -> Restore:
    pairs = applied.changes.items()
    return Restore({k: t.before for k, t in pairs}, {k: t.after for k, t in pairs}, **more)


def restored(rows: list[dict], edit: Restore) -> tuple[list[dict], Applied]:
    merged = merge(rows, [edit])
    [outcome] = merged.outcomes
    assert isinstance(outcome, Applied), outcome
    assert lost(rows, merged.rows, [edit]) == []
    return merged.rows, outcome


SETS = st.dictionaries(st.integers(1, 6), st.sampled_from(FILTERS), max_size=6).map(
    lambda d: [row(*pair) for pair in d.items()]
)
NUMBERS = st.integers(1, 8)
EDITS = st.one_of(
    st.builds(lambda n, f: Add(target(n, f)), NUMBERS, st.sampled_from(FILTERS)),
    st.builds(lambda n: Remove(f"p_{n}"), NUMBERS),
    st.builds(lambda n: Remove("", target=target(n), allow_missing=True), NUMBERS),
    st.builds(lambda n, m, f: Retarget(f"p_{n}", target(m, f)), NUMBERS, NUMBERS, st.sampled_from(FILTERS)),
    st.builds(lambda ns: ReplaceAll(tuple(map(target, sorted(ns)))), st.sets(NUMBERS, min_size=1)),
)
FOREIGN = st.lists(st.integers(20, 25), unique=True, max_size=3)


@given(SETS, EDITS, FOREIGN)
def test_an_undo_gives_back_what_was_there_and_touches_no_row_of_others(rows: list[dict], edit, others: list[int]):
    merged = merge(rows, [edit])
    [outcome] = merged.outcomes
    if isinstance(outcome, GatewayError):
        return
    theirs = [row(number) for number in others]
    back, first = restored([*merged.rows, *theirs], undone(outcome))
    assert text(back) == text([*rows, *theirs])
    again, _ = restored(back, undone(first))
    assert text(again) == text([*merged.rows, *theirs]), "the restoration is undone like any other write"


@given(SETS, SETS)
def test_a_whole_set_is_what_it_was_byte_for_byte(then: list[dict], now: list[dict]):
    wanted = {key_of(one): (one,) for one in then}
    back, applied = restored(now, Restore(wanted, allow_empty=True))
    same = {key_of(one) for one in now} & wanted.keys()
    assert {key_of(one) for one in back} == wanted.keys()
    assert text([one for one in back if key_of(one) not in same]) == text([one for one in then if key_of(one) not in same])
    assert [part.change for part in applied.parts].count("unchanged") == len(same - applied.touched)


@given(SETS, st.lists(EDITS.filter(lambda edit: not isinstance(edit, ReplaceAll)), min_size=1, max_size=4))
def test_several_edits_are_carried_out_as_if_one_after_the_other_or_not_at_all(rows: list[dict], edits: list):
    """Rows that are new have no id yet: an edit of the same write cannot name them by it."""
    names = tuple(f"edits[{at}]" for at in range(len(edits)))
    merged = merge(rows, [Together(tuple(edits), names)])
    [outcome] = merged.outcomes
    alone = merge(rows, edits)
    refused = [name for name, one in zip(names, alone.outcomes, strict=True) if isinstance(one, GatewayError)]
    if refused:
        assert isinstance(outcome, GatewayError)
        assert text(merged.rows) == text(rows)
        assert {violation.field.partition(".")[0] for violation in outcome.violations} == set(refused)
    else:
        assert text(merged.rows) == text(alone.rows)
        assert [part.change for part in outcome.parts] == [one.change for one in alone.outcomes]
        assert lost(rows, merged.rows, [Together(tuple(edits), names)]) == []


def test_a_row_that_was_changed_since_is_a_conflict_with_all_three_versions():
    [removed] = merge([row(1, FILTERS[1])], [Remove("p_1")]).outcomes
    now = [row(1, FILTERS[2]), row(2)]
    [error] = merge(now, [undone(removed)]).outcomes
    [violation] = error.violations
    assert violation.field == "group 00000001-0000-4000-8000-000000000000"
    assert violation.rule == (
        f"was group with filter include {FILTERS[1]} before the change, not assigned after it, "
        f"and is group with filter include {FILTERS[2]} now"
    )
    kept, outcome = restored(now, undone(removed, on_conflict="keep_current"))
    assert (text(kept), [part.change for part in outcome.parts]) == (text(now), ["unchanged"])
    forced, outcome = restored(now, undone(removed, on_conflict="force"))
    assert (text(forced), [part.change for part in outcome.parts]) == (text([row(1, FILTERS[1]), row(2)]), ["updated"])


def test_what_the_gateway_does_not_know_of_a_row_counts_as_a_change():
    [changed] = merge([row(1)], [Retarget("p_1", target(1, FILTERS[1]))]).outcomes
    left = changed.changes[key_of(row(1))].after[0]
    now = [{**left, "target": {**left["target"], "ring": 7}}]
    [error] = merge(now, [undone(changed)]).outcomes
    assert error.reason.name == "RESTORE_CONFLICT"


@pytest.mark.parametrize("allow", [False, True])
def test_a_whole_set_of_nothing_has_to_be_confirmed(allow: bool):
    [outcome] = merge([row(1)], [Restore({}, allow_empty=allow)]).outcomes
    assert isinstance(outcome, Applied) == allow
    assert allow or outcome.violations[0].field == "allow_empty"


def test_what_a_policy_set_has_meanwhile_is_not_restored():
    [removed] = merge([row(1)], [Remove("p_1")]).outcomes
    [error] = merge([row(1) | {"source": "policySets"}], [undone(removed)]).outcomes
    assert error.reason.name == "OWNED_BY_POLICY_SET"


def test_an_etag_is_of_the_rows_whatever_their_order_and_their_annotations():
    one, two = row(1), row(2)
    assert row_set([one, two]).etag == row_set([two, one | {"@odata.etag": "x"}]).etag != row_set([one]).etag
    etag = row_set([one, two]).etag
    first, second = merge([one, two], [Remove("p_1", etag=etag), Remove("p_2", etag=etag)]).outcomes
    assert isinstance(first, Applied)
    assert second.reason.name == "SET_CHANGED_SINCE", "the first one of the same write has changed it"


def test_a_filter_that_the_caller_cannot_see_stays_also_where_only_the_filter_is_meant():
    rows = [row(1, FILTERS[1])]
    merged = merge(rows, [Retarget("p_1", target(1), filter_only=True, keep_filter=True)])
    assert (text(merged.rows), merged.changed) == (text(rows), False)
