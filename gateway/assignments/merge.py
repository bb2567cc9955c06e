"""Merges edits into a policy's rows. Pure: no clock, no I/O.

A row is Graph's JSON object, kept whole; an edit touches only its own row. Rows of policy sets belong to Intune: they are never
sent and never edited, and their targets count as taken (docs/graph.md §2). For each row that an edit changes or removes, its
judge is asked, with the row before and after, filters included.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from gateway.assignments.draft import Draft, check_others, missing, owned, taken
from gateway.assignments.edits import (
    Add,
    Applied,
    Edit,
    Merged,
    Outcome,
    Remove,
    Repairs,
    ReplaceAll,
    Restore,
    Retarget,
    Together,
    Untold,
)
from gateway.assignments.restore import restore, together
from gateway.assignments.rows import Row, RowSet, Target, differ, keeping_filter, row_id, target_of, value_of, with_filter
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata.codec import TYPE
from gateway.odata.targets import NO_FILTER, Key, extra_properties, filter_of, key_of_target, kind_of
from gateway.pace import at_once
from gateway.sets import AssignableSet


def merge(rows: RowSet, edits: Iterable[Edit], repairs: Repairs = {}) -> Merged:  # noqa: B006 - a Mapping, never changed
    """Carries out the repairs, then the edits one after the other, on the rows that Graph has. A refused edit changes
    nothing."""
    return at_once(merging(rows, edits, repairs))


def merging(rows: RowSet, edits: Iterable[Edit], repairs: Repairs) -> Generator[None, None, Merged]:
    """`merge` in steps, one for each row that an edit is about, so that a large set does not block the event loop."""
    draft = Draft(rows, repairs)
    outcomes: list[Outcome] = []
    for edit in edits:
        try:
            if edit.etag and (draft.is_changed or edit.etag != rows.etag):
                raise GatewayError(Reason.SET_CHANGED_SINCE)
            match edit:
                case Together():
                    outcomes.append((yield from together(edit, draft, apply)))
                case ReplaceAll():
                    outcomes.append((yield from _replace_all(edit, draft)))
                case _:
                    outcomes.append(apply(edit, draft))
        except GatewayError as error:
            outcomes.append(error)
        yield
    named = {key for outcome in outcomes if isinstance(outcome, Applied) for key in outcome.changes}
    sent = rows.with_direct(draft.direct)
    changed = {key for key in named if differ(rows.of, sent.direct.get(key, ()), rows.direct.get(key, ()))}
    return Merged(sent, outcomes, frozenset(changed | repairs.keys()))


def apply(edit: Edit, draft: Draft) -> Applied:
    """Carries out one edit. Raises GatewayError, and leaves the draft as it was."""
    return APPLY[type(edit)](edit, draft)


def _add(edit: Add, draft: Draft) -> Applied:
    """Asks the judge first: only a caller that may write this now learns what is there."""
    edit.judge((edit.target,), ())
    key = key_of_target(edit.target)
    existing = draft.existing(key)
    if existing is None:
        check_others(edit.target, None)
        draft.check_twins()
        draft.put(key, ({TYPE: draft.of.row_type, "target": edit.target},))
        return Applied(key, draft.take_changes())
    if edit.if_exists == "fail" or kind_of(target_of(existing)) != kind_of(edit.target):
        raise taken(draft.of, existing)
    check_others(edit.target, existing)
    new = with_filter(existing, edit.target)
    if edit.if_exists == "keep":
        return Applied(key, before=existing)
    edit.judge((target_of(new),), (target_of(existing),))
    if new is existing:
        return Applied(key, before=existing)
    if key in draft.owned:
        raise owned(draft.of, existing)
    draft.check_twins()
    draft.put(key, (new,))
    return Applied(key, draft.take_changes(), existing)


def _retarget(edit: Retarget, draft: Draft) -> Applied:
    old_key = draft.key_of_id(edit.row_id)
    if old_key is None:
        raise missing(draft.of, edit.row_id)
    old = next(row for row in draft.direct[old_key] if row_id(row).lower() == edit.row_id.lower())
    edit.judge((), (target_of(old),))  # before the caller learns what the row is
    key, new = _retargeted(edit, old, old_key)
    if key != old_key and (other := draft.existing(key)) is not None:
        raise taken(draft.of, other)
    edit.judge((target_of(new),), (target_of(old),))
    if key == old_key and value_of(draft.of, (old,)) == value_of(draft.of, (new,)):
        return Applied(old_key, before=old)
    draft.check_twins()
    draft.put(old_key, ())
    draft.put(key, (new,))
    return Applied(key, draft.take_changes(), old)


def _retargeted(edit: Retarget, old: Row, old_key: Key) -> tuple[Key, Row]:
    same_kind = kind_of(target_of(old)) == kind_of(edit.target)
    if edit.filter_only:
        if kind_of(target_of(old)).excludes and filter_of(edit.target) != NO_FILTER:
            raise invalid("assignment.target", "an exclusion cannot have a filter")
        return old_key, with_filter(old, keeping_filter(edit.target, old) if edit.keep_filter else edit.target)
    key = key_of_target(edit.target)
    check_others(edit.target, old if same_kind else None)
    target = keeping_filter(edit.target, old) if edit.keep_filter else edit.target
    if same_kind and key == old_key:
        return key, with_filter(old, target)
    # Graph makes the id from the target: a new target has a new one.
    others = extra_properties(target_of(old)) if same_kind else {}
    return key, {**{k: v for k, v in old.items() if k != "id"}, "target": {**target, **others}}


def _remove(edit: Remove, draft: Draft) -> Applied:
    """May remove duplicates of the row, but refuses if other rows with that key would remain more than once."""
    key = draft.key_of_id(edit.row_id) if edit.target is None else draft.key_to(edit.target)
    if key is None:
        if edit.target is not None:
            edit.judge((), (edit.target,))  # only a caller that may remove it learns whether it is there
        if edit.allow_missing:
            return Applied(None)
        raise missing(draft.of, edit.row_id)
    gone = tuple(row for row in draft.direct[key] if _is_meant(edit, row))
    edit.judge((), tuple(map(target_of, gone)))
    left = tuple(row for row in draft.direct[key] if not any(row is one for one in gone))
    draft.check_twins(but=(key,) if len(left) <= 1 else ())
    draft.put(key, left)
    return Applied(key, draft.take_changes(), gone[0])


def _is_meant(edit: Remove, row: Row) -> bool:
    if edit.target is None:
        return row_id(row).lower() == edit.row_id.lower()
    return kind_of(target_of(row)) == kind_of(edit.target)


def _replace_all(edit: ReplaceAll, draft: Draft) -> Generator[None, None, Applied]:
    """Judged by what it changes, before the caller learns what is there. Rows that stay as they are need no permission."""
    wanted: dict[Key, tuple[Row, ...]] = {}
    of_sets: list[Row] = []
    for index, target in enumerate(edit.targets):
        yield
        key = key_of_target(target)
        if key in wanted:
            raise invalid(f"assignments[{index}].target", "is also the target of another assignment in the request")
        if key in draft.owned:
            if value_of(draft.of, (draft.owned[key],)) != value_of(draft.of, ({"target": target},)):
                of_sets.append(draft.owned[key])
            continue  # it is there already, and stays
        wanted[key] = (_replacement(edit, target, draft.direct.get(key, ()), f"assignments[{index}]", draft.of),)
    touched = []
    for key in wanted.keys() | draft.direct.keys():
        yield
        if value_of(draft.of, wanted.get(key, ())) != value_of(draft.of, draft.direct.get(key, ())):
            touched.append(key)
    edit.judge(*([target_of(row) for key in touched for row in rows.get(key, ())] for rows in (wanted, draft.direct)))
    _check_count(edit, sum(map(len, draft.direct.values())))
    if of_sets:
        raise owned(draft.of, of_sets[0])
    for key in touched:
        draft.put(key, wanted.get(key, ()))
    return Applied(None, draft.take_changes())


def _check_count(edit: ReplaceAll, count: int) -> None:
    if edit.expected_count is not None and edit.expected_count != count:
        words = f"The policy has {count} direct assignments, not {edit.expected_count}: read them again."
        raise GatewayError(Reason.COUNT_DIFFERS, words)
    if not edit.targets and count and edit.expected_count is None and not edit.allow_empty:
        rule = "is empty, and would remove every assignment; to confirm that, set allow_empty or expected_count"
        raise invalid("assignments", rule)


def _replacement(edit: ReplaceAll, target: Target, there: Sequence[Row], at: str, of: AssignableSet) -> Row:
    """The existing row with the wanted filter, if it is of the same kind; otherwise a new row."""
    old = next((row for row in there if kind_of(target_of(row)) == kind_of(target)), None)
    check_others(target, old, at)
    if old is None:
        return {TYPE: of.row_type, "target": target}
    return with_filter(old, keeping_filter(target, old) if edit.keep_filters else target)


def _refuse(edit: Untold, _: Draft) -> NoReturn:
    raise edit.error.copy()


APPLY: Mapping[type[Edit], Callable[[Any, Draft], Applied]] = {
    Add: _add,
    Retarget: _retarget,
    Remove: _remove,
    Restore: restore,
    Untold: _refuse,
}
