"""Says over REST what a request message says, and reads the answer. Written from docs/graph.md and the comments in the
protos, with nothing of the gateway's."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from google.protobuf.empty_pb2 import Empty
from rig import Failure, Rig, gateway
from yarl import URL

from gateway.emulator import Emulator

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


@dataclass
class Reply:
    """status, headers (lower case), JSON or None."""

    status: int
    headers: dict[str, str]
    json: Any = field(repr=False)


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


def assignment_of(row: dict) -> pb.DeviceCompliancePolicyAssignment:
    row = {k: v for k, v in row.items() if not k.startswith("@odata.")}
    found = pb.DeviceCompliancePolicyAssignment(id=row.pop("id"), source_id=row.pop("sourceId", ""))
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


def request_of(operation: str, message: Any, version: str = "beta") -> tuple[str, str, Any, dict[str, str]]:
    """method, path with query, JSON (... for no body), headers."""
    policy = quote(message.device_compliance_policy_id, safe="")
    path = f"/{version}/deviceManagement/deviceCompliancePolicies" + (f"/{policy}" if policy else "('')")
    headers = {"Idempotency-Key": message.request_id} if getattr(message, "request_id", "") else {}
    kind = operation.removesuffix("Assignments").removesuffix("Assignment").removesuffix("Compliance")
    if kind == "Replace":
        body: dict = {"assignments": [assignment_json(a) for a in message.assignments]}
        if message.HasField("expected_count"):
            body["expectedCount"] = message.expected_count
        body |= {name: True for name, on in (("allowEmpty", message.allow_empty), ("keepFilters", message.keep_filters)) if on}
        return "POST", f"{path}/assign", body, headers
    path += "/assignments"
    if kind == "Create":
        query = f"?ifExists={IF_EXISTS.get(message.if_exists, message.if_exists)}" if message.if_exists else ""
        return "POST", path + query, assignment_json(message.assignment) if message.HasField("assignment") else None, headers
    if kind == "List":
        pairs = [("$top", message.page_size), ("$skiptoken", message.page_token)]
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs if value)
        return "GET", f"{path}?{query}", ..., headers
    path += f"('{quote(message.device_compliance_policy_assignment_id, safe='')}')"
    if kind == "Update":
        names = message.update_mask.ToJsonString()
        query = [f"updateMask={quote(names)}"] if names else []
        query += ["keepFilter=true"] if message.keep_filter else []
        return "PATCH", f"{path}?{'&'.join(query)}", assignment_json(message.assignment), headers
    return {"Get": "GET", "Delete": "DELETE"}[kind], path, ..., headers


def answer_of(operation: str, reply: Reply) -> Any:
    """The response message, or a Failure whose status is HTTP's."""
    if reply.status >= 400:
        return failure_of(reply)
    if reply.status == 204:
        return Empty()
    if operation == "ListComplianceAssignments":
        found = service_pb.ListComplianceAssignmentsResponse(assignments=map(assignment_of, reply.json["value"]))
        found.next_page_token = URL(reply.json.get("@odata.nextLink", "")).query.get("$skiptoken", "")
        return found
    if operation == "ReplaceComplianceAssignments":
        return service_pb.ReplaceComplianceAssignmentsResponse(assignments=map(assignment_of, reply.json["value"]))
    return assignment_of(reply.json)


def failure_of(reply: Reply) -> Failure:
    error = reply.json["error"]
    inner = error["innerError"]
    assert inner["request-id"] == reply.headers["request-id"]
    ids = ("date", "request-id", "client-request-id")
    retry_after = reply.headers.get("retry-after")
    return Failure(
        status=str(reply.status),
        message=error["message"],
        reason=error["code"],
        metadata={name: value for name, value in inner.items() if name not in ids},
        fields=[detail["target"] for detail in error.get("details", [])],
        retry_after=float(retry_after) if retry_after else None,
        resource=error.get("target", "").partition("/")[2],
        pushback_ms=None,
        seen=f"{reply.headers} {reply.json}",
    )


@dataclass
class RestCaller:
    """Sends to a gateway. root: such as http://127.0.0.1:1."""

    root: str
    token: str
    session: aiohttp.ClientSession

    async def send(self, method: str, path: str, body: Any = ..., headers: Any = None, data: bytes | None = None) -> Reply:
        """path: already encoded. body: JSON, ... for none. headers: in place of the caller's token, where they have it."""
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not ...:
            data = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **headers}
        content = io.BytesIO(data) if data is not None else None
        async with self.session.request(method, URL(self.root + path, encoded=True), data=content, headers=headers) as answer:
            text = await answer.read()
            is_json = answer.headers.get("Content-Type", "").startswith("application/json")
            lower = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, lower, json.loads(text) if is_json else text or None)

    async def call(self, operation: str, message: Any, version: str = "beta", **headers: str) -> Any:
        """As Rig.call."""
        method, path, body, own = request_of(operation, message, version)
        return answer_of(operation, await self.send(method, path, body, {"Prefer": "wait=20", **own, **headers}))


@asynccontextmanager
async def rest(emulator: Emulator, **sections: dict[str, Any]) -> AsyncIterator[tuple[Rig, RestCaller]]:
    """A gateway, and a caller of its REST door."""
    async with gateway(emulator, **sections) as rig, aiohttp.ClientSession() as session:
        yield rig, RestCaller(f"http://{rig.rest_address}", rig.token, session)
