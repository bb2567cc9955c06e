"""A fault sets the answer and, independently, whether the request is not carried out, carried out, or carried out late."""

import asyncio

import aiohttp
import pytest
from emulator_client import DEVICES, USERS, Client
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.control import reset
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, MACOS, WINDOWS

ASSIGN, LIST = {"method": "POST", "path": "/assign$"}, {"method": "GET", "path": "/assignments"}


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


async def landed(emulator: Emulator) -> None:
    async with asyncio.timeout(60):
        while emulator.world.late:
            await asyncio.sleep(0.005)


async def test_without_an_effect_a_request_that_is_answered_otherwise_is_not_carried_out(client: Client):
    await client.control("POST", "/faults", {**ASSIGN, "status": 504})
    assert (await client.assign(EMPTY, DEVICES))[0] == 504
    assert client.emulator.world.intune.effects == []


async def test_a_request_can_be_carried_out_and_answered_otherwise(client: Client):
    fault = {**ASSIGN, "status": 504, "body": "<html>", "effect": "now", "headers": {"X-Proxy": "edge", "Retry-After": 7}}
    await client.control("POST", "/faults", fault)
    status, body, headers = await client.assign(EMPTY, DEVICES, by="mine")
    assert (status, body, headers["X-Proxy"], headers["Retry-After"]) == (504, "<html>", "edge", "7")
    assert [effect.by for effect in client.emulator.world.intune.effects] == ["mine"]
    assert client.emulator.world.requests[-1]["status"] == 504


async def test_headers_are_added_to_a_real_answer_too(client: Client):
    client.emulator.world.faults.order([Fault(**LIST, headers={"x-msft-approval-code": "1"})])
    status, _, headers = await client.send("GET", f"/{EMPTY}/assignments")
    assert (status, headers["x-msft-approval-code"]) == (200, "1")


async def test_a_request_can_be_carried_out_after_its_answer(client: Client):
    await client.control("POST", "/faults", {**ASSIGN, "status": 504, "effect": "late", "late_s": 3})
    assert (await client.assign(EMPTY, DEVICES, by="late"))[0] == 504
    assert client.emulator.world.intune.effects == []
    assert (await client.control("GET", "/state"))["late"] == 1
    entry = (await client.control("GET", "/requests"))[-1]
    assert (entry["status"], entry["late"], entry["late_status"]) == (504, True, None)
    await client.assign(EMPTY, USERS, by="meanwhile")
    await landed(client.emulator)
    assert [effect.by for effect in client.emulator.world.intune.effects] == ["meanwhile", "late"]
    assert [row["id"] for row in client.emulator.world.intune.policies[EMPTY].rows] == [
        f"{EMPTY}_adadadad-808e-44e2-905a-0b7873a8a531"
    ]
    entry = next(entry for entry in client.emulator.world.requests if entry.get("late"))
    assert entry["late_status"] in (200, 204)


async def test_a_request_can_be_cut_off_and_carried_out_late(client: Client):
    client.emulator.world.faults.order([Fault(**ASSIGN, cut="before", effect="late", late_s=0.1)])
    with pytest.raises(aiohttp.ClientError):
        await client.assign(EMPTY, DEVICES)
    assert client.emulator.world.intune.effects == []
    await landed(client.emulator)
    assert len(client.emulator.world.intune.policies[EMPTY].rows) == 1


async def test_a_late_request_is_judged_when_it_is_carried_out(client: Client):
    client.emulator.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=0.1)])
    await client.assign(EMPTY, DEVICES)
    client.emulator.world.clock.advance(4000)  # its token is over
    await landed(client.emulator)
    assert client.emulator.world.requests[-1]["late_status"] == 401
    assert client.emulator.world.intune.effects == []


async def test_a_reset_drops_what_is_still_to_come(client: Client):
    emulator = client.emulator
    emulator.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=0.1)])
    await client.assign(EMPTY, DEVICES)
    [task] = emulator.world.outstanding
    reset(emulator.world)
    assert emulator.world.late == 0
    await asyncio.wait([task], timeout=1)
    assert task.cancelled()
    assert emulator.world.intune.policies[EMPTY].rows == []


async def test_the_end_of_the_emulator_waits_for_nothing_late():
    async with Emulator() as emulator, graph_session(emulator) as session:
        emulator.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=600)])
        await Client(emulator, session).assign(EMPTY, DEVICES)
        [task] = emulator.world.outstanding
    assert task.cancelled()


WRONG = {
    "an unknown effect": {"effect": "soon"},
    "no effect": {"effect": None},
    "late without an answer": {"effect": "late"},
    "late, and cut after": {"effect": "late", "cut": "after"},
    "before its time": {"status": 504, "effect": "late", "late_s": -1},
    "an unknown cut": {"cut": "now"},
    "an unknown page": {"page": "blank"},
    "a page of no list": {"page": "duplicate", "status": 500},
}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
async def test_faults_that_make_no_sense_are_refused(client: Client, fault: dict):
    await client.control("POST", "/faults", fault, status=400)


async def test_a_page_can_repeat_the_last_row_of_the_one_before(client: Client):
    client.emulator.world.graph.empty_pages = False
    rows = [row["id"] for row in client.emulator.world.intune.policies[WINDOWS].rows]
    client.emulator.world.faults.order([Fault(method="GET", path="skiptoken", page="duplicate")])
    pages = await client.pages(f"/{WINDOWS}/assignments")
    assert [[row["id"] for row in page] for page in pages] == [rows[:2], [rows[1], *rows[2:4]], rows[4:]]


async def test_a_first_page_can_repeat_its_own_last_row(client: Client):
    await client.control("POST", "/faults", {**LIST, "page": "duplicate"})
    [page] = await client.pages(f"/{MACOS}/assignments")
    assert [row["id"] for row in page] == [f"{MACOS}_adadadad-808e-44e2-905a-0b7873a8a531"] * 2
    assert len((await client.pages(f"/{MACOS}/assignments"))[0]) == 1, "once"


@pytest.mark.parametrize(("at", "left"), [("/assignments$", 1), ("skiptoken", 3)])
async def test_a_list_can_end_early_as_if_that_were_all(client: Client, at: str, left: int):
    client.emulator.world.graph.empty_pages = False
    rows = [row["id"] for row in client.emulator.world.intune.policies[WINDOWS].rows]
    client.emulator.world.faults.order([Fault(method="GET", path=at, page="truncated")])
    pages = await client.pages(f"/{WINDOWS}/assignments")
    assert [row["id"] for page in pages for row in page] == rows[:left]


@pytest.mark.parametrize(("page", "count"), [("duplicate", 6), ("truncated", 4)])
async def test_an_expanded_collection_can_be_as_wrong(client: Client, page: str, count: int):
    client.emulator.world.faults.order([Fault(path="expand", page=page)])
    _, body, _ = await client.send("GET", f"/{WINDOWS}?$expand=assignments")
    assert len(body["assignments"]) == count


async def test_a_fault_can_be_for_what_is_sent(client: Client):
    await client.control("POST", "/faults", {**ASSIGN, "sent": "allDevices", "status": 500, "times": 9})
    statuses = [(await client.assign(EMPTY, target))[0] for target in (USERS, DEVICES, USERS, DEVICES)]
    assert [status // 100 for status in statuses] == [2, 5, 2, 5]
