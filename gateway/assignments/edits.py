"""Edits of a policy's rows, merged. Pure: no clock, no I/O.

A row is Graph's JSON object, kept whole; an edit touches its own row and no other. Rows of policy sets are Intune's: they
are never sent, never edited, and their targets are taken (docs/graph.md §2). Whatever row an edit changes or removes, its
judge is asked about it: what was there and what comes, filters included.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.assignments.rows import Row, RowSet, Target, keeping_filter, row_id, target_of, value_of, with_filter
from gateway.call import Judge, permit
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata.codec import TYPE
from gateway.odata.targets import NO_FILTER, Key, extra_properties, filter_of, key_of_target, kind_of
from gateway.sets import AssignableSet

IfExists = Literal["fail", "keep", "replace"]


@dataclass(frozen=True)
class Add:
    """One more row. if_exists: what to do if the target has a row of the same kind."""

    target: Target
    if_exists: IfExists = "fail"
    judge: Judge = permit


@dataclass(frozen=True)
class Retarget:
    """Another target, or with `filter_only` only the filter of `target`, for the row with this id. keep_filter: a target
    without a filter means the one that the row has."""

    row_id: str
    target: Target
    filter_only: bool = False
    keep_filter: bool = False
    judge: Judge = permit


@dataclass(frozen=True)
class Remove:
    """No longer the row with this id; all of them, where Graph has it twice."""

    row_id: str
    judge: Judge = permit


@dataclass(frozen=True)
class ReplaceAll:
    """Exactly these direct rows. See ReplaceComplianceAssignmentsRequest for the safeguards."""

    targets: tuple[Target, ...]
    expected_count: int | None = None
    allow_empty: bool = False
    keep_filters: bool = False
    judge: Judge = permit


Edit = Add | Retarget | Remove | ReplaceAll


@dataclass(frozen=True)
class Applied:
    """The edit is in the merged rows. key: of its row, None where it has no one row. touched: every key it changed."""

    key: Key | None
    touched: frozenset[Key] = frozenset()

    @property
    def changed(self) -> bool:
        return bool(self.touched)


Outcome = Applied | GatewayError
Repairs = Mapping[Key, tuple[Row, ...]]


@dataclass(frozen=True)
class Merged:
    """rows: the direct rows to send. outcomes: one an edit, in their order. touched: every key that differs from what was read,
    and those of repairs, whatever an edit made of them: what has to be there has to be said anew."""

    rows: RowSet
    outcomes: Sequence[Outcome]
    touched: frozenset[Key]


class _Draft:
    """The rows as the edits before have left them. ids: of direct rows, lower case -> key."""

    def __init__(self, rows: RowSet, repairs: Repairs) -> None:
        self.of, self.owned = rows.of, rows.owned
        self.direct = dict(rows.direct)
        for key, wanted in repairs.items():
            if key not in self.owned:
                self.put(key, wanted)
        self.twins = {key for key, twins in self.direct.items() if len(twins) > 1}
        self.ids = {row_id(row).lower(): key for key, rows in self.direct.items() for row in rows}
        self.owned_ids = {row_id(row).lower(): row for row in self.owned.values()}

    def put(self, key: Key, rows: tuple[Row, ...]) -> None:
        if rows:
            self.direct[key] = rows
        else:
            self.direct.pop(key, None)

    def existing(self, key: Key) -> Row | None:
        rows = self.direct.get(key)
        return rows[0] if rows else self.owned.get(key)

    def own_key(self, wanted: str) -> Key:
        """The key of the direct row with this id. Raises NOT_FOUND, OWNED_BY_POLICY_SET."""
        key = self.ids.get(wanted.lower())
        if key is not None and any(row_id(row).lower() == wanted.lower() for row in self.direct.get(key, ())):
            return key
        if wanted.lower() in self.owned_ids:
            raise _owned(self.of, self.owned_ids[wanted.lower()])
        raise GatewayError(Reason.NOT_FOUND, resource=(f"{self.of.policy_type}Assignment", wanted))


def merge(rows: RowSet, edits: Iterable[Edit], repairs: Repairs = {}) -> Merged:  # noqa: B006 - a Mapping, never changed
    """Carries out the edits one after the other on what Graph has, after the repairs. A refused edit leaves no trace."""
    draft = _Draft(rows, repairs)
    outcomes: list[Outcome] = []
    for edit in edits:
        try:
            outcomes.append(APPLY[type(edit)](edit, draft))
        except GatewayError as error:
            outcomes.append(error)
    named = {key for outcome in outcomes if isinstance(outcome, Applied) for key in outcome.touched}
    sent = rows.with_direct(draft.direct)
    changed = {key for key in named if sent.value(key) != rows.value(key)}
    return Merged(sent, outcomes, frozenset(changed | repairs.keys()))


def all_touched(outcomes: Iterable[Outcome]) -> frozenset[Key]:
    """All keys that edits changed, those included that later edits of the same write put back."""
    return frozenset(key for outcome in outcomes if isinstance(outcome, Applied) for key in outcome.touched)


def _add(edit: Add, draft: _Draft) -> Applied:
    """The judge first: what is there is told only to who may write this now."""
    edit.judge((edit.target,), ())
    key = key_of_target(edit.target)
    existing = draft.existing(key)
    if existing is None:
        _check_others(edit.target, None)
        _check_twins(draft)
        draft.put(key, ({TYPE: draft.of.row_type, "target": edit.target},))
        return Applied(key, frozenset({key}))
    if edit.if_exists == "fail" or kind_of(target_of(existing)) != kind_of(edit.target):
        raise _taken(draft.of, existing)
    _check_others(edit.target, existing)
    new = with_filter(existing, edit.target)
    if edit.if_exists == "keep":
        return Applied(key)
    edit.judge((target_of(new),), (target_of(existing),))
    if new is existing:
        return Applied(key)
    if key in draft.owned:
        raise _owned(draft.of, existing)
    _check_twins(draft)
    draft.put(key, (new,))
    return Applied(key, frozenset({key}))


def _retarget(edit: Retarget, draft: _Draft) -> Applied:
    old_key = draft.own_key(edit.row_id)
    old = next(row for row in draft.direct[old_key] if row_id(row).lower() == edit.row_id.lower())
    edit.judge((), (target_of(old),))  # before anything is told of what it is
    key, new = _retargeted(edit, old, old_key)
    if key != old_key and (other := draft.existing(key)) is not None:
        raise _taken(draft.of, other)
    edit.judge((target_of(new),), (target_of(old),))
    if key == old_key and value_of(draft.of, (old,)) == value_of(draft.of, (new,)):
        return Applied(old_key)
    _check_twins(draft)
    draft.put(old_key, ())
    draft.put(key, (new,))
    return Applied(key, frozenset({old_key, key}))


def _retargeted(edit: Retarget, old: Row, old_key: Key) -> tuple[Key, Row]:
    same_kind = kind_of(target_of(old)) == kind_of(edit.target)
    if edit.filter_only:
        if kind_of(target_of(old)).excludes and filter_of(edit.target) != NO_FILTER:
            raise invalid("assignment.target", "an exclusion carries no filter")
        return old_key, with_filter(old, edit.target)
    key = key_of_target(edit.target)
    _check_others(edit.target, old if same_kind else None)
    target = keeping_filter(edit.target, old) if edit.keep_filter else edit.target
    if same_kind and key == old_key:
        return key, with_filter(old, target)
    # Graph makes the id from the target: a new target has a new one.
    others = extra_properties(target_of(old)) if same_kind else {}
    return key, {**{k: v for k, v in old.items() if k != "id"}, "target": {**target, **others}}


def _remove(edit: Remove, draft: _Draft) -> Applied:
    """By id it may remove twins; where other rows with that key stay behind more than once, it would drop those as well."""
    key = draft.own_key(edit.row_id)
    gone = tuple(row for row in draft.direct[key] if row_id(row).lower() == edit.row_id.lower())
    edit.judge((), tuple(map(target_of, gone)))
    left = tuple(row for row in draft.direct[key] if not any(row is one for one in gone))
    _check_twins(draft, but=key if len(left) <= 1 else None)
    draft.put(key, left)
    draft.twins.discard(key)
    return Applied(key, frozenset({key}))


def _replace_all(edit: ReplaceAll, draft: _Draft) -> Applied:
    """Judged by what it changes, before anything is told of what is there; what stays as it is needs no permission."""
    wanted: dict[Key, tuple[Row, ...]] = {}
    owned: list[Row] = []
    for index, target in enumerate(edit.targets):
        key = key_of_target(target)
        if key in wanted:
            raise invalid(f"assignments[{index}].target", "is the target of another assignment in the set")
        if key in draft.owned:
            if value_of(draft.of, (draft.owned[key],)) != value_of(draft.of, ({"target": target},)):
                owned.append(draft.owned[key])
            continue  # it is there already, and stays
        wanted[key] = (_replacement(edit, target, draft.direct.get(key, ()), f"assignments[{index}]", draft.of),)
    touched = frozenset(
        key
        for key in wanted.keys() | draft.direct.keys()
        if value_of(draft.of, wanted.get(key, ())) != value_of(draft.of, draft.direct.get(key, ()))
    )
    edit.judge(*([target_of(row) for key in touched for row in rows.get(key, ())] for rows in (wanted, draft.direct)))
    _check_count(edit, sum(map(len, draft.direct.values())))
    if owned:
        raise _owned(draft.of, owned[0])
    draft.direct, draft.twins = wanted, set()
    draft.ids = {row_id(row).lower(): key for key, (row,) in wanted.items()}
    return Applied(None, touched)


def _check_count(edit: ReplaceAll, count: int) -> None:
    if edit.expected_count is not None and edit.expected_count != count:
        words = f"The policy has {count} direct assignments, not {edit.expected_count}: read them anew."
        raise GatewayError(Reason.COUNT_DIFFERS, words)
    if not edit.targets and count and edit.expected_count is None and not edit.allow_empty:
        raise invalid("assignments", "is empty and would remove every assignment; allow_empty or expected_count confirms that")


def _replacement(edit: ReplaceAll, target: Target, there: Sequence[Row], at: str, of: AssignableSet) -> Row:
    """The row there is, if it is of the same kind, with the wanted filter; a new one otherwise."""
    old = next((row for row in there if kind_of(target_of(row)) == kind_of(target)), None)
    _check_others(target, old, at)
    if old is None:
        return {TYPE: of.row_type, "target": target}
    return with_filter(old, keeping_filter(target, old) if edit.keep_filters else target)


def _check_others(target: Target, old: Row | None, at: str = "assignment") -> None:
    """What the gateway does not know can be sent back as it was read, and no more: what it would do, nobody has judged."""
    has = target_of(old) if old is not None else {}
    for name, value in extra_properties(target).items():
        if name not in has or has[name] != value:
            rule = f"{name[:64]} is no property that this gateway knows: it can be kept as it is, but not set or changed"
            raise invalid(f"{at}.target.other_properties", rule)


def _check_twins(draft: _Draft, but: Key | None = None) -> None:
    """Graph refuses a set in which a key stands twice, so sending this one would mean to drop a row that nobody named."""
    for key in draft.twins - {but}:
        ids = " and ".join(f"{row_id(row)} ({kind_of(target_of(row)).name})" for row in draft.direct[key][:5])
        raise GatewayError(
            Reason.TARGET_ASSIGNED_TWICE,
            f"The policy has {ids} for one target, and Graph takes only one of them: delete or replace them first.",
            resource=(f"{draft.of.policy_type}Assignment", row_id(draft.direct[key][0])),
        )


def _taken(of: AssignableSet, row: Row) -> GatewayError:
    words = f"The policy already has an assignment to this target{' as an exclusion' * kind_of(target_of(row)).excludes}."
    return GatewayError(Reason.ALREADY_ASSIGNED, words, resource=(f"{of.policy_type}Assignment", row_id(row)))


def _owned(of: AssignableSet, row: Row) -> GatewayError:
    return GatewayError(Reason.OWNED_BY_POLICY_SET, resource=(f"{of.policy_type}Assignment", row_id(row)))


APPLY: Mapping[type[Edit], Callable[[Any, _Draft], Applied]] = {
    Add: _add,
    Retarget: _retarget,
    Remove: _remove,
    ReplaceAll: _replace_all,
}
