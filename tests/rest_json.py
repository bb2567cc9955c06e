"""Graph's JSON for messages and back, apart from the gateway's own: written from docs/graph.md and the protos' comments."""

import json

from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import name_pb2 as name_pb

GRAPH = "#microsoft.graph."
NAMES = {
    "group": ("groupAssignmentTarget", "groupId", "group_id"),
    "exclusion_group": ("exclusionGroupAssignmentTarget", "groupId", "group_id"),
    "all_licensed_users": ("allLicensedUsersAssignmentTarget", "", ""),
    "all_devices": ("allDevicesAssignmentTarget", "", ""),
    "configuration_manager_collection": ("configurationManagerCollectionAssignmentTarget", "collectionId", "collection_id"),
}
BASE = "deviceAndAppManagementAssignmentTarget"
FILTER = "deviceAndAppManagementAssignmentFilter"
KINDS = {1: "none", 2: "include", 3: "exclude"}
SOURCES = {"direct": 1, "policySets": 2}
IF_EXISTS = {1: "keep", 2: "replace"}


def target_json(target: pb.DeviceAndAppManagementAssignmentTarget) -> dict:
    kind = target.WhichOneof("type")
    if kind == "unknown":
        return {"@odata.type": target.unknown.odata_type, **json.loads(target.unknown.json or "{}"), **filter_json(target)}
    name, own, attribute = NAMES.get(kind or "", (BASE, "", ""))
    value = getattr(getattr(target, kind), attribute) if kind and own else ""
    more = json.loads(target.other_properties or "{}")
    return {"@odata.type": GRAPH + name, **({own: value} if value else {}), **filter_json(target), **more}


def filter_json(target: pb.DeviceAndAppManagementAssignmentTarget) -> dict:
    out = {}
    if target.device_and_app_management_assignment_filter_id:
        out[f"{FILTER}Id"] = target.device_and_app_management_assignment_filter_id
    if kind := target.device_and_app_management_assignment_filter_type:
        out[f"{FILTER}Type"] = KINDS.get(kind, str(kind))
    return out


def assignment_json(assignment: pb.DeviceCompliancePolicyAssignment) -> dict:
    out: dict = {"@odata.type": f"{GRAPH}deviceCompliancePolicyAssignment"}
    if assignment.HasField("target"):
        out["target"] = target_json(assignment.target)
    return out


KINDS_NAMED = ("", "policy", "group", "filter")
STATES = ("", "known", "gone", "permissionMissing", "callerNotPermitted", "unavailable")
BESIDE = "@complianceGateway.names"


def names_of(rows: list[dict]) -> list[name_pb.ObjectName]:
    kinds = [{**row, "kind": KINDS_NAMED.index(row["kind"]), "state": STATES.index(row["state"])} for row in rows]
    return [name_pb.ObjectName(display_name=row.pop("displayName", ""), **row) for row in kinds]


def assignment_of(row: dict) -> pb.DeviceCompliancePolicyAssignment:
    row = {k: v for k, v in row.items() if not k.startswith("@odata.")}
    found = pb.DeviceCompliancePolicyAssignment(id=row.pop("id", ""), source_id=row.pop("sourceId", ""))
    found.source = SOURCES.get(row.pop("source", ""), 0)
    found.target.CopyFrom(target_of(row.pop("target")))
    if row:
        found.other_properties = compact(row)
    return found


def target_of(value: dict) -> pb.DeviceAndAppManagementAssignmentTarget:
    value = dict(value)
    full = value.pop("@odata.type")
    target = pb.DeviceAndAppManagementAssignmentTarget()
    target.device_and_app_management_assignment_filter_id = value.get(f"{FILTER}Id") or ""
    named = {name: number for number, name in KINDS.items()}
    target.device_and_app_management_assignment_filter_type = named.get(value.get(f"{FILTER}Type") or "", 0)
    for kind, (name, own, attribute) in NAMES.items():
        if full == GRAPH + name:
            getattr(target, kind).SetInParent()
            if own:
                setattr(getattr(target, kind), attribute, value.pop(own))
            others = {k: v for k, v in value.items() if not k.startswith(FILTER)}
            target.other_properties = compact(others) if others else ""
            return target
    if full != GRAPH + BASE:
        target.unknown.odata_type, target.unknown.json = full, compact(value)
    return target


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
