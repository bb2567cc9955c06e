"""An edit that makes Graph refuse the shared set, or give no answer, does not make the other edits fail."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, group, guid
from rig import QUICK, Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

BAD, EDITS = 3, 6
GRAPH = {"create_route": "assign", "read_back_s": 5, "doubt_s": 0.3, "max_attempts": 2}
REFUSALS = {403: "GRAPH_FORBIDS", 409: "GRAPH_CONFLICT", 412: "GRAPH_CONFLICT", 503: "GRAPH_UNAVAILABLE"}


async def together(rig: Rig, **fields: Any) -> list[Any]:
    """Creations that share their first write, since they come while the list before it is read."""
    rig.emulator.world.faults.order([Fault(**LIST, delay_s=1.0)])
    return await asyncio.gather(*(create(rig, group(number), **fields) for number in range(EDITS)))


def groups_of(write: dict[str, Any]) -> set[str]:
    return {row["target"]["groupId"] for row in write["body"]["assignments"]}


@pytest.mark.parametrize("status", REFUSALS)
async def test_good_edits_are_carried_out_and_the_bad_one_alone_is_refused(live: Emulator, status: int):
    live.world.faults.order([Fault(**ASSIGN, sent=guid(BAD), status=status, retry_after="0.5", times=999)])
    async with gateway(live, graph=GRAPH) as rig:
        answers = await together(rig)
        first = rig.writes()[0]
    assert groups_of(first) == {guid(number) for number in range(EDITS)}, "they did share a write"
    assert [getattr(answer, "reason", "OK") for answer in answers] == [
        REFUSALS[status] if number == BAD else "OK" for number in range(EDITS)
    ]
    assert {row["target"]["groupId"] for row in rig.rows(EMPTY)} == {guid(n) for n in range(EDITS) if n != BAD}
    assert len(rig.writes()) <= 2 + 2 * EDITS


async def test_a_deadline_that_comes_before_patience_ends_leaves_time_for_the_others(live: Emulator):
    live.world.faults.order([Fault(**ASSIGN, sent=guid(BAD), status=409, times=999)])
    async with gateway(live, graph={**GRAPH, "max_attempts": 50}) as rig:
        answers = await together(rig)
    assert [isinstance(answer, Assignment) for answer in answers] == [number != BAD for number in range(EDITS)], answers


async def test_by_the_documented_route_too(documented: Emulator):
    documented.world.faults.order([Fault(method="POST", path="/assignments$", sent=guid(BAD), status=409, times=999)])
    async with gateway(documented, graph={**GRAPH, "create_route": "documented"}) as rig:
        answers = await together(rig)
    assert [getattr(answer, "reason", "OK") for answer in answers] == [
        "GRAPH_CONFLICT" if number == BAD else "OK" for number in range(EDITS)
    ]


async def test_what_no_edit_can_be_blamed_for_is_not_tried_again_in_parts(live: Emulator):
    """E3: the app has no permission, whatever the set."""
    body = {"error": {"code": "Forbidden", "message": "Application is not authorized to perform this operation."}}
    live.world.faults.order([Fault(**ASSIGN, status=403, body=body, times=999)])
    async with gateway(live, graph=GRAPH) as rig:
        answers = await together(rig)
    assert {answer.reason for answer in answers} == {"GRAPH_PERMISSION_MISSING"}
    assert len(rig.writes()) == 1


async def insist(rig: Rig, number: int, most: int) -> Any:
    """Repeats the request at each time to retry, at most `most` times."""
    for _ in range(most):
        answer = await create(rig, group(number), requestId=f"r{number}")
        if not isinstance(answer, Failure) or answer.retry_after is None:
            break
        assert answer.reason == "OUTCOME_UNKNOWN", answer
        await asyncio.sleep(answer.retry_after + 0.05)
    return answer


@pytest.mark.parametrize("effect", ["500", "cut"])
async def test_edits_beside_one_that_has_no_answer_get_through_and_none_is_sent_again_in_doubt(live: Emulator, effect: str):
    fault = {"status": 500} if effect == "500" else {"cut": "before"}
    live.world.faults.order([Fault(**ASSIGN, sent=guid(BAD), times=999, **fault), Fault(**LIST, delay_s=1.0)])
    async with gateway(live, graph=GRAPH) as rig:
        answers = await asyncio.gather(*(insist(rig, number, 5) for number in range(EDITS)))
        writes = rig.writes()
    assert groups_of(writes[0]) == {guid(number) for number in range(EDITS)}, "they did share a write"
    assert [isinstance(answer, Assignment) for answer in answers] == [number != BAD for number in range(EDITS)], answers
    in_doubt = [write["at"] for write in writes if guid(BAD) in groups_of(write)]
    pauses = [later - earlier for earlier, later in pairwise(in_doubt)]
    assert all(pause >= QUICK["late_s"] for pause in pauses), "only what surely did not land is sent again"
