"""The table of all attacks and mistakes that the tests know, over both doors: who sends what to which door, and the expected
refusal. Data for test_attack_table."""

import asyncio
import io
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import grpc
from attacks import BAD_CLIENTS, CA, CREATE, HEADERS, KNOWN, OPS, READER, STATIC, bearer
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf import json_format
from multidict import CIMultiDict
from rest_caller import request_of
from rest_mistakes import ASSIGN, GOOD, MISTAKES, SET, group
from rig import Failure, Rig
from test_bad_input import CASES, expand
from test_page_tokens import FORGED
from test_rest_fuzz import RAW
from yarl import URL

from gateway.emulator.seeds import EMPTY, WINDOWS
from gateway.operations import OPERATIONS

LIST, REPLACE = "ListComplianceAssignments", "ReplaceComplianceAssignments"
Seen = tuple[str, str]  # the status and the reason
Pairs = tuple[tuple[str, str], ...]
HTTP = {"UNAUTHENTICATED": "401", "PERMISSION_DENIED": "403", "INVALID_ARGUMENT": "400"}
PATIENCE_S = 3.0


@dataclass
class Doors:
    """The doors of a gateway, and what a client needs to reach them."""

    rig: Rig
    session: aiohttp.ClientSession
    tls: ssl.SSLContext
    folder: Path


@dataclass(frozen=True)
class Attack:
    """seen: the expected refusal. entry: the expected outcome in the ledger; None if there is no entry, because nothing of it
    is a call."""

    send: Callable[[Doors], Awaitable[Seen]]
    seen: Seen
    entry: str | None


def over_grpc(operation: str, request: Any, metadata: Pairs) -> Callable[[Doors], Awaitable[Seen]]:
    async def send(doors: Doors) -> Seen:
        answer = await doors.rig.call(operation, request, metadata=metadata)
        return (answer.status, answer.reason) if isinstance(answer, Failure) else ("OK", "")

    return send


def over_rest(method: str, path: str, pairs: Pairs, data: bytes | None) -> Callable[[Doors], Awaitable[Seen]]:
    async def send(doors: Doors) -> Seen:
        url = URL(f"https://{doors.rig.rest_address}{path}", encoded=True)
        content = None if data is None else io.BytesIO(data)
        async with doors.session.request(method, url, data=content, headers=CIMultiDict(pairs)) as answer:
            text = await answer.read()
        return str(answer.status), json.loads(text)["error"]["code"] if answer.status >= 400 else ""

    return send


def raw(data: bytes) -> Callable[[Doors], Awaitable[Seen]]:
    """Sends bytes to the REST door. Sees the status of the first answer, or `closed` if there is none."""

    async def send(doors: Doors) -> Seen:
        host, port = doors.rig.rest_address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=doors.tls)
        heard = b""
        with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.write(data)
            async with asyncio.timeout(PATIENCE_S):
                heard = await reader.readuntil(b"\r\n")
        writer.transport.abort()
        return heard.split()[1].decode() if heard else "closed", ""

    return send


def bad_client(door: str, name: str) -> Callable[[Doors], Awaitable[Seen]]:
    """Calls with a client certificate that the door refuses and a token that it would accept."""

    async def by_grpc(doors: Doors) -> Seen:
        pair = BAD_CLIENTS[name]
        credentials = grpc.ssl_channel_credentials(CA.pem.encode(), pair.key_pem, pair.pem.encode())
        async with grpc.aio.secure_channel(doors.rig.mtls_address, credentials) as channel:
            return await over_grpc("CreateComplianceAssignment", CREATE, OPS)(
                Doors(Rig(None, channel, "", "", None), *[None] * 3)
            )

    async def by_rest(doors: Doors) -> Seen:
        context = ssl.create_default_context(cadata=CA.pem)
        context.load_cert_chain(BAD_CLIENTS[name].write(doors.folder / "bad.pem"))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            try:
                return await over_rest("GET", SET, OPS, None)(Doors(doors.rig, session, context, doors.folder))
            except (aiohttp.ClientError, OSError):
                return "closed", ""

    return by_grpc if door == "grpc" else by_rest


JSON = (("Content-Type", "application/json"),)
CREATION = OPERATIONS["CreateComplianceAssignment"].request


def creation_over_rest(request: dict, pairs: Pairs) -> Callable[[Doors], Awaitable[Seen]]:
    method, path, body, own = request_of("CreateComplianceAssignment", json_format.ParseDict(request, CREATION()))
    return over_rest(method, path, (*JSON, *own.items(), *pairs), json.dumps(body).encode())


def strangers() -> dict[str, Attack]:
    refused, found = "CALLER_UNAUTHENTICATED", {}
    for name, pairs in HEADERS.items():
        by_grpc = over_grpc("CreateComplianceAssignment", CREATE, pairs)
        found[f"gRPC: {name}"] = Attack(by_grpc, ("UNAUTHENTICATED", refused), refused)
        by_rest = over_rest("POST", SET, (*JSON, *pairs), GOOD)
        found[f"REST: {name}"] = Attack(by_rest, ("401", refused), refused)
    for name in BAD_CLIENTS:
        found[f"gRPC: a certificate: {name}"] = Attack(bad_client("grpc", name), ("UNAVAILABLE", ""), None)
        found[f"REST: a certificate: {name}"] = Attack(bad_client("rest", name), ("closed", ""), None)
    return found


# What no client of HTTP sends.
ONLY_GRPC = {"a request id with a line break"}


def known() -> dict[str, Attack]:
    found = {}
    for name, (pairs, request, reason) in KNOWN.items():
        status = "PERMISSION_DENIED" if reason == "CALLER_NOT_PERMITTED" else "INVALID_ARGUMENT"
        found[f"gRPC: {name}"] = Attack(over_grpc("CreateComplianceAssignment", request, pairs), (status, reason), reason)
        if isinstance(request, dict) and name not in ONLY_GRPC:
            found[f"REST: {name}"] = Attack(creation_over_rest(request, pairs), (HTTP[status], reason), reason)
    for case in CASES:
        request, reason = expand(case["request"]), case.get("reason", "INVALID_FIELD")
        sent = over_grpc("CreateComplianceAssignment", request, OPS)
        found[f"gRPC: {case['name']}"] = Attack(sent, ("INVALID_ARGUMENT", "INVALID_FIELD"), "INVALID_FIELD")
        if "only_grpc" not in case:
            found[f"REST: {case['name']}"] = Attack(creation_over_rest(request, OPS), ("400", reason), reason)
    for name, token in FORGED.items():
        wrong = {"deviceCompliancePolicyId": WINDOWS, "pageToken": token}
        found[f"gRPC: a page token: {name}"] = Attack(
            over_grpc(LIST, wrong, OPS), ("INVALID_ARGUMENT", "INVALID_FIELD"), "INVALID_FIELD"
        )
        path = f"{SET}?$skiptoken={quote(token, safe='')}"
        found[f"REST: a page token: {name}"] = Attack(
            over_rest("GET", path, OPS, None), ("400", "INVALID_FIELD"), "INVALID_FIELD"
        )
    return found


# Refused before it is known which operation it would be, and so in the log alone.
NO_CALL = {"ROUTE_UNKNOWN", "METHOD_NOT_ALLOWED", "HEADERS_TOO_LARGE"}
NO_CALL_EITHER = {"no method of HTTP", "no host", "a preference too long", "an encoding too long", "an ETag too long"}


# Wrong only to Graph, which is asked.
GRAPH_JUDGES = {"a property that nobody knows"}


def mistakes() -> dict[str, Attack]:
    found = {}
    for name, ((method, path, data, headers), status, code, _) in MISTAKES.items():
        if name in GRAPH_JUDGES:
            continue
        pairs = tuple(({"Authorization": f"Bearer {STATIC}"} | headers).items())
        entry = None if code in NO_CALL or name in NO_CALL_EITHER else code
        found[f"REST: {name}"] = Attack(over_rest(method, path, pairs, data), (str(status), code), entry)
    return found


# Of test_rest_fuzz: the status, and whether it was a request, of a stranger then.
UNREAD = {
    "no HTTP": "400", "HTTP/2": "400", "no path": "400", "a path that is none": "400",
}  # fmt: skip


def twins(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % number for number in range(count)) + b',"k0":1}'


def batch(items: list[Mapping[str, object]]) -> bytes:
    return json.dumps({"requests": items}).encode()


def item(name: str, url: str = "/x", **more: object) -> dict[str, object]:
    return {"id": name, "method": "GET", "url": url, **more}


def empties(count: int) -> bytes:
    return pb.ReplaceComplianceAssignmentsRequest(device_compliance_policy_id=EMPTY).SerializeToString() + b"\x12\x00" * count


BATCH = "/beta/$batch"
HALF = f"POST {SET} HTTP/1.1\r\nHost: x\r\nPrefer: wait=99999\r\nContent-Length: 100000\r\n".encode()
SHY = bearer(READER)
HEAVY = {
    "twenty thousand keys of a stranger": (BATCH, (), twins(20_000), "401", "CALLER_UNAUTHENTICATED", True),
    "twenty thousand keys of a known caller": (BATCH, OPS, twins(20_000), "400", "MESSAGE_MALFORMED", False),
    "eighty thousand keys": (SET, OPS, twins(80_000), "400", "MESSAGE_MALFORMED", True),
    "a megabyte of brackets": (SET, OPS, b"[" * (1 << 20), "400", "MESSAGE_MALFORMED", True),
    "a megabyte of brackets of a stranger": (SET, (), b"[" * (1 << 20), "401", "CALLER_UNAUTHENTICATED", True),
    "a megabyte of quotes": (SET, OPS, b'"' * (1 << 20), "400", "MESSAGE_MALFORMED", True),
    "a megabyte of escapes": (SET, OPS, b'"' + b'\\"' * (1 << 19), "413", "MESSAGE_TOO_LARGE", True),
    "a megabyte of one who may only read": (SET, SHY, twins(80_000), "403", "CALLER_NOT_PERMITTED", True),
    "a set of many empty rows": (
        ASSIGN, OPS, b'{"assignments":[' + b"{}," * 300_000 + b"{}]}", "400", "MESSAGE_MALFORMED", True,
    ),
    "a set of many empty rows of one who may only read": (
        ASSIGN, SHY, b'{"assignments":[' + b"{}," * 300_000 + b"{}]}", "403", "CALLER_NOT_PERMITTED", True,
    ),
    "a set of a thousand wrong rows": (
        ASSIGN, OPS, json.dumps({"assignments": [group(1, groupId="x")] * 1000}).encode(), "400", "INVALID_FIELD", True,
    ),
    "a set with a group a thousand times": (
        ASSIGN, OPS, json.dumps({"assignments": [group(1)] * 1001}).encode(), "400", "INVALID_FIELD", True,
    ),
    "a batch with half a character for an id": (BATCH, OPS, batch([item("\ud800")]), "400", "MESSAGE_MALFORMED", False),
    "a batch of nothing": (BATCH, OPS, batch([]), "400", "INVALID_FIELD", False),
    "a batch of twenty-one": (BATCH, OPS, batch([item(str(n)) for n in range(21)]), "400", "INVALID_FIELD", False),
    "a batch that goes round in circles": (
        BATCH, OPS, batch([item("a", dependsOn=["b"]), item("b", dependsOn=["a"])]), "400", "INVALID_FIELD", False,
    ),
    "a batch with an id twice": (BATCH, OPS, batch([item("a"), item("a")]), "400", "INVALID_FIELD", False),
    "a batch that depends on nobody": (BATCH, OPS, batch([item("a", dependsOn=["x"] * 9000)]), "400", "INVALID_FIELD", False),
    "a batch for another host": (BATCH, OPS, batch([item("a", "https://evil.example/")]), "400", "INVALID_FIELD", False),
    "a batch with a token inside": (
        BATCH, OPS, batch([item("a", headers={"Authorization": f"Bearer {READER}"})]), "400", "INVALID_FIELD", False,
    ),
    "a batch of a stranger with a token inside": (
        BATCH, (), batch([item("a", headers={"Authorization": f"Bearer {STATIC}"})]), "401", "CALLER_UNAUTHENTICATED", True,
    ),
}  # fmt: skip


def heavy() -> dict[str, Attack]:
    found = {}
    for name, (path, pairs, data, status, code, kept) in HEAVY.items():
        sent = over_rest("POST", path, (*JSON, *pairs), data)
        found[f"REST: {name}"] = Attack(sent, (status, code), code if kept else None)
    semicolons = (("Content-Type", 'application/json;"' + ";" * 20_000),)
    for who, pairs, seen in (
        ("a stranger", (), ("401", "CALLER_UNAUTHENTICATED")),
        ("a known caller", OPS, ("415", "MEDIA_TYPE_UNSUPPORTED")),
    ):
        sent = over_rest("POST", SET, (*semicolons, *pairs), GOOD)
        found[f"REST: a media type of 20,000 semicolons of {who}"] = Attack(sent, seen, seen[1])
    for who, pairs, seen in (
        ("a stranger", (), ("UNAUTHENTICATED", "CALLER_UNAUTHENTICATED")),
        ("one who may only read", SHY, ("PERMISSION_DENIED", "CALLER_NOT_PERMITTED")),
        ("one who may all", OPS, ("INVALID_ARGUMENT", "INVALID_FIELD")),
    ):
        found[f"gRPC: 500,000 empty rows of {who}"] = Attack(over_grpc(REPLACE, empties(500_000), pairs), seen, seen[1])
    found["REST: half a body that may take a day"] = Attack(raw(HALF + b"\r\n{"), ("401", ""), "CALLER_UNAUTHENTICATED")
    found["gRPC: a message of eight megabytes"] = Attack(
        over_grpc(REPLACE, b"\x0a" + b"\xff\xff\xff\x03" + b"a" * 0x7FFFFF, OPS),
        ("RESOURCE_EXHAUSTED", ""),
        "MESSAGE_MALFORMED",
    )
    return found


def unread() -> dict[str, Attack]:
    return {f"REST: {name}": Attack(raw(RAW[name]), (status, ""), None) for name, status in UNREAD.items()}


ATTACKS = strangers() | known() | mistakes() | heavy() | unread()
