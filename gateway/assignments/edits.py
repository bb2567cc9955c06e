"""Edits of a policy's rows, and their outcomes, as values. `merge` carries them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.assignments.rows import Row, RowSet, Target, Touch, value_of
from gateway.call import Judge, permit
from gateway.errors import GatewayError
from gateway.odata.targets import Key

IfExists = Literal["fail", "keep", "replace"]
OnConflict = Literal["fail", "keep_current", "force"]
Change = Literal["created", "updated", "removed", "unchanged"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every edit has. judge: asked about each row that the edit changes or removes. etag: of the set that the caller read;
    empty means any set."""

    judge: Judge = permit
    etag: str = ""


@dataclass(frozen=True)
class Add(Asked):
    """Adds a row. if_exists: what to do if the target has a row of the same kind."""

    target: Target
    if_exists: IfExists = "fail"


@dataclass(frozen=True)
class Retarget(Asked):
    """Changes the target of the row with this ID; with `filter_only`, only its filter to that of `target`. keep_filter: a
    target without a filter keeps the filter that the row has."""

    row_id: str
    target: Target
    filter_only: bool = False
    keep_filter: bool = False


@dataclass(frozen=True)
class Remove(Asked):
    """Removes the row with this ID, or with `target` the row to that target, whatever its filter; all of them, if Graph has it
    twice. allow_missing: whether it is no error if there is none."""

    row_id: str
    target: Target | None = None
    allow_missing: bool = False


@dataclass(frozen=True)
class ReplaceAll(Asked):
    """Replaces all direct rows with these. See ReplaceComplianceAssignmentsRequest for the safeguards."""

    targets: tuple[Target, ...]
    expected_count: int | None = None
    allow_empty: bool = False
    keep_filters: bool = False


@dataclass(frozen=True)
class Restore(Asked):
    """Restores these rows, by key, to what they were; no rows means that there was none. left: by key, what has to be there now
    unless somebody changed it since; None if that does not matter and every other direct row is removed."""

    wanted: Mapping[Key, tuple[Row, ...]]
    left: Mapping[Key, tuple[Row, ...]] | None = None
    on_conflict: OnConflict = "fail"
    allow_empty: bool = False


@dataclass(frozen=True)
class Untold(Asked):
    """An edit whose request can no longer be read: the gateway can find out what became of what was sent for it, but not carry
    it out. error: why."""

    error: GatewayError


@dataclass(frozen=True)
class Together(Asked):
    """Several edits, one after the other: all of them or none. names: the name of each, for errors."""

    edits: tuple[Add | Retarget | Remove, ...]
    names: tuple[str, ...]


Edit = Add | Retarget | Remove | ReplaceAll | Restore | Untold | Together


@dataclass(frozen=True)
class Applied:
    """The edit was merged. key: of its row; None if it has more than one row or none. changes: the rows before and after, for
    every key that it changed. before: the row that it found; None if there was none, or if it has more than one row. parts: for
    an edit that is made of several."""

    key: Key | None
    changes: Mapping[Key, Touch] = field(default_factory=dict)
    before: Row | None = None
    parts: tuple["Applied", ...] = ()

    @property
    def touched(self) -> frozenset[Key]:
        """Every key that it changed."""
        return frozenset(self.changes)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    @property
    def change(self) -> Change:
        """The change of its one row."""
        if not self.changes:
            return "unchanged"
        if self.before is None:
            return "created"
        return "updated" if self.key and self.key in self.changes and self.changes[self.key].after else "removed"

    def after(self, rows: RowSet) -> Row | None:
        """Its one row as in these rows; as merged, if they have another."""
        if self.key is None or self.change == "removed":
            return None
        found = rows.row(self.key)
        merged = self.changes[self.key].after if self.key in self.changes else ()
        if not merged or (found is not None and value_of(rows.of, (found,)) == value_of(rows.of, merged)):
            return found
        return merged[0]


Outcome = Applied | GatewayError
Repairs = Mapping[Key, tuple[Row, ...]]


@dataclass(frozen=True)
class Merged:
    """The result of a merge. rows: the direct rows to send. outcomes: one for each edit, in order. touched: every key that
    differs from what was read, and the keys of repairs, which have to be sent even if an edit undid the difference."""

    rows: RowSet
    outcomes: Sequence[Outcome]
    touched: frozenset[Key]
