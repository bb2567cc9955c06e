"""Wrong REST requests: the request, the status, the gateway's code, and the fields that the error names. Data for test_rest."""

import gzip
import json
from typing import Any

from edits_over_the_wire import guid

from gateway.emulator.seeds import FILTER, GROUP, WINDOWS

POLICIES = "/deviceManagement/deviceCompliancePolicies"
SET = f"/beta{POLICIES}/{WINDOWS}/assignments"
ASSIGN = f"/beta{POLICIES}/{WINDOWS}/assign"
EDIT = f"/beta{POLICIES}/{WINDOWS}/edit"
EDIT_OF_V1 = EDIT.replace("beta", "v1.0")
REVISIONS = f"/beta{POLICIES}/{WINDOWS}/revisions"
ROW = f"{SET}/{WINDOWS}_{GROUP}"
FILTER_ID, FILTER_TYPE = "deviceAndAppManagementAssignmentFilterId", "deviceAndAppManagementAssignmentFilterType"


def group(number: int = 1, **more: object) -> dict:
    return {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(number), **more}}


GOOD = json.dumps(group()).encode()
BOMB = gzip.compress(b" " * (8 << 20))
WRONG, BROKEN, KIND = "INVALID_FIELD", "MESSAGE_MALFORMED", "MEDIA_TYPE_UNSUPPORTED"
Case = tuple[tuple[str, str, bytes | None, dict[str, str]], int, str, list[str]]


def to(path: str, status: int, code: str, *places: str, method: str = "GET", **headers: str) -> Case:
    return (method, path, None, _named(headers)), status, code, list(places)


def post(body: Any, status: int, code: str, *places: str, path: str = SET, method: str = "POST", **headers: str) -> Case:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (method, path, data, {"Content-Type": "application/json", **_named(headers)}), status, code, list(places)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


MISTAKES: dict[str, Case] = {
    "no such path": to("/beta/users", 404, "ROUTE_UNKNOWN"),
    "another version": to(f"/v2.0{POLICIES}/{WINDOWS}/assignments", 404, "ROUTE_UNKNOWN"),
    "a path that climbs": to(f"/beta/..%2Fbeta{POLICIES}/{WINDOWS}/assignments", 404, "ROUTE_UNKNOWN"),
    "a host in the path": to(f"//evil.example{SET}", 404, "ROUTE_UNKNOWN"),
    "no key": to(f"/beta{POLICIES}//assignments", 404, "ROUTE_UNKNOWN"),
    "another method": post(GOOD, 405, "METHOD_NOT_ALLOWED", method="PUT"),
    "another method of a page": to("/healthz", 405, "METHOD_NOT_ALLOWED", method="POST"),
    "no method of HTTP": to(SET, 400, BROKEN, "request", method="FETCH"),
    "no type": post(GOOD, 415, KIND, "Content-Type", Content_Type=""),
    "another type": post(GOOD, 415, KIND, "Content-Type", Content_Type="text/plain"),
    "two types": post(GOOD, 415, KIND, "Content-Type", Content_Type="application/json, text/plain"),
    "another charset": post(GOOD, 415, KIND, "Content-Type", Content_Type="application/json;charset=utf-16"),
    "another encoding": post(GOOD, 415, KIND, "Content-Encoding", Content_Encoding="br"),
    "no gzip": post(GOOD, 400, BROKEN, "body", Content_Encoding="gzip"),
    "half a gzip": post(gzip.compress(GOOD)[:-4], 400, BROKEN, "body", Content_Encoding="gzip"),
    "a bomb": post(BOMB, 413, "MESSAGE_TOO_LARGE", "body", Content_Encoding="gzip"),
    "too large": post(b" " * ((1 << 20) + 1), 413, "MESSAGE_TOO_LARGE", "body"),
    "nothing": post(b"", 400, BROKEN, "body"),
    "no JSON": post(b'{"target":', 400, BROKEN, "body"),
    "no UTF-8": post(b'{"target":"\xff"}', 400, BROKEN, "body"),
    "nested too deep": post(b"[" * 100_000, 400, BROKEN, "body"),
    "nested 33 deep": post(b'{"target":' + b"[" * 32 + b"]" * 32 + b"}", 400, BROKEN, "body"),
    "a number that no reader takes": post(b'{"target":1e999999999}', 400, BROKEN, "body"),
    "a number that is just no double": post(
        b'{"target":{"@odata.type":"#microsoft.graph.x","a":[1.8e308]}}', 400, BROKEN, "body"
    ),
    "a whole number beyond any double": post(
        b'{"target":{"@odata.type":"#x.y","a":2' + b"0" * 308 + b"}}", 400, BROKEN, "body"
    ),
    "NaN": post(b'{"target":NaN}', 400, BROKEN, "body"),
    "a key twice": post(GOOD.replace(b'"target"', b'"target": 1, "target"'), 400, BROKEN, "target"),
    "half a character": post(GOOD.replace(b"#microsoft", b"\\ud800"), 400, BROKEN, "body"),
    "an array": post([], 400, WRONG, "body"),
    "a target that is none": post({"target": []}, 400, WRONG, "target"),
    "a group that is a number": post(group(1, groupId=7), 400, WRONG, "target.groupId"),
    "a type that is a number": post({"target": {"@odata.type": 7}}, 400, WRONG, "target.@odata.type"),
    "a source of the future": post({"source": "x"}, 400, WRONG, "source"),
    "a property that nobody knows": post(group(1, ring=7), 400, WRONG, "target"),
    "a filter in other letters": post(group(1, **{FILTER_ID.lower(): FILTER}), 400, WRONG, "target"),
    "null for assignments": post({"assignments": None, "allowEmpty": True}, 400, WRONG, "assignments", path=ASSIGN),
    "no filters to keep": post(
        {"assignments": [], "keepFilters": False}, 400, WRONG, "keepFilters", path=ASSIGN.replace("beta", "v1.0")
    ),
    "no filter to keep": post(
        GOOD, 400, WRONG, "keepFilter", path=f"{ROW}?keepFilter=false".replace("beta", "v1.0"), method="PATCH"
    ),
    "no assignments": post({}, 400, WRONG, "assignments", path=ASSIGN),
    "assignments by another name": post({"assigments": [], "allowEmpty": True}, 400, WRONG, "assigments", path=ASSIGN),
    "a row that is none": post({"assignments": [7]}, 400, WRONG, "assignments[0]", path=ASSIGN),
    "a group in the second row": post(
        {"assignments": [group(), group(2, groupId="x")]}, 400, WRONG, "assignments[1].target.groupId", path=ASSIGN
    ),
    "a count beyond 32 bits": post({"assignments": [], "expectedCount": 1 << 31}, 400, WRONG, "expectedCount", path=ASSIGN),
    "a count that is true": post({"assignments": [], "expectedCount": True}, 400, WRONG, "expectedCount", path=ASSIGN),
    "a negative count": post({"assignments": [], "expectedCount": -1}, 400, WRONG, "expectedCount", path=ASSIGN),
    "no edits": post({}, 400, WRONG, "edits", path=EDIT),
    "edits by another name": post({"edit": []}, 400, WRONG, "edit", path=EDIT),
    "edits that are none": post({"edits": 7}, 400, WRONG, "edits", path=EDIT),
    "edits of v1.0 that are none": post({"edits": 7}, 400, WRONG, "edits", path=EDIT_OF_V1),
    "an edit of v1.0 that is none": post({"edits": ["create"]}, 400, WRONG, "edits[0]", path=EDIT_OF_V1),
    "a creation of v1.0 that is none": post({"edits": [{"create": 7}]}, 400, WRONG, "edits[0].create", path=EDIT_OF_V1),
    "nothing for a creation of v1.0": post({"edits": [{"create": None}]}, 400, WRONG, "edits[0]", path=EDIT_OF_V1),
    "two edits in one": post(
        {"edits": [{"create": {"assignment": group()}, "delete": {"id": "x"}}]}, 400, WRONG, "edits[0]", path=EDIT
    ),
    "one by its id and its target": post(
        {"edits": [{"delete": {"id": "x", **group()}}]}, 400, WRONG, "edits[0].delete", path=EDIT
    ),
    "an edit of another name": post({"edits": [{"remove": {"id": "x"}}]}, 400, WRONG, "edits[0].remove", path=EDIT),
    "an edit misspelled": post(
        {"edits": [{"create": {"assignment": group(), "ifexists": "keep"}}]}, 400, WRONG, "edits[0].create.ifexists", path=EDIT
    ),
    "an edit with ifExists that is none": post(
        {"edits": [{"create": {"assignment": group(), "ifExists": "x"}}]}, 400, WRONG, "edits[0].create.ifExists", path=EDIT
    ),
    "an edit of v1.0 that replaces a filter": post(
        {"edits": [{"create": {"assignment": group(), "ifExists": "replace"}}]},
        400,
        WRONG,
        "edits[0].create.ifExists",
        path=EDIT_OF_V1,
    ),
    "an edit of v1.0 with a filter": post(
        {"edits": [{"create": {"assignment": group(1, **{FILTER_ID: FILTER, FILTER_TYPE: "include"})}}]},
        400,
        WRONG,
        "edits[0].create.assignment.target",
        path=EDIT_OF_V1,
    ),
    "1,001 edits": post({"edits": [{}] * 1001}, 400, WRONG, "edits", path=EDIT),
    "validateOnly that is none": post(GOOD, 400, WRONG, "validateOnly", path=f"{SET}?validateOnly=yes"),
    "validateOnly of a read": to(f"{SET}?validateOnly=true", 400, WRONG, "validateOnly"),
    "an empty ETag": to(ROW, 400, WRONG, "If-Match", method="DELETE", If_Match=""),
    "two ETags": to(ROW, 400, WRONG, "If-Match", method="DELETE", If_Match=f'"{"0" * 32}", "{"1" * 32}"'),
    "an ETag in capitals": to(ROW, 400, WRONG, "If-Match", method="DELETE", If_Match=f'"{"A" * 32}"'),
    "an ETag too long": to(ROW, 400, WRONG, "If-Match", method="DELETE", If_Match=f'"{"0" * 256}"'),
    "a deletion unless it is there": to(ROW, 400, WRONG, "If-None-Match", method="DELETE", If_None_Match="*"),
    "a revision that is none": to(f"{REVISIONS}/x", 400, WRONG, "number"),
    "a revision of nothing": to(f"{REVISIONS}/0", 400, WRONG, "number"),
    "a view that is none": to(f"{REVISIONS}/1?view=all", 400, WRONG, "view"),
    "revisions by a filter that is none": to(f"{REVISIONS}?$filter=x", 400, WRONG, "$filter"),
    "a restoration of two": post({"revision": 1, "entry": "x"}, 400, WRONG, "body", path=f"/beta{POLICIES}/{WINDOWS}/restore"),
    "a restoration of a number that is text": post(
        {"revision": "1"}, 400, WRONG, "revision", path=f"/beta{POLICIES}/{WINDOWS}/restore"
    ),
    "$apply": to(f"{SET}?$apply=x", 400, WRONG, "$apply"),
    "$top that is none": to(f"{SET}?$top=-1", 400, WRONG, "$top"),
    "$top too large": to(f"{SET}?$top=1001", 400, WRONG, "$top"),
    "$top twice": to(f"{SET}?$top=1&$top=2", 400, WRONG, "$top"),
    "a page that is none": to(f"{SET}?$skiptoken=x", 400, WRONG, "$skiptoken"),
    "ifExists that is none": post(GOOD, 400, WRONG, "ifExists", path=f"{SET}?ifExists=KEEP"),
    "ifExists against its condition": post(GOOD, 400, WRONG, "If-None-Match", path=f"{SET}?ifExists=keep", If_None_Match="*"),
    "an ETag": to(ROW, 400, WRONG, "If-Match", method="DELETE", If_Match='W/"1"'),
    "an ETag not to match": post(GOOD, 400, WRONG, "If-None-Match", If_None_Match='"1"'),
    "a mask that is none": post(GOOD, 400, WRONG, "updateMask", path=f"{ROW}?updateMask=a_b", method="PATCH"),
    "a request id with a space": to(ROW, 400, WRONG, "Idempotency-Key", method="DELETE", Idempotency_Key="a b"),
    "an empty request id": to(ROW, 400, WRONG, "Idempotency-Key", method="DELETE", Idempotency_Key=""),
    "an own id with a space": to(ROW, 400, WRONG, "client-request-id", method="DELETE", client_request_id="a b"),
    "no token": to(SET, 401, "CALLER_UNAUTHENTICATED", Authorization=""),
    "no host": to(SET, 400, BROKEN, "Host", Host="a b"),
    "a preference too long": to(SET, 400, WRONG, "Prefer", Prefer="wait=1, " + "x" * 300),
    "an encoding too long": post(GOOD, 400, WRONG, "Content-Encoding", Content_Encoding="identity," * 40),
    "headers too large": to(SET, 431, "HEADERS_TOO_LARGE", **{f"x_{i}": "x" * 4000 for i in range(9)}),
}
