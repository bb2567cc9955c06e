"""The OpenAPI document against the running door: tests see exactly what the document promises of each operation."""

import importlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from edits_over_the_wire import MERGE, guid
from rest_caller import Reply, RestCaller, rest
from rest_mistakes import POLICIES, group

from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTERED, GROUP, WINDOWS

POLICY = f"{POLICIES}/{{deviceCompliancePolicyId}}"
PLACES = {"{deviceCompliancePolicyId}": WINDOWS, "{deviceCompliancePolicyAssignmentId}": f"{WINDOWS}_{GROUP}", "{number}": "1"}
ROW = f"{POLICY}/assignments/{{deviceCompliancePolicyAssignmentId}}"
# Each operation: method, path, and bodies: of a write, of another one, and of one more.
OPERATIONS: dict[str, tuple[str, str, list[Any]]] = {
    "CreateComplianceAssignment": ("POST", f"{POLICY}/assignments", [group(1), group(2), group(3)]),
    "GetComplianceAssignment": ("GET", ROW, []),
    "ListComplianceAssignments": ("GET", f"{POLICY}/assignments", []),
    "UpdateComplianceAssignment": ("PATCH", ROW, [group(1), group(2), group(3)]),
    "DeleteComplianceAssignment": ("DELETE", ROW, [..., ..., ...]),
    "ReplaceComplianceAssignments": ("POST", f"{POLICY}/assign", [{"assignments": [group(n)]} for n in (1, 2, 3)]),
    "EditComplianceAssignments": (
        "POST",
        f"{POLICY}/edit",
        [
            {"edits": [{"create": {"assignment": group(1), "ifExists": "keep"}}]},
            {"edits": [{"delete": {"target": group(1)["target"]}}, {"delete": {"id": "x", "allowMissing": True}}]},
            {"edits": [{"update": {"id": f"{WINDOWS}_{FILTERED}", "assignment": group(2)}}]},
        ],
    ),
    "ListComplianceAssignmentRevisions": ("GET", f"{POLICY}/revisions", []),
    "GetComplianceAssignmentRevision": ("GET", f"{POLICY}/revisions/{{number}}", []),
    "RestoreComplianceAssignments": (
        "POST",
        f"{POLICY}/restore",
        [{"revision": 1}, {"revision": 2, "onConflict": "force"}, {"revision": 1, "onConflict": "keepCurrent"}],
    ),
}
# Rows of which one goes in each deletion or update.
ROWS = (GROUP, guid(99), guid(98))
OTHER = f'"{"0" * 32}"'
# What HTTP itself says.
TRANSPORT = {"content-type", "content-length", "content-encoding", "date", "server", "vary"}
# Query options, each with a value that would do.
OPTIONS = {
    "$top": "1",
    "$skiptoken": "x",
    "$filter": "kind = WRITE",
    "view": "full",
    "ifExists": "keep",
    "updateMask": "target",
    "keepFilter": "true",
    "validateOnly": "true",
}


@dataclass
class Door:
    """An operation of the running door, and the answers that were seen. headers: status -> header names. bodies: (status,
    JSON)."""

    caller: RestCaller
    version: str
    name: str
    headers: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    bodies: list[tuple[int, Any]] = field(default_factory=list)

    async def ask(self, body: Any = ..., query: str = "", row: str = GROUP, **headers: str) -> Reply:
        method, path, _ = OPERATIONS[self.name]
        for place, value in {**PLACES, "{deviceCompliancePolicyAssignmentId}": f"{WINDOWS}_{row}"}.items():
            path = path.replace(place, value)
        given = {name.replace("_", "-"): value for name, value in {"client_request_id": "mine", **headers}.items()}
        answer = await self.caller.send(method, f"/{self.version}{path}{query}", body, given)
        self.headers[answer.status] |= answer.headers.keys() - TRANSPORT
        if answer.json is not None:
            self.bodies.append((answer.status, answer.json))
        return answer


def described(document: Any, version: str, name: str) -> Any:
    method, path, _ = OPERATIONS[name]
    return document["paths"][f"/{version}{path}"][method.lower()]


def promised(document: Any, operation: Any) -> dict[int, set[str]]:
    """The documented headers of each answer that is not a refusal, by status."""
    answers = {int(status): answer for status, answer in operation["responses"].items() if int(status) < 400}
    return {status: {name.lower() for name in answer.get("headers", {})} for status, answer in answers.items()}


def parameters(operation: Any, place: str) -> set[str]:
    return {one["name"] for one in operation["parameters"] if one["in"] == place}


async def probed(door: Door) -> None:
    """Makes calls that get every kind of successful answer, and refusals because of a condition."""
    bodies = OPERATIONS[door.name][2]
    if not bodies:
        first = await door.ask()
        await door.ask(If_None_Match=first.headers.get("etag", OTHER))
        await door.ask(If_Match=OTHER)
        return
    await door.ask(bodies[0], If_Match=OTHER)
    await door.ask(bodies[0], "?validateOnly=true", Idempotency_Key="one")
    for _ in range(2):  # the second is told that it is one
        await door.ask(bodies[0], row=ROWS[0], Idempotency_Key="one")
    for _ in range(2):
        await door.ask(bodies[1], row=ROWS[1], Prefer="return=minimal", Idempotency_Key="two")
    await door.ask(bodies[2], "?validateOnly=true", row=ROWS[2], Prefer="return=minimal")
    await door.ask(bodies[2], row=ROWS[2], If_Match="*")


@pytest.mark.parametrize("version", [pytest.param("v1.0", marks=pytest.mark.machine), "beta"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_what_is_described_is_what_is_there(live: Emulator, name: str, version: str):
    async with rest(live, **MERGE) as (_, caller):
        document = (await caller.send("GET", "/openapi.json")).json
        operation, door = described(document, version, name), Door(caller, version, name)
        for row in (ROWS[1], ROWS[2]):
            target = {"target": {**group()["target"], "groupId": row}}
            await caller.send("POST", f"/{version}{POLICIES}/{WINDOWS}/assignments", target)
        await probed(door)
        assert {status: seen for status, seen in door.headers.items() if status < 400} == promised(document, operation)
        assert {status for status in door.headers if status >= 400} <= {int(status) for status in operation["responses"]}
        assert (412 in door.headers) == ("412" in operation["responses"]) == ("If-Match" in parameters(operation, "header"))
        taken = "compliance-gateway-request-id" in set().union(*door.headers.values())
        assert taken == ("Idempotency-Key" in parameters(operation, "header"))
        known = 304 in door.headers or name.startswith("Create")
        assert known == ("If-None-Match" in parameters(operation, "header"))
        assert {"client-request-id", "x-graph-tenant", "Prefer"} <= parameters(operation, "header")
        body = (OPERATIONS[name][2] or [...])[0]
        offered = set()
        for option, value in OPTIONS.items():
            answer = await door.ask(body, f"?{option}={value.replace(' ', '%20')}")
            if option == "$filter" and name == "ListComplianceAssignments":
                continue  # leads to Graph's own list, which is read through, and is another operation
            if answer.status < 400 or "is not a query option" not in answer.json["error"]["message"]:
                offered.add(option)
        assert offered == parameters(operation, "query")


async def test_the_masks_that_are_described_are_taken(live: Emulator):
    async with rest(live, **MERGE) as (_, caller):
        operation = described((await caller.send("GET", "/openapi.json")).json, "beta", "UpdateComplianceAssignment")
        mask = next(one for one in operation["parameters"] if one["name"] == "updateMask")
        masks = re.findall("`(.+?)`", mask["description"])
        assert len({*masks}) == 4
        for each in masks:
            path = f"{POLICIES}/{WINDOWS}/assignments/{WINDOWS}_{GROUP}?validateOnly=true&updateMask={each}"
            answer = await caller.send("PATCH", f"/beta{path}", {"target": {**group()["target"], "groupId": GROUP}})
            assert answer.status == 200, answer.json


@pytest.mark.needs("openapi_spec_validator")  # which brings jsonschema
@pytest.mark.parametrize("version", ["v1.0", "beta"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_bodies_are_as_they_are_described(live: Emulator, name: str, version: str):
    check = importlib.import_module("jsonschema").Draft202012Validator
    async with rest(live, **MERGE) as (_, caller):
        document = (await caller.send("GET", "/openapi.json")).json
        operation, door = described(document, version, name), Door(caller, version, name)

        def fits(schema: Any, value: Any) -> None:
            check({"components": document["components"], **schema}).validate(value)
            only_known(document, schema, value)

        for row in (ROWS[1], ROWS[2]):
            target = {"target": {**group()["target"], "groupId": row}}
            await caller.send("POST", f"/{version}{POLICIES}/{WINDOWS}/assignments", target)
        await probed(door)
        if name == "GetComplianceAssignmentRevision":
            await door.ask(query="?view=full")
        for status, body in door.bodies:
            answer = operation["responses"][str(status)]
            if "$ref" in answer:
                answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            fits(answer["content"]["application/json"]["schema"], body)
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            for value in (*OPERATIONS[name][2], *(example["value"] for example in content["examples"].values())):
                fits(content["schema"], value)
            for wrong in ({}, {"edits": []}, {"revision": 1, "entry": guid(1)}) if name[0] in "ER" else ():
                with pytest.raises(Exception, match=r"required|valid under|too short|non-empty"):
                    check({"components": document["components"], **content["schema"]}).validate(wrong)


def only_known(document: Any, schema: Any, value: Any) -> None:
    """Each name in the gateway's own objects is in the document; Graph's objects may have more."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name == "error" or name.endswith(("Target", ".deviceCompliancePolicyAssignment")):
            return
        only_known(document, document["components"]["schemas"][name], value)
    elif isinstance(value, list):
        for one in value:
            only_known(document, schema["items"], one)
    elif isinstance(value, dict) and "properties" in schema:
        assert {key for key in value if "@" not in key} <= schema["properties"].keys()
        for key, one in value.items():
            if key in schema["properties"]:
                only_known(document, schema["properties"][key], one)
