"""The rows of a policy while edits are merged into them, and what prevents an edit."""

from collections.abc import Collection, Mapping

from gateway.assignments.edits import Repairs
from gateway.assignments.rows import Row, RowSet, Target, Touch, row_id, target_of
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata.targets import Key, extra_properties, key_of_target, kind_of
from gateway.sets import AssignableSet


class Draft:
    """The rows as the previous edits left them. ids: of direct rows, in lower case -> key. is_changed: by edits, not by
    repairs."""

    def __init__(self, rows: RowSet, repairs: Repairs) -> None:
        self.of, self.owned = rows.of, rows.owned
        self.direct = dict(rows.direct)
        self.twins = {key for key, found in self.direct.items() if len(found) > 1}
        self.ids = {row_id(row).lower(): key for key, found in self.direct.items() for row in found}
        self.owned_ids = {row_id(row).lower(): row for row in self.owned.values()}
        self._changes: dict[Key, Touch] = {}
        for key, wanted in repairs.items():
            if key not in self.owned:
                self.put(key, wanted)
        self._changes = {}
        self.is_changed = False

    def put(self, key: Key, rows: tuple[Row, ...]) -> None:
        """Replaces the rows with this key."""
        before = self.direct.get(key, ())
        self._changes[key] = Touch(self._changes[key].before if key in self._changes else before, rows)
        self.is_changed = True
        if rows:
            self.direct[key] = rows
            self.ids |= {row_id(row).lower(): key for row in rows}
        else:
            self.direct.pop(key, None)
        (self.twins.add if len(rows) > 1 else self.twins.discard)(key)

    def take_changes(self) -> dict[Key, Touch]:
        """What was put since the last call."""
        changes, self._changes = self._changes, {}
        return changes

    def undo(self, changes: Mapping[Key, Touch]) -> None:
        """Undoes these changes."""
        was_changed = self.is_changed
        for key, touch in changes.items():
            self.put(key, touch.before)
        self._changes, self.is_changed = {}, was_changed

    def existing(self, key: Key) -> Row | None:
        rows = self.direct.get(key)
        return rows[0] if rows else self.owned.get(key)

    def key_of_id(self, wanted: str) -> Key | None:
        """The key of the direct row with this id. Raises OWNED_BY_POLICY_SET."""
        key = self.ids.get(wanted.lower())
        if key is not None and any(row_id(row).lower() == wanted.lower() for row in self.direct.get(key, ())):
            return key
        if wanted.lower() in self.owned_ids:
            raise owned(self.of, self.owned_ids[wanted.lower()])
        return None

    def key_to(self, target: Target) -> Key | None:
        """The key of the direct row to this target, of the same kind. Raises OWNED_BY_POLICY_SET."""
        key = key_of_target(target)
        if any(kind_of(target_of(row)) == kind_of(target) for row in self.direct.get(key, ())):
            return key
        if key in self.owned and kind_of(target_of(self.owned[key])) == kind_of(target):
            raise owned(self.of, self.owned[key])
        return None

    def check_twins(self, but: Collection[Key] = ()) -> None:
        """Refuses to send a set in which a key occurs twice: Graph refuses it, and dropping one of the rows would lose a row
        that nobody named."""
        for key in self.twins.difference(but):
            raise twins(self.of, self.direct[key])


def check_others(target: Target, old: Row | None, at: str = "assignment") -> None:
    """Refuses properties that the gateway does not know, unless they are as they were read: no rule has judged what others
    would do."""
    has = target_of(old) if old is not None else {}
    for name, value in extra_properties(target).items():
        if name not in has or has[name] != value:
            rule = f"the gateway does not know the property {name[:64]}: it can be kept as it is, but not set or changed"
            raise invalid(f"{at}.target.other_properties", rule)


def missing(of: AssignableSet, wanted: str) -> GatewayError:
    return GatewayError(Reason.NOT_FOUND, resource=(f"{of.policy_type}Assignment", wanted))


def taken(of: AssignableSet, row: Row) -> GatewayError:
    words = f"The policy already has an assignment to this target{' as an exclusion' * kind_of(target_of(row)).excludes}."
    return GatewayError(Reason.ALREADY_ASSIGNED, words, resource=(f"{of.policy_type}Assignment", row_id(row)))


def owned(of: AssignableSet, row: Row) -> GatewayError:
    return GatewayError(Reason.OWNED_BY_POLICY_SET, resource=(f"{of.policy_type}Assignment", row_id(row)))


def twins(of: AssignableSet, rows: tuple[Row, ...]) -> GatewayError:
    ids = " and ".join(f"{row_id(row)} ({kind_of(target_of(row)).name})" for row in rows[:5])
    return GatewayError(
        Reason.TARGET_ASSIGNED_TWICE,
        "The policy has more than one assignment for one target, of which Graph accepts only one. Delete or replace these"
        f" first: {ids}.",
        resource=(f"{of.policy_type}Assignment", row_id(rows[0])),
    )
