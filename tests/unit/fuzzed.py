"""What each entrance is tried with: changed good input, input of the right kind, and any bytes. Data for
test_fuzzed_entrances."""

import json
from collections.abc import Callable
from typing import NamedTuple

from any_bytes import CHANGES, LEAVES, NAMES, VALUES, changed, objects_like, utf_8
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import strategies as st
from strangers import (
    ASSIGN,
    EDIT,
    GOOD_HEADER,
    POLICY,
    RESTORE,
    REVISIONS,
    SET,
    STATIC,
    TOKENS,
    TYPE,
    Pairs,
    bearer,
    caller,
    certificate,
    certificate_of,
    good_claims,
    grpc,
    json_text,
    page_token,
    rest,
    signed,
    static_lines,
)

from gateway.assignments.history import wanted_of
from gateway.operations import OPERATIONS

Entrance = Callable[[bytes], object]
ROW = b'{"target":{"@odata.type":"#microsoft.graph.groupAssignmentTarget","groupId":"%s"}}' % POLICY.encode()
UNKNOWN = b'{"target":{"@odata.type":"#x.y","a":[1.10,{"b":null}],"deviceAndAppManagementAssignmentFilterType":"none"}}'
BATCH = json.dumps(
    {
        "requests": [
            {"id": "1", "method": "GET", "url": SET, "headers": {"prefer": "wait=5, return=minimal"}},
            {"id": "2", "method": "POST", "url": SET, "body": json.loads(ROW), "dependsOn": ["1"]},
        ]
    }
).encode()
PAGE = TOKENS.token("deviceCompliancePolicies", "t", POLICY, 7)
HEADERS = (
    b"Prefer: return=minimal, wait=10\nclient-request-id: a\nIdempotency-Key: k\nIf-None-Match: *\nContent-Encoding: gzip",
    b"Content-Type: application/json; charset=utf-8\nx-graph-tenant: t\nIf-Match: *\nHost: a:1",
)
TARGETS = (
    f"GET {SET}?$top=2&$skiptoken=x".encode(),
    f"PATCH {SET}('a%20b')?updateMask=target&keepFilter=true".encode(),
    b"POST /v1.0/deviceManagement/deviceCompliancePolicies('a')/assignments?ifExists=keep",
    f"DELETE {SET}/x".encode(),
    f"POST {ASSIGN}".encode(),
    b"POST /beta/$batch",
    f"GET {REVISIONS}/7?view=full".encode(),
    f"GET {REVISIONS}?$filter=kind%20%3D%20FOREIGN&$top=3".encode(),
    b"GET /quota",
    b"GET http://gateway/healthz",
)


FILTERS = (
    b'kind = FOREIGN AND write_time >= "2026-01-31T00:00:00Z"',
    b'write_time < 2026-01-31T23:59:59.5+01:00 AND kind="WRITE"',
)
EDITS = (
    b'{"edits":[{"create":{"assignment":%s,"ifExists":"keep"}},{"delete":{"id":"x","allowMissing":true}}]}' % ROW,
    b'{"edits":[{"update":{"id":"x","assignment":%s,"updateMask":"target"}},{"delete":%s}]}' % (ROW, ROW),
)
RESTORATIONS = (
    b'{"revision":7,"scope":"wholeSet","allowEmpty":true}',
    b'{"entry":"%s","onConflict":"force"}' % POLICY.encode(),
    b'{"time":"2026-01-31T00:00:00Z","scope":"wholeSet","validateOnly":false}',
)


def pairs_of(data: bytes) -> Pairs:
    """As aiohttp reads headers."""
    lines = data.decode("utf-8", "surrogateescape").replace("\r", "\n").replace("\0", "\n").split("\n")
    return tuple((name, value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon and name)


def by_target(data: bytes) -> object:
    method, _, target = data.decode("utf-8", "surrogateescape").partition(" ")
    return rest(method, target, TYPE, ROW)


def message(data: bytes) -> object:
    return grpc(list(OPERATIONS)[data[0] % len(OPERATIONS)] if data else "ListComplianceAssignments", data[1:])


def messages() -> list[bytes]:
    row = pb.CreateComplianceAssignmentRequest().assignment
    row.target.group.group_id = POLICY
    other = pb.CreateComplianceAssignmentRequest().assignment
    other.target.unknown.odata_type, other.target.unknown.json = "#x.y", '{"a":1.10}'
    own = {"device_compliance_policy_id": POLICY}
    one = {**own, "device_compliance_policy_assignment_id": "x"}
    made = {
        "CreateComplianceAssignment": {**own, "assignment": other, "request_id": "r"},
        "UpdateComplianceAssignment": {**one, "assignment": row, "update_mask": FieldMask(paths=["target"])},
        "ReplaceComplianceAssignments": {**own, "assignments": [row, other], "expected_count": 3},
        "ListComplianceAssignments": {**own, "page_size": 3, "page_token": PAGE},
        "DeleteComplianceAssignment": {**one, "etag": f'"{"0" * 32}"', "validate_only": True},
        "EditComplianceAssignments": {
            **own,
            "edits": [
                {"create": {"assignment": other, "if_exists": 1}},
                {"update": {"id": "x", "assignment": row, "keep_filter": True}},
                {"delete": {"target": other.target, "allow_missing": True}},
            ],
        },
        "ListComplianceAssignmentRevisions": {**own, "page_size": 3, "filter": FILTERS[0].decode()},
        "GetComplianceAssignmentRevision": {**own, "number": 7, "view": 2},
        "RestoreComplianceAssignments": {**own, "revision": 7, "scope": 2, "allow_empty": True},
        "GetQuota": {},
        "ListCompliancePolicies": {"filter": 'platform = WINDOWS_10 AND display_name = "Win*"', "page_size": 3},
        "GetCompliancePolicy": {**own, "read_mask": FieldMask(paths=["display_name"])},
    }
    return [
        bytes([list(OPERATIONS).index(name)]) + OPERATIONS[name].request(**fields).SerializeToString()
        for name, fields in made.items()
    ]


def batch(data: bytes) -> object:
    return rest("POST", "/beta/$batch", TYPE, data)


JSON = utf_8(VALUES)
MOMENTS = st.datetimes().map(lambda moment: moment.isoformat()) | st.text(max_size=30)
COMPARISONS = st.lists(
    st.builds("{} {} {}".format, st.sampled_from(["kind", "write_time"]), st.sampled_from(["=", ">=", "<"]), MOMENTS),
    max_size=3,
).map(" AND ".join)
TARGET = ROW.partition(b":")[2][:-1]
ROWS = st.one_of(objects_like(ROW), objects_like(UNKNOWN), objects_like(TARGET).map(lambda target: f'{{"target":{target}}}'))
ITEMS = st.one_of(map(objects_like, (json.dumps(item).encode() for item in json.loads(BATCH)["requests"]))) | st.builds(
    '{{"id":{},"method":"GET","url":{},"headers":{{{}:{}}}}}'.format,
    LEAVES,
    LEAVES | st.just(f'"{SET}"'),
    NAMES.map(json.dumps),
    LEAVES,
)
CLAIMS = objects_like(good_claims())


LINE = (b"a" * 64, b"b" * 32, b"c" * 64)


class Fuzzed(NamedTuple):
    """seeds: good input, to be changed. more: input of another kind."""

    entrance: Entrance
    seeds: tuple[bytes, ...]
    more: st.SearchStrategy[bytes] = JSON

    @property
    def data(self) -> st.SearchStrategy[bytes]:
        return st.builds(changed, st.sampled_from(self.seeds), CHANGES) | self.more | st.binary(max_size=200)


def creation(row: str) -> str:
    return f'{{"create":{{"assignment":{row}}}}}'


def token_parts(data: bytes) -> object:
    header, _, claims = data.partition(b"\0")
    return bearer(signed(header, claims))


ENTRANCES = {
    "json": Fuzzed(json_text, (ROW, UNKNOWN, BATCH)),
    "body": Fuzzed(lambda data: rest("POST", SET, TYPE, data), (ROW, UNKNOWN), utf_8(ROWS) | JSON),
    "set": Fuzzed(
        lambda data: rest("POST", ASSIGN, TYPE, data),
        (b'{"assignments":[%s,%s],"expectedCount":2}' % (ROW, UNKNOWN),),
        utf_8(st.lists(ROWS, max_size=3).map(lambda rows: f'{{"assignments":[{",".join(rows)}]}}')),
    ),
    "edits": Fuzzed(
        lambda data: rest("POST", EDIT, TYPE, data),
        EDITS,
        utf_8(st.lists(ROWS, max_size=3).map(lambda rows: f'{{"edits":[{",".join(map(creation, rows))}]}}')),
    ),
    "restoration": Fuzzed(
        lambda data: rest("POST", RESTORE, TYPE, data), RESTORATIONS, utf_8(st.one_of(map(objects_like, RESTORATIONS)))
    ),
    "filter": Fuzzed(lambda data: wanted_of(data.decode("utf-8", "replace")), FILTERS, utf_8(COMPARISONS)),
    "batch": Fuzzed(
        batch, (BATCH,), utf_8(st.lists(ITEMS, min_size=1, max_size=3).map(lambda items: f'{{"requests":[{",".join(items)}]}}'))
    ),
    "headers": Fuzzed(
        lambda data: rest("POST", SET, pairs_of(data), ROW), HEADERS, st.text().map(lambda t: b"Prefer:" + t.encode())
    ),
    "media type": Fuzzed(
        lambda data: rest("POST", SET, pairs_of(b"Content-Type: " + data), ROW),
        (b"application/json;odata.metadata=minimal;charset=utf-8", b"application/json; charset=\"utf-8\"; a*=utf-8''b"),
    ),
    "target": Fuzzed(by_target, TARGETS),
    "idempotency key": Fuzzed(
        lambda data: rest("DELETE", f"{SET}/x", (("Idempotency-Key", data.decode("utf-8", "surrogateescape")),)),
        (b"key-1", b""),
    ),
    "page token": Fuzzed(page_token, (PAGE.encode(), b"A" * 32)),
    "authorization": Fuzzed(
        lambda data: caller({"authorization": (data.decode("utf-8", "surrogateescape"),)}),
        (b"Bearer " + STATIC.encode(), b"Basic eA=="),
    ),
    "bearer": Fuzzed(bearer, (signed(GOOD_HEADER, good_claims()), STATIC.encode())),
    "token parts": Fuzzed(
        token_parts,
        (GOOD_HEADER + b"\0" + good_claims(), GOOD_HEADER + b'\0{"exp":1' + b"0" * 400 + b"}"),
        st.one_of(
            utf_8(CLAIMS).map(lambda text: GOOD_HEADER + b"\0" + text),
            utf_8(objects_like(GOOD_HEADER)).map(lambda text: text + b"\0" + good_claims()),
            JSON.map(lambda text: GOOD_HEADER + b"\0" + text),
        ),
    ),
    "certificate": Fuzzed(
        certificate,
        (
            certificate_of(),
            certificate_of("ä\n,+=\\"),
            certificate_of(uris=("spiffe://a/b",)),
            certificate_of(uris=("spiffe://a", "x:")),
        ),
    ),
    "static lines": Fuzzed(static_lines, (b'[callers.static]\nops = "sha256:%s"\nold = "sha256:%s:%s"\n' % LINE,)),
    "message": Fuzzed(message, tuple(messages())),
    "metadata": Fuzzed(lambda data: grpc("ListComplianceAssignments", messages()[3][1:], pairs_of(data)), HEADERS),
}
