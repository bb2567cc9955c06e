"""Edits of a policy's rows, merged. Pure: no clock, no I/O.

A row is Graph's JSON object, kept whole; an edit touches its own row and no other. Rows of policy sets are Intune's: they
are never sent, never edited, and their targets are taken (graph-facts §2).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.assignments.rows import (
    ASSIGNMENT_TYPE,
    Key,
    Row,
    Target,
    by_key,
    differ,
    filter_of,
    is_owned,
    keeping_filter,
    key_of,
    kind_of,
    others_of,
    row_id,
    same_target,
    target_of,
    with_filter,
)
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata.codec import TYPE

IfExists = Literal["fail", "keep", "replace"]


@dataclass(frozen=True)
class Add:
    """One more row. if_exists: what to do if the target has a row of the same kind."""

    target: Target
    if_exists: IfExists = "fail"


Judge = Callable[[Sequence[Target], Sequence[Target]], None]


def permit(added: Sequence[Target], removed: Sequence[Target]) -> None:
    """A judge that permits everything. Another one raises GatewayError unless these targets may be added and removed."""


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
    """No longer the row with this id."""

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
class Done:
    """The edit is in the merged rows. key: of its row, None where it has no one row. touched: every key it changed."""

    key: Key | None
    touched: frozenset[Key] = frozenset()

    @property
    def changed(self) -> bool:
        return bool(self.touched)


Outcome = Done | GatewayError


@dataclass(frozen=True)
class Merged:
    """rows: the direct rows to send, one a key. outcomes: one an edit, in their order."""

    rows: list[Row]
    outcomes: list[Outcome]

    @property
    def changed(self) -> bool:
        return any(isinstance(outcome, Done) and outcome.changed for outcome in self.outcomes)


def merge(rows: Sequence[Row], edits: Sequence[Edit]) -> Merged:
    """Carries out the edits one after the other on what Graph has. A refused edit leaves no trace."""
    owned = {key_of(row): row for row in rows if is_owned(row)}
    direct = by_key(rows)
    outcomes: list[Outcome] = []
    for edit in edits:
        try:
            outcomes.append(_apply(edit, direct, owned))
        except GatewayError as error:
            outcomes.append(error)
    return Merged(list(direct.values()), outcomes)


def lost(rows: Iterable[Row], sent: Iterable[Row], edits: Iterable[Edit]) -> list[Row]:
    """The direct rows that no edit names and that are not in what is to be sent: always none, or `merge` has a bug.

    Written apart from merge, as its witness.
    """
    ids: set[str] = set()
    keys: set[Key] = set()
    for edit in edits:
        match edit:
            case ReplaceAll():
                return []
            case Retarget() | Remove():
                ids.add(edit.row_id.lower())
            case Add():
                keys.add(key_of({"target": edit.target}))
    kept = by_key(sent)
    return [
        row for key, row in by_key(rows).items() if key not in keys and row_id(row).lower() not in ids and kept.get(key) != row
    ]


def all_of(done: Iterable[Done]) -> Done:
    """Several edits as one: all that they touched."""
    return Done(None, frozenset().union(*(one.touched for one in done)))


def shown(done: Done, sent: Sequence[Row], rows: Sequence[Row]) -> bool:
    """Whether rows read after the write are, where the edit touched them, as they were sent."""
    wanted, found = by_key(sent), by_key(rows)
    return not any(differ(wanted, found, key) for key in done.touched)


def _apply(edit: Edit, direct: dict[Key, Row], owned: Mapping[Key, Row]) -> Done:
    match edit:
        case Add():
            return _add(edit, direct, owned)
        case Retarget():
            return _retarget(edit, direct, owned)
        case Remove():
            key = _own_key(edit.row_id, direct, owned)
            edit.judge((), (target_of(direct[key]),))
            del direct[key]
            return Done(key, frozenset({key}))
        case ReplaceAll():
            return _replace_all(edit, direct, owned)


def _add(edit: Add, direct: dict[Key, Row], owned: Mapping[Key, Row]) -> Done:
    key = key_of({"target": edit.target})
    existing = direct.get(key) or owned.get(key)
    if existing is None:
        _check_others(edit.target, None)
        direct[key] = _new_row(edit.target)
        return Done(key, frozenset({key}))
    if edit.if_exists == "fail" or kind_of(target_of(existing)) != kind_of(edit.target):
        raise _taken(existing)
    _check_others(edit.target, existing)
    if edit.if_exists == "keep" or same_target(target_of(existing), edit.target):
        return Done(key)
    if key in owned:
        raise _owned(existing)
    direct[key] = with_filter(existing, edit.target)
    return Done(key, frozenset({key}))


def _retarget(edit: Retarget, direct: dict[Key, Row], owned: Mapping[Key, Row]) -> Done:
    old_key = _own_key(edit.row_id, direct, owned)
    old = direct[old_key]
    if edit.filter_only:
        if kind_of(target_of(old)).excludes and filter_of(edit.target) != ("", ""):
            raise invalid("assignment.target", "an exclusion carries no filter")
        key, new = old_key, with_filter(old, edit.target)
    else:
        key = key_of({"target": edit.target})
        if key != old_key and (key in direct or key in owned):
            raise _taken(direct.get(key) or owned[key])
        same_kind = kind_of(target_of(old)) == kind_of(edit.target)
        _check_others(edit.target, old if same_kind else None)
        target = keeping_filter(edit.target, old) if edit.keep_filter else edit.target
        if same_kind and key == old_key:
            new = with_filter(old, target)
        else:  # Graph makes the id from the target: a new target has a new one
            others = others_of(target_of(old)) if same_kind else {}
            new = {**{k: v for k, v in old.items() if k != "id"}, "target": {**target, **others}}
    edit.judge((target_of(new),), (target_of(old),))
    if same_target(target_of(old), target_of(new)):
        return Done(old_key)
    replaced = {(key if k == old_key else k): (new if k == old_key else row) for k, row in direct.items()}
    direct.clear()
    direct.update(replaced)
    return Done(key, frozenset({old_key, key}))


def _replace_all(edit: ReplaceAll, direct: dict[Key, Row], owned: Mapping[Key, Row]) -> Done:
    if edit.expected_count is not None and edit.expected_count != len(direct):
        raise GatewayError(
            Reason.COUNT_DIFFERS, f"The policy has {len(direct)} direct assignments, not {edit.expected_count}: read them anew."
        )
    if not edit.targets and direct and edit.expected_count is None and not edit.allow_empty:
        raise invalid("assignments", "is empty and would remove every assignment; allow_empty or expected_count confirms that")
    wanted: dict[Key, Row] = {}
    for index, target in enumerate(edit.targets):
        key = key_of({"target": target})
        if key in wanted:
            raise invalid(f"assignments[{index}].target", "is the target of another assignment in the set")
        if key in owned:
            if not same_target(target_of(owned[key]), target):
                raise _owned(owned[key])
            continue  # it is there already, and stays
        old = direct.get(key)
        if old is not None and kind_of(target_of(old)) != kind_of(target):
            old = None
        _check_others(target, old, f"assignments[{index}]")
        if old is None:
            wanted[key] = _new_row(target)
        else:
            wanted[key] = with_filter(old, keeping_filter(target, old) if edit.keep_filters else target)
    touched = frozenset(key for key in wanted.keys() | direct.keys() if differ(wanted, direct, key))
    edit.judge(*([target_of(rows[key]) for key in touched if key in rows] for rows in (wanted, direct)))
    direct.clear()
    direct.update(wanted)
    return Done(None, touched)


def _check_others(target: Target, old: Row | None, at: str = "assignment") -> None:
    """What the gateway does not know can be sent back as it was read, and no more: what it would do, nobody has judged."""
    has = target_of(old) if old is not None else {}
    for name, value in others_of(target).items():
        if name not in has or has[name] != value:
            rule = f"{name[:64]} is no property that this gateway knows: it can be kept as it is, but not set or changed"
            raise invalid(f"{at}.target.other_properties", rule)


def _new_row(target: Target) -> Row:
    return {TYPE: ASSIGNMENT_TYPE, "target": target}


def _find(rows: Iterable[Row], wanted: str) -> Row | None:
    return next((row for row in rows if row_id(row).lower() == wanted.lower()), None)


def _own_key(wanted: str, direct: Mapping[Key, Row], owned: Mapping[Key, Row]) -> Key:
    row = _find(direct.values(), wanted)
    if row is not None:
        return key_of(row)
    row = _find(owned.values(), wanted)
    if row is not None:
        raise _owned(row)
    raise GatewayError(Reason.NOT_FOUND, resource=("deviceCompliancePolicyAssignment", wanted))


def _taken(row: Row) -> GatewayError:
    words = " as an exclusion" if kind_of(target_of(row)).excludes else ""
    return GatewayError(
        Reason.ALREADY_ASSIGNED,
        f"The policy already has an assignment to this target{words}.",
        resource=("deviceCompliancePolicyAssignment", row_id(row)),
    )


def _owned(row: Row) -> GatewayError:
    return GatewayError(Reason.OWNED_BY_POLICY_SET, resource=("deviceCompliancePolicyAssignment", row_id(row)))
