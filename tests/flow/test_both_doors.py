"""Every case of tests/cases through both doors: the same outcome, the same ledger entry, the same requests to Graph."""

import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from conftest import as_new
from google.protobuf import json_format
from rest_caller import RestCaller, rest
from rig import Failure, Rig
from test_bad_input import expand

from gateway.emulator import Emulator
from gateway.emulator.control import reset
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY
from gateway.operations import OPERATIONS

FOLDER = Path(__file__).parents[1] / "cases"
CREATE = {"operation": "CreateComplianceAssignment"}
BAD_INPUT = {**CREATE, "grpc": "INVALID_ARGUMENT", "reason": "INVALID_FIELD", "http": 400}
GOOD = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}
# docs/design.md §3
HTTP = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "NOT_FOUND": 404, "ABORTED": 409, "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
}  # fmt: skip
ENTRY = ("caller", "tenant", "operation", "policy", "target", "digest", "outcome", "route", "assignment", "shared_by", "times")
IDS = ("graph_request_id", "client_request_id")
ran = {"grpc": 0, "rest": 0}
Doors = tuple[Rig, RestCaller]


def cases(name: str) -> list[dict]:
    return json.loads((FOLDER / f"{name}.json").read_text())


CASES = [
    *cases("operations"),
    *({**BAD_INPUT, **case, "request": expand(case["request"])} for case in cases("bad_input")),
    *({**CREATE, "request": GOOD, **case, "http": HTTP[case["grpc"]], "fault": case} for case in cases("graph_faults")),
]


def in_tiers(cases: list[dict]) -> Iterator[Any]:
    """The first case of each operation and reason is in the default tier, the others are in the second tier."""
    seen = set()
    for case in cases:
        kind = case["operation"], case["grpc"], case.get("reason"), "fault" in case
        yield pytest.param(case, id=case["name"], marks=(pytest.mark.machine,) if kind in seen else ())
        seen.add(kind)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def refusing(live_emulator: Emulator) -> AsyncIterator[Doors]:
    """A shared gateway, for cases that are refused before Graph is asked and so leave nothing behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.pipeline.floods.SECOND", 0.0)  # an entry for each
        async with rest(as_new(live_emulator)) as doors:
            yield doors


async def outcome(doors: Doors, case: dict, door: str) -> tuple[object, list, list]:
    """The answer to the caller, the ledger's entries, and the requests to Graph."""
    rig, caller = doors
    reset(rig.emulator.world)
    if fault := case.get("fault"):
        sent = Fault(method="POST", path="/assignments$", times=99, status=fault["status"], body=fault["body"])
        rig.emulator.world.faults.order([replace(sent, retry_after=fault.get("retry_after"))])
    before = len(rig.entries())
    message = json_format.ParseDict(case["request"], OPERATIONS[case["operation"]].request())
    answer = await (rig if door == "grpc" else caller).call(case["operation"], message)
    entries = rig.entries()[before:]
    seen = [[getattr(entry, name) for name in ENTRY] for entry in entries]
    ids = {entry.request_id for entry in entries}
    assert not case["request"].get("requestId") or ids == {case["request"]["requestId"]}
    ran[door] += 1
    return answer, seen, [(r["method"], r["path"], r["body"]) for r in rig.emulator.world.requests]


async def outcome_of_new(emulator: Emulator, case: dict, door: str) -> tuple[object, list, list]:
    """The outcome at a new gateway, whose ledger is empty."""
    graph = {"graph": {"create_route": "documented", "max_attempts": 1, "doubt_s": 0}} if "fault" in case else {}
    async with rest(emulator, **graph) as doors:
        return await outcome(doors, case, door)


def same(grpc: Failure, rest: Failure, case: dict) -> None:
    assert (grpc.status, grpc.reason) == (case["grpc"], case["reason"])
    assert (int(rest.status), rest.reason) == (case["http"], case["reason"])
    assert grpc.fields == case.get("fields", grpc.fields)
    assert rest.fields == case.get("places", rest.fields)
    assert len(rest.fields) == len(grpc.fields)
    assert (rest.retry_after is None) == (grpc.retry_after is None)
    assert rest.retry_after is None or rest.retry_after == max(math.ceil(grpc.retry_after), 1)
    assert rest.resource == grpc.resource
    assert {k: v for k, v in rest.metadata.items() if k not in IDS} == {k: v for k, v in grpc.metadata.items() if k not in IDS}
    assert rest.metadata.keys() == grpc.metadata.keys()
    assert bool(rest.fields) or rest.message == grpc.message


@pytest.mark.parametrize("case", list(in_tiers(CASES)))
async def test_the_doors_differ_in_nothing_but_the_wire(refusing: Doors, live: Emulator, documented: Emulator, case: dict):
    of = partial(outcome, refusing)
    if "fault" in case or case.get("reason") != "INVALID_FIELD":
        of = partial(outcome_of_new, documented if "fault" in case else live)
    grpc, entries, requests = await of(case, "grpc")
    if "only_grpc" in case:
        return
    over_rest, rest_entries, rest_requests = await of(case, "rest")
    if case["grpc"] == "OK":
        assert not isinstance(grpc, Failure)
        assert not isinstance(over_rest, Failure), over_rest.seen
        for answer in (over_rest, grpc):
            if getattr(answer, "next_page_token", ""):
                answer.next_page_token = "…"  # signed by each gateway with a key of its own
            if hasattr(answer, "cost"):
                answer.cost.ClearField("wait")  # of that moment
        assert over_rest == grpc
    else:
        same(grpc, over_rest, case)
    assert rest_entries == entries
    if case["request"].get("view"):  # names are asked for at once, and come in any order
        requests, rest_requests = sorted(requests, key=str), sorted(rest_requests, key=str)
    assert rest_requests == requests
    if case["request"].get("validateOnly"):
        assert [method for method, _, _ in requests if method != "GET"] == []
        assert [entry for entry in entries if entry[ENTRY.index("outcome")] in ("", "OK")] == []
    assert "canary-body" not in getattr(over_rest, "seen", "")


async def test_how_many_cases_ran_through_each():
    print(f"cases through gRPC: {ran['grpc']}, through REST: {ran['rest']}")
    only = [case["name"] for case in CASES if "only_grpc" in case]
    assert ran["grpc"] - len(only) == ran["rest"] or ran["grpc"] < len(CASES)  # others ran in another process
    assert len(only) == 19
