"""A row: Graph's JSON object for one assignment, kept whole; and the rows of a policy as one read showed them."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from json import JSONEncoder
from typing import Any, NamedTuple

from gateway.odata import canonical, dumps
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, NO_FILTER, Key, extra_properties, filter_of, key_of_target, kind_of
from gateway.sets import AssignableSet

Row = dict[str, Any]
Target = dict[str, Any]
# What counts of the rows with one key, for comparing: empty for none; more than one where a key stands twice.
Value = tuple[tuple[str, ...], ...]
ABSENT: Value = ()
IN_ORDER = JSONEncoder(sort_keys=True, default=repr)  # a Decimal is not a str


class Touch(NamedTuple):
    """The direct rows with one key, before and after."""

    before: tuple[Row, ...]
    after: tuple[Row, ...]


class RowSet:
    """The rows of one read, indexed once, so that no edit has to scan them. Immutable.

    rows: all, in Graph's order. direct: those that the gateway sends, by key, mostly one for each key. owned: those of policy
    sets, by key; they belong to Intune. IDs are compared without case.
    """

    def __init__(self, of: AssignableSet, rows: Iterable[Row]) -> None:
        self.of, self.rows = of, list(rows)
        self.direct: dict[Key, tuple[Row, ...]] = {}
        self.owned: dict[Key, Row] = {}
        for row in self.rows:
            self._index(row)

    @classmethod
    def building(cls, of: AssignableSet, rows: Sequence[Row], *, whole: bool) -> Generator[None, None, "RowSet"]:
        """The same in steps, one a row, with the etag. whole: and with the values of the rows, which writers compare."""
        found = cls(of, ())
        for row in rows:
            found.rows.append(row)
            found._index(row)
            yield
        texts, values = [], {}
        for row in rows:
            texts.append(_text_of(row))
            yield
        found.etag = _etag_of(texts)
        for key, some in found.direct.items() if whole else ():
            values[key] = value_of(of, some)
            yield
        if whole:
            found.values = values
        return found

    def _index(self, row: Row) -> None:
        key = key_of(row)
        if str(row.get("source") or "").lower() == "policysets":
            self.owned[key] = row
        else:
            self.direct[key] = (*self.direct.get(key, ()), row)

    def with_direct(self, direct: dict[Key, tuple[Row, ...]]) -> "RowSet":
        """The set with only these direct rows, by key. What it shares with this one is not indexed again."""
        found = RowSet(self.of, ())
        found.rows, found.direct = [row for rows in direct.values() for row in rows], direct
        ours, values = self.direct, self.values
        found.values = {key: values[key] if rows is ours.get(key) else value_of(self.of, rows) for key, rows in direct.items()}
        return found

    def with_owned(self, whole: "RowSet") -> "RowSet":
        """The set with the policy sets' rows of another set."""
        return RowSet(self.of, [*self.rows, *whole.owned.values()])

    def without(self, changes: Mapping[Key, Touch]) -> "RowSet":
        """The set as it was before these changes."""
        return self._changed({key: touch.before for key, touch in changes.items()})

    def changed_by(self, changes: Mapping[Key, Touch]) -> "RowSet":
        """The set as it is after these changes."""
        return self._changed({key: touch.after for key, touch in changes.items()})

    def _changed(self, direct: Mapping[Key, tuple[Row, ...]]) -> "RowSet":
        new = {**self.direct, **direct}
        return RowSet(self.of, [*(row for rows in new.values() for row in rows), *self.owned.values()])

    @cached_property
    def by_id(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row_id(row).lower()].append(row)
        return found

    @cached_property
    def values(self) -> dict[Key, Value]:
        """The values of the direct rows, by key; see value_of."""
        return {key: value_of(self.of, rows) for key, rows in self.direct.items()}

    @cached_property
    def json(self) -> str:
        """All rows, as Graph and the ledger get them."""
        return dumps(self.rows)

    @cached_property
    def etag(self) -> str:
        """A digest of all rows, in any order and without annotations (AIP-154): 32 characters in quotes."""
        return _etag_of(map(_text_of, self.rows))

    def value(self, key: Key) -> Value:
        return self.values.get(key, ABSENT)

    def row(self, key: Key) -> Row | None:
        """The direct row with this key, or the one of a policy set."""
        rows = self.direct.get(key)
        return rows[0] if rows else self.owned.get(key)


def differ(of: AssignableSet, some: Sequence[Row], others: Sequence[Row]) -> bool:
    """Whether rows with one key have different values, or differ in properties of their targets that the gateway does not
    know."""
    return value_of(of, some) != value_of(of, others) or _unknown(some) != _unknown(others)


def _unknown(rows: Sequence[Row]) -> list[str]:
    extras = (extra_properties(target_of(row)) for row in rows)
    return sorted(canonical({name: value for name, value in extra.items() if value is not None}) for extra in extras)


def otherwise_changed(before: RowSet, after: RowSet) -> dict[Key, Touch]:
    """The changes of rows that have the same value but differ in the properties that are kept of them."""
    if before.etag == after.etag:
        return {}
    same = {key: Touch(rows, after.direct[key]) for key, rows in before.direct.items() if after.value(key) == before.value(key)}
    return {
        key: touch for key, touch in same.items() if RowSet(after.of, touch.before).etag != RowSet(after.of, touch.after).etag
    }


def _text_of(row: Row) -> str:
    return IN_ORDER.encode({k: v for k, v in row.items() if "@" not in k})


def _etag_of(texts: Iterable[str]) -> str:
    digest = sha256("\n".join(sorted(texts)).encode()).hexdigest()
    return f'"{digest[:32]}"'


def value_of(of: AssignableSet, rows: Sequence[Row]) -> Value:
    """The value of rows: equal if they mean the same, however spelt: kind of target, filter, and other properties that
    count."""
    marks: list[tuple[str, ...]] = []
    for row in rows:
        target = target_of(row)
        mark = (kind_of(target).name, *filter_of(target))
        marks.append((*mark, *(canonical(row.get(name)) for name in of.compared)) if of.compared else mark)
    return tuple(marks if len(marks) < 2 else sorted(marks))


def key_of(row: Row) -> Key:
    """The key of which a policy has at most one row; see targets.key_of_target."""
    return key_of_target(target_of(row))


def target_of(row: Row) -> Target:
    """The row's target; empty where it has none that can be read."""
    target = row.get("target")
    return target if isinstance(target, dict) else {"row": {k: v for k, v in row.items() if k != "id"}}


def with_filter(row: Row, wanted: Target) -> Row:
    """The row with the filter of `wanted`, all else as it is; the same object where nothing changes."""
    target = target_of(row)
    if filter_of(target) == filter_of(wanted):
        return row
    filter_id, kind = filter_of(wanted)
    return {**row, "target": {**target, FILTER_ID: filter_id or None, FILTER_TYPE: kind or "none"}}


def keeping_filter(target: Target, old: Row) -> Target:
    """The target with the filter of the row, if it has none of its own and may have one."""
    if filter_of(target) != NO_FILTER or kind_of(target).excludes:
        return target
    filter_id, kind = filter_of(target_of(old))
    return {**target, FILTER_ID: filter_id, FILTER_TYPE: kind} if filter_id else target


def row_id(row: Row) -> str:
    """The row's id; empty where it has none."""
    return str(row.get("id") or "")
