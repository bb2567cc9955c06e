"""An incomplete list ends an edit: nothing is written."""

import asyncio

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import LIST, MERGE, create, delete, group
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import GROUP, WINDOWS

BROKEN_LISTS = {
    "400": {"status": 400},
    "404 of a policy that is gone": {"status": 404},
    "no value": {"status": 200, "body": {"value": None}},
    "a value that is no list": {"status": 200, "body": {"value": {}}},
    "a row that is not an object": {"status": 200, "body": {"value": [1]}},
    "HTML": {"status": 200, "body": "<html>"},
    "nothing": {"status": 200, "body": ""},
    "a next link that is no link": {"status": 200, "body": {"value": [], "@odata.nextLink": 7}},
    "a next link to another host": {"status": 200, "body": {"value": [], "@odata.nextLink": "https://evil.invalid/x"}},
    "500s": {"status": 500},
}


@pytest.mark.parametrize("name", BROKEN_LISTS)
async def test_an_incomplete_list_ends_it_and_nothing_is_written(live: Emulator, name: str):
    live.world.faults.order([Fault(**LIST, times=99, **BROKEN_LISTS[name])])
    async with gateway(live, graph={"create_route": "assign", "max_attempts": 1}) as rig:
        assert isinstance(await create(rig, group(0), WINDOWS), Failure)
        assert isinstance(await delete(rig, f"{WINDOWS}_{GROUP}", WINDOWS), Failure)
        assert not rig.writes()
        assert len(rig.rows(WINDOWS)) == 5


async def test_a_second_page_that_fails_ends_it_and_nothing_is_written(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="skiptoken", status=400, times=99)])
    async with gateway(live, **MERGE) as rig:
        assert isinstance(await create(rig, group(0), WINDOWS), Failure)
        assert not rig.writes()


async def test_a_next_link_that_goes_round_in_circles_ends_it(live: Emulator):
    link = f"{live.root}/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments?$skiptoken=x"
    live.world.faults.order([Fault(**LIST, status=200, body={"value": [], "@odata.nextLink": link}, times=999)])
    async with gateway(live, **MERGE) as rig:
        assert (await create(rig, group(0), WINDOWS)).reason == "GRAPH_ANSWER_UNREADABLE"
        assert not rig.writes()


async def test_a_row_that_goes_while_we_page_hides_no_other(live: Emulator):
    """A foreign writer removes a row of the first page after that page was read. Since pages are offsets, the next page skips a
    row."""
    live.world.faults.order([Fault(method="GET", path="skiptoken", delay_s=0.3)])
    async with gateway(live, **MERGE) as rig:
        task = asyncio.create_task(create(rig, group(0), WINDOWS))
        while not live.world.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        rest = live.world.intune.policies[WINDOWS].rows[1:]
        live.world.intune.set_rows(WINDOWS, rest)
        assert isinstance(await task, Assignment)
        assert {row["id"] for row in rest} <= {row["id"] for row in rig.rows(WINDOWS)}
