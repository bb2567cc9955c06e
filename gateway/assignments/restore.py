"""Edits that are made of several: a restoration of earlier rows; and several edits, all or none. Pure."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace

from gateway.assignments.draft import Draft, owned, twins
from gateway.assignments.edits import Applied, Edit, Restore, Together
from gateway.assignments.rows import Row, Touch, differ, target_of
from gateway.errors import GatewayError, Reason, Violation, invalid
from gateway.odata.targets import NO_FILTER, Key, filter_of, text_of_json

NOTHING_LEFT = "has to be true, since the restoration would leave no direct assignment"


def restore(edit: Restore, draft: Draft) -> Applied:
    """Judged by what it changes, before the caller learns what is there. Rows are restored exactly."""
    keys = edit.wanted if edit.left is not None else {**edit.wanted, **draft.direct}
    before = {key: draft.direct.get(key, ()) for key in keys}
    differing = [key for key in keys if differ(draft.of, edit.wanted.get(key, ()), before[key])]
    edit.judge(*([target_of(row) for key in differing for row in rows.get(key, ())] for rows in (edit.wanted, before)))
    left = edit.left
    conflicts = [] if left is None else [key for key in differing if differ(draft.of, left.get(key, ()), before[key])]
    if conflicts and edit.on_conflict == "fail":
        raise _conflict(edit, conflicts, before)
    changing = differing if edit.on_conflict == "force" else [key for key in differing if key not in conflicts]
    _check(edit, changing, draft)
    for key in changing:
        draft.put(key, edit.wanted.get(key, ()))
    changes = draft.take_changes()
    return Applied(None, changes, parts=tuple(_part(key, rows, changes) for key, rows in before.items()))


def together(edit: Together, draft: Draft, apply: Callable[[Edit, Draft], Applied]) -> Generator[None, None, Applied]:
    """Carries out its edits, one in each step. Raises an error that names every refused edit; the draft is then as it was."""
    changes: dict[Key, Touch] = {}
    parts: list[Applied] = []
    refused: dict[str, GatewayError] = {}
    for name, one in zip(edit.names, edit.edits, strict=True):
        yield
        try:
            parts.append(apply(one, draft))
        except GatewayError as error:
            refused[name] = error
            continue
        for key, touch in parts[-1].changes.items():
            changes[key] = Touch(changes[key].before if key in changes else touch.before, touch.after)
    if refused:
        draft.undo(changes)
        raise _all_refused(refused)
    return Applied(None, changes, parts=tuple(parts))


def _part(key: Key, rows: Sequence[Row], changes: Mapping[Key, Touch]) -> Applied:
    return Applied(key, {key: changes[key]} if key in changes else {}, rows[0] if rows else None)


def _check(edit: Restore, changing: Sequence[Key], draft: Draft) -> None:
    """Raises OWNED_BY_POLICY_SET, TARGET_ASSIGNED_TWICE, INVALID_FIELD."""
    for key in changing:
        rows = edit.wanted.get(key, ())
        if rows and key in draft.owned:
            raise owned(draft.of, draft.owned[key])
        if len(rows) > 1:
            raise twins(draft.of, rows)
    draft.check_twins(but=changing)
    if edit.left is None and draft.direct and not any(edit.wanted.values()) and not edit.allow_empty:
        raise invalid("allow_empty", NOTHING_LEFT)


def _conflict(edit: Restore, keys: Sequence[Key], now: Mapping[Key, tuple[Row, ...]]) -> GatewayError:
    """A violation for each row, with all three versions: the row before, the row as it was left, and the present row."""
    left = edit.left or {}
    told = []
    for key in sorted(keys):
        was, then, there = edit.wanted.get(key, ()), left.get(key, ()), now[key]
        who = next((text_of_json(target_of(row)) for row in (*was, *then, *there)), "")
        told.append(Violation(who, f"was {_words(was)} before the change, {_words(then)} after it, and is {_words(there)} now"))
    return GatewayError(Reason.RESTORE_CONFLICT, violations=tuple(told))


def _words(rows: Sequence[Row]) -> str:
    """A row in a few words: its kind, and its filter."""
    if not rows:
        return "not assigned"
    return " and ".join(_of_row(target_of(row)) for row in rows)


def _of_row(target: Mapping[str, object]) -> str:
    filter_id, kind = filter_of(target)
    name = text_of_json(target).partition(" ")[0]
    return f"{name} without filter" if (filter_id, kind) == NO_FILTER else f"{name} with filter {kind} {filter_id}"


def _all_refused(refused: Mapping[str, GatewayError]) -> GatewayError:
    """One error for all; that something is not permitted comes first."""
    errors = refused.values()
    main = next((error for error in errors if error.reason is Reason.CALLER_NOT_PERMITTED), next(iter(errors)))
    told = [
        replace(v, field=".".join(filter(None, (name, v.field))))
        for name, error in refused.items()
        for v in error.violations or (Violation("", f"{error.reason.name}: {error.message}", error.reason),)
    ]
    return GatewayError(main.reason, violations=tuple(told), resource=main.resource, metadata=main.metadata)
