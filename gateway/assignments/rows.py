"""What a row is: Graph's JSON object for one assignment, kept whole; what of it counts for comparing."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.odata import targets

Row = dict[str, Any]
Target = dict[str, Any]
Key = targets.Key

ASSIGNMENT_TYPE = "#microsoft.graph.deviceCompliancePolicyAssignment"
FILTER_ID, FILTER_TYPE = targets.FILTER_ID, targets.FILTER_TYPE
filter_of, kind_of, others_of = targets.filter_of, targets.kind_of, targets.others_of


def by_key(rows: Iterable[Row]) -> dict[Key, Row]:
    """The direct rows by key; of several with one key, which Graph should not have, the first."""
    found: dict[Key, Row] = {}
    for row in rows:
        if not is_owned(row):
            found.setdefault(key_of(row), row)
    return found


def differ(one: Mapping[Key, Row], other: Mapping[Key, Row], key: Key) -> bool:
    """Whether only one of the sets has the key, or they have different targets or filters for it."""
    if key in one and key in other:
        return not same_target(target_of(one[key]), target_of(other[key]))
    return (key in one) != (key in other)


def key_of(row: Row) -> Key:
    """What a policy can have once; see targets.key_of_target."""
    return targets.key_of_target(target_of(row))


def same_target(one: Target, other: Target) -> bool:
    """Whether both mean the same target with the same filter."""
    same_key = targets.key_of_target(one) == targets.key_of_target(other)
    return same_key and kind_of(one) == kind_of(other) and filter_of(one) == filter_of(other)


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
    if filter_of(target) != ("", "") or kind_of(target).excludes:
        return target
    filter_id, kind = filter_of(target_of(old))
    return {**target, FILTER_ID: filter_id, FILTER_TYPE: kind} if filter_id else target


def row_id(row: Row) -> str:
    """The row's id; empty where it has none."""
    return str(row.get("id") or "")


def is_owned(row: Row) -> bool:
    """Whether the row belongs to a policy set."""
    return str(row.get("source") or "").lower() == "policysets"
