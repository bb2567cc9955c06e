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
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from google.protobuf.empty_pb2 import Empty
from rest_history import ANSWERS, REQUESTS
from rest_json import BESIDE, IF_EXISTS, assignment_json, assignment_of, names_of
from rig import Failure, Rig, gateway
from yarl import URL

from gateway.emulator import Emulator


@dataclass
class Reply:
    """status, headers (lower case), JSON or None."""

    status: int
    headers: dict[str, str]
    json: Any = field(repr=False)


def request_of(operation: str, message: Any, version: str = "beta") -> tuple[str, str, Any, dict[str, str]]:
    """method, path with query, JSON (... for no body), headers."""
    if operation == "GetQuota":
        return "GET", "/quota", ..., {}
    policy = quote(message.device_compliance_policy_id, safe="")
    path = f"/{version}/deviceManagement/deviceCompliancePolicies" + (f"/{policy}" if policy else "('')")
    given = [("Idempotency-Key", getattr(message, "request_id", "")), ("If-Match", getattr(message, "etag", ""))]
    headers = {name: value for name, value in given if value}
    method, path, body = _request_of(operation, message, path)
    if getattr(message, "validate_only", False):
        path += ("&" if "?" in path else "?") + "validateOnly=true"
    return method, path, body, headers


def _request_of(operation: str, message: Any, path: str) -> tuple[str, str, Any]:
    """method, path with query, JSON."""
    kind = operation.removesuffix("Assignments").removesuffix("Assignment").removesuffix("Compliance")
    if operation in REQUESTS:
        return REQUESTS[operation](message, path)
    if kind == "Replace":
        body: dict = {"assignments": [assignment_json(a) for a in message.assignments]}
        if message.HasField("expected_count"):
            body["expectedCount"] = message.expected_count
        body |= {name: True for name, on in (("allowEmpty", message.allow_empty), ("keepFilters", message.keep_filters)) if on}
        return "POST", f"{path}/assign", body
    path += "/assignments"
    if kind == "Create":
        query = f"?ifExists={IF_EXISTS.get(message.if_exists, message.if_exists)}" if message.if_exists else ""
        return "POST", path + query, assignment_json(message.assignment) if message.HasField("assignment") else None
    if kind == "List":
        pairs = [("$top", message.page_size), ("$skiptoken", message.page_token)]
        pairs += [("view", ("", "basic", "withNames")[message.view])]
        query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs if value)
        return "GET", f"{path}?{query}", ...
    path += f"('{quote(message.device_compliance_policy_assignment_id, safe='')}')"
    if kind == "Update":
        names = message.update_mask.ToJsonString()
        query = [f"updateMask={quote(names)}"] if names else []
        query += ["keepFilter=true"] if message.keep_filter else []
        return "PATCH", f"{path}?{'&'.join(query)}", assignment_json(message.assignment)
    return {"Get": "GET", "Delete": "DELETE"}[kind], path, ...


def answer_of(operation: str, reply: Reply) -> Any:
    """The response message, or a Failure whose status is HTTP's."""
    if reply.status >= 400:
        return failure_of(reply)
    if reply.status == 204:
        return Empty()
    if operation == "ListComplianceAssignments":
        found = service_pb.ListComplianceAssignmentsResponse(assignments=map(assignment_of, reply.json["value"]))
        found.next_page_token = URL(reply.json.get("@odata.nextLink", "")).query.get("$skiptoken", "")
        found.etag = reply.headers.get("etag", "")
        found.names.extend(names_of(reply.json.get(BESIDE, ())))
        return found
    if operation in ANSWERS:
        return ANSWERS[operation](reply)
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
