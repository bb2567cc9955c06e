"""What each entrance is tried with: changed good input, input of the right kind, and any bytes. Data for
test_fuzzed_entrances."""

import json
from collections.abc import Callable
from typing import NamedTuple

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import strategies as st
from strangers import (
    ASSIGN,
    GOOD_HEADER,
    POLICY,
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
    b"GET http://gateway/healthz",
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
        "ListComplianceAssignments": {**own, "page_size": 3, "page_token": "x"},
        "DeleteComplianceAssignment": one,
    }
    return [
        bytes([list(OPERATIONS).index(name)]) + OPERATIONS[name].request(**fields).SerializeToString()
        for name, fields in made.items()
    ]


def batch(data: bytes) -> object:
    return rest("POST", "/beta/$batch", TYPE, data)


LEAVES = st.sampled_from(
    [
        "1",
        "0",
        "-0",
        "1.10",
        "1e308",
        "1e999999999",
        "-1e-400",
        "999999999999999999999",
        "NaN",
        "true",
        "null",
        '""',
        '"\\ud800"',
        '"\\u0000"',
        '"😀"',
        '"x',
    ]
) | st.text(max_size=12).map(json.dumps)
NAMES = st.sampled_from(
    [
        "target",
        "groupId",
        "@odata.type",
        "assignments",
        "id",
        "source",
        "requests",
        "method",
        "url",
        "headers",
        "body",
        "dependsOn",
        "a",
        "deviceAndAppManagementAssignmentFilterId",
        "deviceAndAppManagementAssignmentFilterType",
        "allowEmpty",
        "expectedCount",
        "alg",
        "kid",
        "iss",
        "aud",
        "sub",
        "exp",
        "iat",
        "nbf",
    ]
) | st.text(max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES.map(json.dumps), inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
PAIRS = st.lists(st.tuples(NAMES.map(json.dumps), VALUES), min_size=1, max_size=3)


def utf_8(texts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    return texts.map(lambda text: text.encode("utf-8", "surrogatepass"))


def with_pairs(text: bytes, pairs: list[tuple[str, str]], first: bool) -> str:
    """The object with more pairs, which may be twins of those that it has."""
    more = ",".join(f"{name}:{value}" for name, value in pairs)
    inner = text.decode().strip()[1:-1]
    return "{" + (f"{more},{inner}" if first else f"{inner},{more}") + "}"


def objects_like(text: bytes) -> st.SearchStrategy[str]:
    return st.builds(with_pairs, st.just(text), PAIRS, st.booleans())


JSON = utf_8(VALUES)
TARGET = ROW.partition(b":")[2][:-1]
ROWS = st.one_of(objects_like(ROW), objects_like(UNKNOWN), objects_like(TARGET).map(lambda target: f'{{"target":{target}}}'))
ITEMS = st.one_of(map(objects_like, (json.dumps(item).encode() for item in json.loads(BATCH)["requests"])))
CLAIMS = objects_like(good_claims())


def changed(data: bytes, changes: list[tuple[int, float, int, bytes]]) -> bytes:
    """A piece put in, left out, doubled or moved, at each of the places."""
    out = bytearray(data)
    for kind, where, size, piece in changes:
        at = int(where * len(out))
        if kind == 0:
            out[at : at + len(piece)] = piece
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = out[at : at + size] * 2
        else:
            out[at:at] = piece * size
    return bytes(out)


PIECES = st.binary(min_size=1, max_size=4) | st.sampled_from(
    [b"'", b'"', b"%27)", b"..", b"/", b"\\", b"{", b"[", b",", b"\xff", b"="]
)
CHANGES = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, exclude_max=True), st.integers(1, 40), PIECES), max_size=4)


LINE = (b"a" * 64, b"b" * 32, b"c" * 64)


class Fuzzed(NamedTuple):
    """seeds: good input, to be changed. more: input of another kind."""

    entrance: Entrance
    seeds: tuple[bytes, ...]
    more: st.SearchStrategy[bytes] = JSON

    @property
    def data(self) -> st.SearchStrategy[bytes]:
        return st.builds(changed, st.sampled_from(self.seeds), CHANGES) | self.more | st.binary(max_size=200)


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
    "page token": Fuzzed(page_token, (TOKENS.token("deviceCompliancePolicies", "t", POLICY, 7).encode(), b"A" * 32)),
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
