"""Edits of a policy's rows, and what they come to: values. `merge` carries them out."""

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
    """Of every edit. judge: asked about each row that it changes or removes. etag: of the set that the caller saw; empty for
    any."""

    judge: Judge = permit
    etag: str = ""


@dataclass(frozen=True)
class Add(Asked):
    """One more row. if_exists: what to do if the target has a row of the same kind."""

    target: Target
    if_exists: IfExists = "fail"


@dataclass(frozen=True)
class Retarget(Asked):
    """Another target, or with `filter_only` only the filter of `target`, for the row with this id. keep_filter: a target
    without a filter means the one that the row has."""

    row_id: str
    target: Target
    filter_only: bool = False
    keep_filter: bool = False


@dataclass(frozen=True)
class Remove(Asked):
    """No longer the row with this id, or with `target` the one to it, whatever its filter; all of them, where Graph has it
    twice. allow_missing: that there is none is no error."""

    row_id: str
    target: Target | None = None
    allow_missing: bool = False


@dataclass(frozen=True)
class ReplaceAll(Asked):
    """Exactly these direct rows. See ReplaceComplianceAssignmentsRequest for the safeguards."""

    targets: tuple[Target, ...]
    expected_count: int | None = None
    allow_empty: bool = False
    keep_filters: bool = False


@dataclass(frozen=True)
class Restore(Asked):
    """These rows by key, as they were; empty for none. left: what is there by key unless somebody changed it since; None where
    that does not matter, and every other direct row goes."""

    wanted: Mapping[Key, tuple[Row, ...]]
    left: Mapping[Key, tuple[Row, ...]] | None = None
    on_conflict: OnConflict = "fail"
    allow_empty: bool = False


@dataclass(frozen=True)
class Together(Asked):
    """Several edits, one after the other: all of them or none. names: of each, in an error."""

    edits: tuple[Add | Retarget | Remove, ...]
    names: tuple[str, ...]


Edit = Add | Retarget | Remove | ReplaceAll | Restore | Together


@dataclass(frozen=True)
class Applied:
    """The edit is in the merged rows. key: of its row, None where it has no one row. changes: the rows with every key that it
    changed, before and after. before: the row that it found, None where there was none, or where it has no one row. parts: of
    an edit that is made of several."""

    key: Key | None
    changes: Mapping[Key, Touch] = field(default_factory=dict)
    before: Row | None = None
    parts: tuple["Applied", ...] = ()

    @property
    def touched(self) -> frozenset[Key]:
        """Every key it changed."""
        return frozenset(self.changes)

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    @property
    def change(self) -> Change:
        """Of its one row."""
        if not self.changes:
            return "unchanged"
        if self.before is None:
            return "created"
        return "updated" if self.key and self.key in self.changes and self.changes[self.key].after else "removed"

    def after(self, rows: RowSet) -> Row | None:
        """Its one row as it is in these rows; as it was merged, where they have another."""
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
    """rows: the direct rows to send. outcomes: one an edit, in their order. touched: every key that differs from what was read,
    and those of repairs, whatever an edit made of them: what has to be there has to be said anew."""

    rows: RowSet
    outcomes: Sequence[Outcome]
    touched: frozenset[Key]
