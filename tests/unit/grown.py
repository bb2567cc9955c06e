"""The inputs that strangers and callers control, each as long as one wants it. Data for test_growth_of_inputs."""

import gzip
import json
from collections.abc import Callable
from typing import NamedTuple

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.message import Message
from strangers import (
    ASSIGN,
    EDIT,
    GOOD_HEADER,
    POLICY,
    POWERLESS,
    SET,
    STATIC,
    TYPE,
    bearer,
    caller,
    certificate,
    certificate_of,
    good_claims,
    grpc,
    page_token,
    rest,
    signed,
)

CREATE, UPDATE, REPLACE, LIST, GET = (
    f"{kind}ComplianceAssignment{'s' if kind in ('Replace', 'List') else ''}"
    for kind in ("Create", "Update", "Replace", "List", "Get")
)
EDIT_ALL, REVISIONS_OF = "EditComplianceAssignments", "ListComplianceAssignmentRevisions"
MIB = 1 << 20
OWN = {"device_compliance_policy_id": POLICY}
ONE = {**OWN, "device_compliance_policy_assignment_id": "x"}


class Grown(NamedTuple):
    """made: what is sent, by its length. length: the least of three, each twice the one before. most: a length that is refused,
    and how; a caller's input of any length below is within its limits. flat: it costs the same whatever its length."""

    made: Callable[[int], Callable[[], object]]
    length: int
    most: int
    refused: str
    flat: bool = False


def body(text: Callable[[int], bytes], path: str = SET, token: str = STATIC) -> Callable[[int], Callable[[], object]]:
    def made(length: int) -> Callable[[], object]:
        data = text(length)
        return lambda: rest("POST", path, TYPE, data, token)

    return made


def header(name: str, text: Callable[[int], str], method: str = "GET") -> Callable[[int], Callable[[], object]]:
    def made(length: int) -> Callable[[], object]:
        pairs = (*TYPE, (name, text(length))) if name != "Content-Type" else ((name, text(length)),)
        return lambda: rest(method, SET, pairs, b"{}")

    return made


def target(text: Callable[[int], str]) -> Callable[[int], Callable[[], object]]:
    def made(length: int) -> Callable[[], object]:
        path = text(length)
        return lambda: rest("GET", path)

    return made


def message(operation: str, request: Callable[[int], object], token: str = STATIC) -> Callable[[int], Callable[[], object]]:
    def made(length: int) -> Callable[[], object]:
        data = request(length).SerializeToString()
        return lambda: grpc(operation, data, token=token)

    return made


def value(entrance: Callable[[bytes], object], text: Callable[[int], bytes]) -> Callable[[int], Callable[[], object]]:
    def made(length: int) -> Callable[[], object]:
        data = text(length)
        return lambda: entrance(data)

    return made


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % number for number in range(count)) + b',"k0":1}'


def batch(count: int, **of_each: object) -> bytes:
    return json.dumps({"requests": [{"id": str(n), "method": "GET", "url": SET, **of_each} for n in range(count)]}).encode()


def circle(count: int) -> bytes:
    requests = json.loads(batch(20))["requests"]
    for number, request in enumerate(requests):
        request["dependsOn"] = [str(number - 1)] * (count // 20) if number else []
    return json.dumps({"requests": requests}).encode()


def other_keys(count: int) -> str:
    return json.dumps({f"k{number}": 1 for number in range(count)})


def a_policy(length: int) -> Message:
    return pb.ListComplianceAssignmentsRequest(device_compliance_policy_id="a" * length)


def an_assignment(length: int) -> Message:
    return pb.GetComplianceAssignmentRequest(**OWN, device_compliance_policy_assignment_id="a" * length)


def masked(count: int) -> Message:
    target = {"target": {"all_devices": {}}}
    return pb.UpdateComplianceAssignmentRequest(**ONE, assignment=target, update_mask={"paths": ["a"] * count})


def rows(targets: list[dict[str, object]]) -> Message:
    return pb.ReplaceComplianceAssignmentsRequest(**OWN, assignments=[{"target": target} for target in targets])


def empty_rows(count: int) -> Message:
    return rows([{}] * count)


def filtered_rows(count: int) -> Message:
    return rows([{"group": {"group_id": one}, FILTER_ID: one, FILTER_TYPE: 2} for one in GUIDS[:count]])


def rest_rows(count: int) -> bytes:
    kind = "#microsoft.graph.groupAssignmentTarget"
    return json.dumps({"assignments": [{"target": {"@odata.type": kind, "groupId": one}} for one in GUIDS[:count]]}).encode()


def edits(count: int, row_id: str = "x", mask: int = 0) -> Message:
    target = {"target": {"group": {"group_id": POLICY}}}
    update = {"id": row_id, "assignment": target, "update_mask": {"paths": ["target"] * mask}}
    return pb.EditComplianceAssignmentsRequest(**OWN, edits=[{"update": update}] * count)


def rest_edits(count: int) -> bytes:
    kind = "#microsoft.graph.groupAssignmentTarget"
    targets = [{"target": {"@odata.type": kind, "groupId": one}} for one in GUIDS[:count]]
    return json.dumps({"edits": [{"create": {"assignment": one, "ifExists": "keep"}} for one in targets]}).encode()


def filtered(text: str) -> Message:
    return pb.ListComplianceAssignmentRevisionsRequest(**OWN, filter=text)


def compressed(length: int) -> Callable[[], object]:
    data = gzip.compress(b" " * length)
    return lambda: rest("POST", SET, (*TYPE, ("Content-Encoding", "gzip")), data)


def creation(**target: object) -> pb.CreateComplianceAssignmentRequest:
    return pb.CreateComplianceAssignmentRequest(**OWN, assignment={"target": target})


def unknown(text: str) -> pb.CreateComplianceAssignmentRequest:
    return creation(unknown={"odata_type": "#x.y", "json": text})


def metadata(count: int) -> Callable[[], object]:
    pairs = tuple((f"x-{number}", "y") for number in range(count))
    data = pb.ListComplianceAssignmentsRequest(**OWN).SerializeToString()
    return lambda: grpc(LIST, data, pairs)


def many_headers(count: int) -> Callable[[], object]:
    return lambda: rest("GET", SET, tuple((f"x-{number}", "y") for number in range(count)))


def same_headers(count: int) -> Callable[[], object]:
    return lambda: rest("GET", SET, (("Prefer", "wait=1"),) * count)


def claims(count: int) -> bytes:
    return signed(GOOD_HEADER, json.dumps({**json.loads(good_claims()), **{f"k{n}": n for n in range(count)}}).encode())


TOO_LONG, WRONG, BROKEN = "[413]", "[400]", "[400]"
LARGE = (100_000, 2 * MIB, "MESSAGE_TOO_LARGE")
LONG = (12_000, "INVALID_FIELD")
SETS = (250, 1001, "INVALID_FIELD")
ALMOST_A_GUID = "0123456789abcdef0123456789abcde "
FILTER_ID, FILTER_TYPE = (f"device_and_app_management_assignment_filter_{what}" for what in ("id", "type"))
GUIDS = [f"{number:08x}-0000-0000-0000-000000000000" for number in range(12_000)]
INPUTS = {
    "keys of an object": Grown(body(keys), 4_000, 200_000, TOO_LONG),
    "keys of a batch": Grown(body(keys, "/beta/$batch"), 4_000, 200_000, TOO_LONG),
    "keys of a stranger's batch": Grown(body(keys, "/beta/$batch", ""), 10_000, 200_000, "[401]", flat=True),
    "keys of a stranger's object": Grown(body(keys, SET, ""), 10_000, 200_000, "[401]", flat=True),
    "keys of one without a permit": Grown(body(keys, SET, POWERLESS), 10_000, 200_000, "[403]", flat=True),
    "nesting": Grown(body(lambda n: b"[" * n + b"]" * n), 8, 33, BROKEN),
    "nesting, far too deep": Grown(body(lambda n: b"[" * n), 100_000, 2 * MIB, TOO_LONG),
    "a string": Grown(body(lambda n: b'"' + b"x" * n), 100_000, 2 * MIB, TOO_LONG),
    "escapes": Grown(body(lambda n: b'"' + b'\\"' * n), 100_000, MIB, TOO_LONG),
    "escaped characters": Grown(body(lambda n: b'"' + b"\\ud83d\\ude00" * n + b'"'), 10_000, MIB, TOO_LONG),
    "quotes": Grown(body(lambda n: b'"' * n), 100_000, 2 * MIB, TOO_LONG),
    "digits": Grown(body(lambda n: b"1" * n), 100_000, 2 * MIB, TOO_LONG),
    "digits after the point": Grown(body(lambda n: b"0." + b"1" * n), 100_000, 2 * MIB, TOO_LONG),
    "blanks": Grown(body(lambda n: b"\n" * n), 100_000, 2 * MIB, TOO_LONG),
    "what is compressed": Grown(compressed, 100_000, 100 * MIB, TOO_LONG),
    "a media type": Grown(header("Content-Type", lambda n: 'application/json;"' + ";" * n, "POST"), 60, 257, "[415]"),
    "a preference": Grown(header("Prefer", lambda n: "wait" + " " * n), 60, 257, WRONG),
    "a return preference": Grown(header("Prefer", lambda n: "return " * (n // 7)), 60, 270, WRONG),
    "one header many times": Grown(same_headers, 10, 100, WRONG),
    "headers": Grown(many_headers, 500, 10_000, "[431]"),
    "a header": Grown(header("x-much", lambda n: "x" * n), 5_000, 40_000, "[431]"),
    "a request id": Grown(header("Idempotency-Key", lambda n: "x" * n, "DELETE"), 32, 40_000, "[431]"),
    "an id of the caller's": Grown(header("client-request-id", lambda n: "x" * n), 32, 129, WRONG),
    "a tenant": Grown(header("x-graph-tenant", lambda n: "x" * n), 5_000, 40_000, "[431]"),
    "quotes in a path": Grown(target(lambda n: SET.replace("/" + POLICY, "(" + "'" * n)), 7_000, 1, "[404]"),
    "encoded quotes in a path": Grown(target(lambda n: SET.replace("/" + POLICY, "(" + "%27%29" * n)), 1_000, 1, "[404]"),
    "a policy in a path": Grown(target(lambda n: SET.replace(POLICY, "%e4" * n)), 2_000, 1, WRONG),
    "slashes in a path": Grown(target(lambda n: SET + "/" * n), 7_000, 2, "[404]"),
    "a query": Grown(target(lambda n: SET + "?" + "&".join(["$top=1"] * n)), 1_000, 2, WRONG),
    "an option of a query": Grown(target(lambda n: SET + "?" + "%ff" * n), 2_000, 1, WRONG),
    "$skiptoken": Grown(target(lambda n: f"{SET}?$skiptoken=" + "A" * n), 256, 1025, WRONG),
    "a page token": Grown(value(page_token, lambda n: b"A" * n), 1_000, 4, "INVALID_FIELD"),
    "items of a batch": Grown(body(batch, "/beta/$batch"), 5, 21, WRONG),
    "headers of a batch": Grown(
        body(lambda n: batch(20, headers={f"h{k}": "x" for k in range(n // 20)}), "/beta/$batch"), 4_000, 200_000, TOO_LONG
    ),
    "dependencies of a batch": Grown(body(circle, "/beta/$batch"), 4_000, 300_000, TOO_LONG),
    "a path in a batch": Grown(body(lambda n: batch(1, url="('" * n), "/beta/$batch"), 100_000, MIB, TOO_LONG),
    "a policy in a batch": Grown(
        body(lambda n: batch(1, url=SET.replace(POLICY, "%e4" * n)), "/beta/$batch"), 5_000, MIB, TOO_LONG
    ),
    "a query in a batch": Grown(body(lambda n: batch(1, url=SET + "?" + "$top=1&" * n), "/beta/$batch"), 2_000, MIB, TOO_LONG),
    "a mask in a batch": Grown(
        body(lambda n: batch(1, method="PATCH", body={}, url=f"{SET}/x?updateMask=" + "aB," * n), "/beta/$batch"),
        2_000,
        MIB,
        TOO_LONG,
    ),
    "a token": Grown(value(bearer, lambda n: b"x" * n), 2_000, 8193, "CALLER_UNAUTHENTICATED"),
    "parts of a token": Grown(value(bearer, lambda n: b"." * n), 2_000, 8193, "CALLER_UNAUTHENTICATED"),
    "a token's header": Grown(
        value(bearer, lambda n: signed(b'{"alg":' + b"[" * n, b"{}")), 1_000, 7_000, "CALLER_UNAUTHENTICATED"
    ),
    "a token's kid": Grown(
        value(bearer, lambda n: signed(b'{"alg":"ES256","kid":"%s"}' % (b"x" * n), good_claims())),
        1_000,
        7_000,
        "CALLER_UNAUTHENTICATED",
    ),
    "a token's claims": Grown(value(bearer, claims), 60, 2_000, "CALLER_UNAUTHENTICATED"),
    "an authorization of blanks": Grown(
        value(lambda data: caller({"authorization": (data.decode(),)}), lambda n: b"Bearer" + b" " * n),
        5_000,
        40_000,
        "CALLER_UNAUTHENTICATED",
    ),
    "a certificate's subject": Grown(
        value(certificate, lambda n: certificate_of("+," * n)), 20, 5_000, "CALLER_UNAUTHENTICATED"
    ),
    "a certificate's URIs": Grown(
        value(certificate, lambda n: certificate_of(uris=tuple(f"spiffe://a/{k}" for k in range(n)))),
        500,
        2,
        "CALLER_UNAUTHENTICATED",
    ),
    "metadata": Grown(metadata, 500, 0, "taken"),
    "a policy's id": Grown(message(LIST, a_policy), *LARGE),
    "an assignment's id": Grown(message(GET, an_assignment), *LARGE),
    "a group's id": Grown(message(CREATE, lambda n: creation(group={"group_id": "a" * n})), *LARGE),
    "a filter's id": Grown(message(CREATE, lambda n: creation(all_devices={}, **{FILTER_ID: "a" * n})), *LARGE),
    "rows": Grown(message(REPLACE, lambda n: rows([{"group": {"group_id": POLICY}}] * n)), *SETS),
    "wrong rows": Grown(message(REPLACE, lambda n: rows([{"group": {"group_id": "x"}}] * n)), *SETS),
    "rows without end": Grown(message(REPLACE, empty_rows), 4_000, 600_000, "MESSAGE_TOO_LARGE", flat=True),
    "rows of one without a permit": Grown(
        message(REPLACE, empty_rows, POWERLESS), 4_000, 600_000, "CALLER_NOT_PERMITTED", flat=True
    ),
    "filters of rows": Grown(message(REPLACE, filtered_rows), *SETS),
    "edits": Grown(message(EDIT_ALL, edits), *SETS),
    "edits over REST": Grown(body(rest_edits, EDIT), 250, 1001, WRONG),
    "wrong edits": Grown(message(EDIT_ALL, lambda n: pb.EditComplianceAssignmentsRequest(**OWN, edits=[{}] * n)), *SETS),
    "an id of an edit": Grown(message(EDIT_ALL, lambda n: edits(1, "a" * n)), *LARGE),
    "a mask of an edit": Grown(message(EDIT_ALL, lambda n: edits(1, mask=n)), 5_000, 600_000, "MESSAGE_TOO_LARGE"),
    "a filter of revisions": Grown(message(REVISIONS_OF, lambda n: filtered("kind = WRITE AND " * n)), 7, 40, "INVALID_FIELD"),
    "blanks of a filter": Grown(message(REVISIONS_OF, lambda n: filtered(" " * n + "x")), 120, 513, "INVALID_FIELD"),
    "digits of a filter": Grown(message(REVISIONS_OF, lambda n: filtered("kind = " + "1" * n)), 120, 500, "INVALID_FIELD"),
    "rows over REST": Grown(body(rest_rows, ASSIGN), 250, 1001, WRONG),
    "a mask": Grown(message(UPDATE, masked), 5_000, 600_000, "MESSAGE_TOO_LARGE"),
    "GUIDs of an unknown target": Grown(message(CREATE, lambda n: unknown(json.dumps({"a": GUIDS[:n]}))), 400, *LONG),
    "letters like GUIDs": Grown(message(CREATE, lambda n: unknown(json.dumps({"a": ALMOST_A_GUID * n}))), 500, *LONG),
    "keys of an unknown target": Grown(message(CREATE, lambda n: unknown(other_keys(n))), 1_500, *LONG),
    "numbers of an unknown target": Grown(message(CREATE, lambda n: unknown(f'{{"a":[{"1e308," * n}1]}}')), 2_500, *LONG),
    "properties of a known target": Grown(
        message(CREATE, lambda n: creation(all_devices={}, other_properties=other_keys(n))), 1_500, *LONG
    ),
}
