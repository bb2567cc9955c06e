"""Previews while Graph's reads lag: nothing is written, a preview shows what the write then does, and a caller that may not
write gets none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from at_rest import effects
from compliance_gateway.v1.assignment_pb2 import DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_NONE as NO_FILTER
from edits_over_the_wire import MERGE, group, guid
from google.protobuf import json_format
from google.protobuf.message import Message
from rest_caller import RestCaller
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EXCLUDED, FILTERED, GROUP, WINDOWS
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

LAG_S = 1.0
GRAPH = {**MERGE["graph"], "lag_s": LAG_S + 0.5, "late_s": 1.0, "read_back_s": 10}
ROWS = ("assignments", "assignments_after")
CREATE, RESTORE = "CreateComplianceAssignment", "RestoreComplianceAssignments"
EVERYONE = {"allDevices": {}}
# Each write on the seeds and group 99, which revision 1 has created.
WRITES: dict[str, dict[str, Any]] = {
    CREATE: {"assignment": {"target": group(1)}},
    "UpdateComplianceAssignment": {
        "deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{guid(99)}",
        "assignment": {"target": group(2)},
    },
    "DeleteComplianceAssignment": {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{guid(99)}"},
    "ReplaceComplianceAssignments": {"assignments": [{"target": group(3)}, {"target": group(99)}]},
    "EditComplianceAssignments": {
        "edits": [
            {"create": {"assignment": {"target": group(4)}}},
            {"update": {"id": f"{WINDOWS}_{FILTERED}", "assignment": {"target": group(5)}}},
            {"delete": {"target": group(99)}},
            {"delete": {"target": group(8), "allowMissing": True}},
        ]
    },
    RESTORE: {"revision": 1},
}
# The same, where they would touch everyone, or what is not there.
TOUCHING = {
    CREATE: {"assignment": {"target": EVERYONE}},
    "UpdateComplianceAssignment": {
        "deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{GROUP}",
        "assignment": {"target": EVERYONE},
    },
    "DeleteComplianceAssignment": {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{EXCLUDED}"},
    "ReplaceComplianceAssignments": {"assignments": [{"target": EVERYONE}]},
    "EditComplianceAssignments": {"edits": [{"create": {"assignment": {"target": EVERYONE}}}]},
    RESTORE: {"revision": 1},
}
REFUSED = {
    CREATE: {"assignment": {"target": group(99)}},
    "UpdateComplianceAssignment": {
        "deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{GROUP}",
        "assignment": {"target": group(99)},
    },
    "DeleteComplianceAssignment": {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{guid(7)}"},
    "ReplaceComplianceAssignments": {"assignments": [], "expectedCount": 4},
    "EditComplianceAssignments": {"edits": [{"create": {"assignment": {"target": group(99)}}}, {"delete": {"id": "x"}}]},
    RESTORE: {"entry": guid(7)},
}
RULES = """
permit(principal == Caller::"ops", action, resource);
permit(principal == Caller::"reader", action == Action::"ListComplianceAssignments", resource);
permit(principal == Caller::"careful", action, resource)
unless { action == Action::"TouchEveryone" || context.removed_ids.containsAny(["EXCLUDED", "NINETY-NINE"]) };
permit(principal == Caller::"blind", action == Action::"CreateComplianceAssignment", resource);
"""
TOKENS = {name: new_token() for name in ("ops", "reader", "careful", "blind")}


class Desk:
    """Both doors of a gateway whose Graph lags, and its callers."""

    def __init__(self, rig: Rig, session: aiohttp.ClientSession) -> None:
        self.rig, self.session = rig, session

    async def ask(self, operation: str, said: dict[str, Any], caller: str = "ops", door: str = "grpc") -> Any:
        message = json_format.ParseDict({"deviceCompliancePolicyId": WINDOWS, **said}, OPERATIONS[operation].request())
        if door == "rest":
            return await RestCaller(f"http://{self.rig.rest_address}", TOKENS[caller], self.session).call(operation, message)
        return await self.rig.call(operation, message, metadata=(("authorization", f"Bearer {TOKENS[caller]}"),))

    async def trailers(self, operation: str, said: dict[str, Any]) -> dict[str, Any]:
        metadata = (("authorization", f"Bearer {TOKENS['ops']}"),)
        return (await self.rig.exchange(operation, {"deviceCompliancePolicyId": WINDOWS, **said}, metadata=metadata))[1]


async def desks(emulator: Emulator) -> AsyncIterator[Desk]:
    """A desk at which group 99 was just created."""
    emulator.world.graph.page_size = 100
    rules = emulator.folder / "previews.cedar"
    rules.write_text(RULES.replace("EXCLUDED", EXCLUDED).replace("NINETY-NINE", guid(99)))
    callers = {"static": {name: hash_token(token) for name, token in TOKENS.items()}}
    sections = {"callers": callers, "authorization": {"rules_file": str(rules)}, "graph": GRAPH}
    async with gateway(emulator, **sections) as rig, aiohttp.ClientSession() as session:
        desk = Desk(rig, session)
        assert not isinstance(await desk.ask(CREATE, {"assignment": {"target": group(99)}}), Failure)
        yield desk


@pytest.fixture
async def slow(live: Emulator) -> AsyncIterator[Desk]:
    """A desk at which every other read does not show group 99 yet."""
    async for desk in desks(live):
        live.world.intune.lag, live.world.intune.hops = LAG_S, True
        yield desk


@pytest.fixture
async def desk(live: Emulator) -> AsyncIterator[Desk]:
    async for desk in desks(live):
        yield desk


def told(answer: Any) -> Any:
    """The parts of an answer that a preview can know: all but new IDs, the new etag, the revision's number, and the cost."""
    if isinstance(answer, Failure):
        return answer.status, answer.reason, answer.fields, answer.resource, answer.message, answer.metadata
    found = type(answer).FromString(answer.SerializeToString())
    _without_ids(found)
    names = [name for name in ROWS if name in found.DESCRIPTOR.fields_by_name]
    rows = {name: sorted(map(str, getattr(found, name))) for name in names}
    for name in (*names, "etag", "revision", "cost"):
        if name in found.DESCRIPTOR.fields_by_name:
            found.ClearField(name)
    return str(found), rows


def _without_ids(found: Message) -> None:
    for row in (found, *(row for name in ROWS for row in getattr(found, name, ()))):
        _bare(row)
    for outcome in getattr(found, "outcomes", ()):
        _bare(outcome.after)


def _bare(row: Any) -> None:
    """Removes from a row what Graph adds to a new one."""
    for name in ("id", "source", "source_id"):
        if name in row.DESCRIPTOR.fields_by_name:
            row.ClearField(name)
    if getattr(row, "target", None) is not None and row.target.device_and_app_management_assignment_filter_type == NO_FILTER:
        row.target.ClearField("device_and_app_management_assignment_filter_type")


@pytest.mark.parametrize("door", ["grpc", "rest"])
@pytest.mark.parametrize("operation", WRITES)
async def test_what_is_told_is_what_is_done_then(slow: Desk, live: Emulator, operation: str, door: str):
    said = {**WRITES[operation], "requestId": "the-same"}
    before, entries = effects(live, WINDOWS), len(slow.rig.entries())
    seen = [await slow.ask(operation, {**said, "validateOnly": True}, door=door) for _ in range(2)]
    assert not isinstance(seen[0], Failure), seen[0]
    assert effects(live, WINDOWS) == before
    assert len(slow.rig.entries()) == entries, "no request id is taken"
    done = await slow.ask(operation, said, door=door)
    assert told(seen[0]) == told(seen[1]) == told(done)
    assert len(effects(live, WINDOWS)) == len(before) + 1, "carried out, and not told again"


@pytest.mark.parametrize("operation", WRITES)
async def test_what_would_be_refused_is_refused(slow: Desk, live: Emulator, operation: str):
    before = effects(live, WINDOWS)
    seen = await slow.ask(operation, {**REFUSED[operation], "validateOnly": True})
    done = await slow.ask(operation, REFUSED[operation])
    assert isinstance(seen, Failure)
    assert told(seen) == told(done)
    assert effects(live, WINDOWS) == before


@pytest.mark.parametrize("operation", WRITES)
async def test_who_may_not_write_may_not_see(desk: Desk, live: Emulator, operation: str):
    before = effects(live, WINDOWS)
    for caller in ("reader", "careful", "blind"):
        seen = await desk.ask(operation, {**TOUCHING[operation], "validateOnly": True}, caller)
        done = await desk.ask(operation, TOUCHING[operation], caller)
        assert seen.status == "PERMISSION_DENIED", seen
        assert told(seen) == told(done)
    assert effects(live, WINDOWS) == before


async def test_the_etag_of_what_was_seen_is_a_condition_for_the_write(slow: Desk):
    for operation in (CREATE, "EditComplianceAssignments"):
        trailers = await slow.trailers(operation, {**WRITES[operation], "validateOnly": True})
        assert "compliance-gateway-request-id" not in trailers
        etag = trailers["compliance-gateway-etag"]
        assert not isinstance(await slow.ask(operation, {**WRITES[operation], "etag": etag}), Failure)
        refused = await slow.ask(operation, {**WRITES[operation], "etag": etag, "validateOnly": True})
        assert refused.reason == "SET_CHANGED_SINCE"


async def test_many_see_while_others_write(slow: Desk, live: Emulator):
    """Each preview is of a set that existed; only the writes write."""

    async def see(number: int) -> Any:
        return await slow.ask("EditComplianceAssignments", {**WRITES["EditComplianceAssignments"], "validateOnly": True})

    before = len(effects(live, WINDOWS))
    writes = [slow.ask(CREATE, {"assignment": {"target": group(number)}}) for number in range(20, 24)]
    answers = await asyncio.gather(*writes, *map(see, range(20)))
    assert not [answer for answer in answers if isinstance(answer, Failure)]
    assert len(effects(live, WINDOWS)) <= before + 4
    there = [{row["id"] for row in effect.after} for effect in effects(live, WINDOWS)[before - 1 :]]
    for answer in answers[4:]:
        assert {row.id for row in answer.assignments_before} in there
    assert all(not answer.revision for answer in answers[4:])
