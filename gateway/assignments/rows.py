"""What a row is: Graph's JSON object for one assignment, kept whole; what of it counts for comparing."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.odata import dumps
from gateway.odata.codec import TYPE, ZERO_GUID, type_key

Row = dict[str, Any]
Target = dict[str, Any]
Key = tuple[str, str]

ASSIGNMENT_TYPE = "#microsoft.graph.deviceCompliancePolicyAssignment"
FILTER_ID, FILTER_TYPE = "deviceAndAppManagementAssignmentFilterId", "deviceAndAppManagementAssignmentFilterType"
GROUP, EXCLUSION = "microsoft.graph.groupassignmenttarget", "microsoft.graph.exclusiongroupassignmenttarget"
COLLECTION = "microsoft.graph.configurationmanagercollectionassignmenttarget"
BROAD = ("microsoft.graph.alllicensedusersassignmenttarget", "microsoft.graph.alldevicesassignmenttarget")
OWN = {GROUP: "groupId", EXCLUSION: "groupId", COLLECTION: "collectionId", **dict.fromkeys(BROAD, "")}


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
    """What a policy can have once: a group (included or excluded), a collection, all users, all devices; an unknown target
    as a whole, but for its filter and its nulls."""
    target = target_of(row)
    kind = kind_of(target)
    if kind in (GROUP, EXCLUSION) and isinstance(target.get("groupId"), str):
        return "group", target["groupId"].lower()
    if kind == COLLECTION and isinstance(target.get("collectionId"), str):
        return "collection", target["collectionId"]
    if kind in BROAD:
        return "all", kind
    own = {k: v for k, v in target.items() if v is not None and k not in (TYPE, FILTER_ID, FILTER_TYPE)}
    return kind, dumps(dict(sorted(own.items())))


def others_of(target: Target) -> dict[str, Any]:
    """The properties of a target of a known type that neither say who is meant nor what its filter is."""
    kind = kind_of(target)
    if kind not in OWN:
        return {}
    return {k: v for k, v in target.items() if k not in (TYPE, FILTER_ID, FILTER_TYPE, OWN[kind])}


def kind_of(target: Target) -> str:
    """The type name for comparing."""
    name = target.get(TYPE)
    return type_key(name) if isinstance(name, str) else ""


def filter_of(target: Target) -> tuple[str, str]:
    """The filter's id and type; two empty strings where there is none, however that is spelled."""
    kind, filter_id = str(target.get(FILTER_TYPE) or "none").lower(), str(target.get(FILTER_ID) or ZERO_GUID).lower()
    return ("", "") if kind == "none" or filter_id == ZERO_GUID else (filter_id, kind)


def same_target(one: Target, other: Target) -> bool:
    """Whether both mean the same target with the same filter."""
    as_rows = ({"target": one}, {"target": other})
    keys = {key_of(row) for row in as_rows}
    return len(keys) == 1 and kind_of(one) == kind_of(other) and filter_of(one) == filter_of(other)


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
    if filter_of(target) != ("", "") or kind_of(target) == EXCLUSION:
        return target
    filter_id, kind = filter_of(target_of(old))
    return {**target, FILTER_ID: filter_id, FILTER_TYPE: kind} if filter_id else target


def row_id(row: Row) -> str:
    """The row's id; empty where it has none."""
    return str(row.get("id") or "")


def is_owned(row: Row) -> bool:
    """Whether the row belongs to a policy set."""
    return str(row.get("source") or "").lower() == "policysets"
