"""Etags as conditions: of two writes with one etag only one is carried out, whichever doors they use. And HTTP's conditional
headers in each of their spellings."""

import asyncio
import json
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from at_rest import effects
from edits_over_the_wire import ASSIGN, LIST, MERGE, group, guid
from google.protobuf import json_format
from rest_caller import RestCaller, request_of, rest
from rest_mistakes import SET
from rig import Failure, Rig

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EXCLUDED, FILTERED, GROUP, WINDOWS
from gateway.operations import OPERATIONS

CREATE = "CreateComplianceAssignment"
# Each write, and what it says. Revision 1 is the creation of group 99.
WRITES: dict[str, dict[str, Any]] = {
    CREATE: {"assignment": {"target": group(1)}},
    "UpdateComplianceAssignment": {
        "deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{GROUP}",
        "assignment": {"target": group(2)},
    },
    "DeleteComplianceAssignment": {"deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{FILTERED}"},
    "ReplaceComplianceAssignments": {"assignments": [{"target": group(3)}]},
    "EditComplianceAssignments": {"edits": [{"create": {"assignment": {"target": group(4)}}}]},
    "RestoreComplianceAssignments": {"revision": 1},
}
OTHER = f'"{"0" * 32}"'


def request(operation: str, **fields: Any) -> Any:
    said = {"deviceCompliancePolicyId": WINDOWS, **WRITES[operation], **fields}
    return json_format.ParseDict(said, OPERATIONS[operation].request())


async def seeded(rig: Rig) -> str:
    """Makes one revision and returns the etag of the set after it."""
    await rig.call(CREATE, request(CREATE, assignment={"target": group(99)}))
    return (await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})).etag


def one_is_carried_out(answers: list[Any]) -> None:
    [refused] = [answer for answer in answers if isinstance(answer, Failure)]
    assert (refused.status, refused.reason) in (("ABORTED", "SET_CHANGED_SINCE"), ("412", "SET_CHANGED_SINCE")), refused


MOMENTS = {
    "in one round": Fault(**LIST, delay_s=0.5, times=1),
    "while the other is written": Fault(**ASSIGN, delay_s=0.5, times=1),
}


def in_tiers() -> Iterator[Any]:
    """The default tier has each write at each moment through one door, alternately; the second tier has the other door."""
    for number, (operation, moment) in enumerate(product(WRITES, MOMENTS)):
        first, second = ("grpc", "rest")[:: -1 if number % 3 else 1]
        yield pytest.param(operation, moment, first)
        yield pytest.param(operation, moment, second, marks=pytest.mark.machine)


@pytest.mark.parametrize(("operation", "moment", "first"), list(in_tiers()))
async def test_of_two_writes_with_one_etag_one_is_carried_out(live: Emulator, operation: str, first: str, moment: str):
    live.world.graph.page_size = 100
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        before = len(effects(live, WINDOWS))
        live.world.faults.order([MOMENTS[moment]])
        doors: list[Any] = [rig, caller] if first == "grpc" else [caller, rig]
        other = request(CREATE, assignment={"target": group(50)}, etag=etag)
        asked = asyncio.create_task(doors[0].call(operation, request(operation, etag=etag)))
        await asyncio.sleep(0.2 if "while" in moment else 0)
        one_is_carried_out([await doors[1].call(CREATE, other), await asked])
        assert len(effects(live, WINDOWS)) == before + 1
        revisions = await rig.call("ListComplianceAssignmentRevisions", {"deviceCompliancePolicyId": WINDOWS})
        assert len(revisions.revisions) == 2


async def test_of_many_writes_with_one_etag_one_is_carried_out(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        before = len(effects(live, WINDOWS))
        each = [request(CREATE, assignment={"target": group(number)}, etag=etag) for number in range(20)]
        answers = await asyncio.gather(*((rig, caller)[number % 2].call(CREATE, one) for number, one in enumerate(each)))
        assert len([answer for answer in answers if not isinstance(answer, Failure)]) == 1
        assert {answer.reason for answer in answers if isinstance(answer, Failure)} == {"SET_CHANGED_SINCE"}
        assert len(effects(live, WINDOWS)) == before + 1


async def test_what_came_to_nothing_did_not_change_the_set(live: Emulator):
    """Graph refuses the first edit of a shared write: the set still has the etag of the second edit."""
    poison = {"configurationManagerCollection": {"collectionId": guid(7)}}
    async with rest(live, **MERGE) as (rig, caller):
        etag = (await caller.send("GET", SET)).headers["etag"]
        live.world.faults.order([Fault(**LIST, delay_s=0.5, times=1)])
        bad = asyncio.create_task(rig.call(CREATE, request(CREATE, assignment={"target": poison}, etag=etag)))
        await asyncio.sleep(0.1)
        good = await caller.call(CREATE, request(CREATE, etag=etag))
        assert (await bad).reason == "GRAPH_REFUSED_INPUT"
        assert not isinstance(good, Failure), good


async def test_an_edit_that_changes_nothing_leaves_the_etag_to_others(live: Emulator):
    kept = {"assignment": {"target": {"group": {"groupId": GROUP}}}, "ifExists": "IF_EXISTS_KEEP"}
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        live.world.faults.order([Fault(**LIST, delay_s=0.5, times=1)])
        first = asyncio.create_task(rig.call(CREATE, request(CREATE, **kept, etag=etag)))
        await asyncio.sleep(0.1)
        answers = [await caller.call(CREATE, request(CREATE, etag=etag)), await first]
        assert [answer for answer in answers if isinstance(answer, Failure)] == []


LOST = {"cut off, done": Fault(**ASSIGN, cut="after", times=1), "500, done": Fault(**ASSIGN, status=500, effect="now", times=1)}


@pytest.mark.parametrize("name", LOST)
async def test_ones_own_write_is_no_change_by_others(live: Emulator, name: str):
    """The write's answer was lost. The set now differs from the etag, but because of the write itself."""
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        live.world.faults.order([LOST[name]])
        wish = request(CREATE, etag=etag, requestId="once")
        async with asyncio.timeout(60):
            while isinstance(answer := await caller.call(CREATE, wish), Failure) and answer.reason == "OUTCOME_UNKNOWN":
                await asyncio.sleep(min(answer.retry_after or 0.1, 1))
        assert not isinstance(answer, Failure), answer
        again = await rig.call(CREATE, wish)
        assert again.id == answer.id


# If-None-Match on a list -> the status; E stands for the etag of the set.
KNOWN = {
    "E": 304,
    "W/E": 304,
    f"{OTHER}, E": 304,
    f"{OTHER},E": 304,
    f"W/{OTHER} , W/E": 304,
    ", E,": 304,
    '"a,b", E': 304,
    '"a/W", ""\t, E': 304,
    "*": 304,
    " * ": 304,
    OTHER: 200,
    f"W/{OTHER}": 200,
    f'{OTHER}, "x"': 200,
    '""': 200,
}
MALFORMED = [
    "",
    "e",
    "E E",
    'E"',
    f"{OTHER} {OTHER}",
    '"',
    '"0',
    '0"',
    "W/",
    "W/0",
    f"w/{OTHER}",
    f"*, {OTHER}",
    f"{OTHER}, *",
    "**",
    "'0'",
    ",",
]


async def send(caller: RestCaller, path: str, *values: str) -> tuple[int, dict[str, str], bytes]:
    """A GET with an If-None-Match header for each value."""
    headers = [("Authorization", f"Bearer {caller.token}"), *(("If-None-Match", value) for value in values)]
    async with caller.session.get(caller.root + path, headers=headers) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.read()


async def test_a_list_that_is_known_is_not_sent_again(live: Emulator):
    async with rest(live, **MERGE) as (_, caller):
        _, headers, body = await send(caller, SET)
        etag = headers["etag"]
        for value, status in KNOWN.items():
            told, headers, again = await send(caller, SET, value.replace("E", etag))
            assert (told, headers.get("etag")) == (status, etag), value
            if status == 304:
                assert (again, headers.get("content-type"), headers.get("content-length", "0")) == (b"", None, "0"), value
            else:
                assert json.loads(again) == json.loads(body), value
        assert (await send(caller, SET, OTHER, etag))[0] == 304, "in two headers"
        assert (await send(caller, SET, OTHER, f"W/{OTHER}"))[0] == 200
        second = json.loads((await send(caller, f"{SET}?$top=2"))[2])["@odata.nextLink"].removeprefix(caller.root)
        assert (await send(caller, second, etag))[0] == 200, "a page has no etag"
        batch = {"requests": [{"id": "1", "method": "GET", "url": SET, "headers": {"If-None-Match": etag}}]}
        [item] = (await caller.send("POST", "/beta/$batch", batch)).json["responses"]
        assert (item["status"], item["headers"]["ETag"], "body" in item) == (304, etag, False)


async def test_etags_that_are_none_are_refused(live: Emulator):
    async with rest(live, **MERGE) as (_, caller):
        for value in MALFORMED:
            status, headers, body = await send(caller, SET, value)
            assert (status, "etag" in headers) == (400, False), value
            error = json.loads(body)["error"]
            assert (error["code"], [detail["target"] for detail in error["details"]]) == ("INVALID_FIELD", ["If-None-Match"]), (
                value
            )


async def test_the_set_changes_and_so_does_its_etag(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        etag = (await caller.send("GET", SET)).headers["etag"]
        row = f"{SET}/{WINDOWS}_{EXCLUDED}"
        gone = await caller.send("DELETE", row, headers={"If-Match": etag})
        assert gone.status == 204
        assert (await send(caller, SET, etag))[0] == 200
        assert (await send(caller, SET, gone.headers["etag"]))[0] == 304
        assert (await caller.send("DELETE", row, headers={"If-Match": etag})).status == 412
        assert len(rig.writes()) == 1


def parts(operation: str, **fields: Any) -> tuple[str, str, Any]:
    method, path, body, _ = request_of(operation, request(operation, **fields))
    return method, path, body


@pytest.mark.parametrize("operation", WRITES)
async def test_if_match_on_every_write(live: Emulator, operation: str):
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        writes = len(rig.writes())
        for value in (*MALFORMED, f"{OTHER}, {etag}", f"W/{etag}", etag[1:-1], etag.upper()):
            answer = await caller.send(*parts(operation), {"If-Match": value})
            error = answer.json["error"]
            assert (answer.status, [detail["target"] for detail in error["details"]]) == (400, ["If-Match"]), value
        assert (await caller.send(*parts(operation), {"If-Match": OTHER})).json["error"]["code"] == "SET_CHANGED_SINCE"
        for value in ("*", etag):
            assert (await caller.send(*parts(operation, validateOnly=True), {"If-Match": value})).status in (200, 204), value
        assert len(rig.writes()) == writes
        done = await caller.send(*parts(operation), {"If-Match": etag})
        assert done.status in (200, 201, 204), done.json
        assert (await send(caller, SET, done.headers["etag"]))[0] == 304
        assert len(rig.writes()) == writes + 1


@pytest.mark.parametrize("operation", [name for name in WRITES if name != CREATE])
async def test_if_none_match_is_for_creations_and_lists(live: Emulator, operation: str):
    async with rest(live, **MERGE) as (rig, caller):
        etag = await seeded(rig)
        writes = len(rig.writes())
        for value in ("*", etag, OTHER, "x"):
            answer = await caller.send(*parts(operation), {"If-None-Match": value})
            assert [detail["target"] for detail in answer.json["error"]["details"]] == ["If-None-Match"]
        assert len(rig.writes()) == writes


async def test_etags_of_grpc_that_are_none_are_refused(live: Emulator):
    async with rest(live, **MERGE) as (rig, _):
        for operation in WRITES:
            for value in ("*", OTHER[1:-1], f"W/{OTHER}", f"{OTHER}, {OTHER}", '""'):
                failure = await rig.call(operation, request(operation, etag=value))
                assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["etag"]), (operation, value)
        assert rig.writes() == []
