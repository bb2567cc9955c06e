"""Concurrent readers of one policy share requests to Graph; each is authorised, audited and cancelled separately."""

import asyncio
import json

import pytest
from attacks import bearer
from edits_over_the_wire import guid
from rig import Failure, Rig, gateway, logged

from gateway.assignments import shared_reads
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

LIST = "ListComplianceAssignments"
READERS, READS = 64, 10


def reads_of(emulator: Emulator, policy: str = WINDOWS) -> int:
    """The number of requests for the policy's first page."""
    return sum(request["path"].endswith(f"/{policy}/assignments") for request in emulator.world.requests)


async def read(rig: Rig, policy: str = WINDOWS, **options):
    return await rig.call(LIST, {"deviceCompliancePolicyId": policy}, **options)


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> float:
    """The seconds to gather readers are many, so that a slow machine does not matter."""
    monkeypatch.setattr(shared_reads, "GATHERING_S", 2.0)
    return 2.0


async def test_many_readers_of_one_policy_cost_few_requests(live: Emulator, gathering: float, monkeypatch: pytest.MonkeyPatch):
    for name in ("AGAIN_S", "ALL_AGAIN_S"):
        monkeypatch.setattr(shared_reads, name, gathering / 4)
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=0.02, times=10**6)])

    async def reader(rig: Rig) -> list:
        return [await read(rig) for _ in range(READS)]

    async with gateway(live) as rig:
        answers = await asyncio.gather(*(reader(rig) for _ in range(READERS)))
    assert {len(answer.assignments) for of_one in answers for answer in of_one} == {5}
    assert reads_of(live) <= READERS * READS // 10


async def test_a_read_that_had_begun_is_not_shared(live: Emulator, gathering: float):
    """It may show the state before a write that ended since."""
    goes_on = asyncio.Event()
    old = Fault(method="GET", path="/assignments", status=200, body={"value": []}, until=goes_on)
    async with gateway(live) as rig:
        live.world.faults.order([old])
        early = asyncio.create_task(read(rig))
        while not reads_of(live):
            await asyncio.sleep(0.01)
        late = [asyncio.create_task(read(rig)) for _ in range(5)]
        answers = await asyncio.wait_for(asyncio.gather(*late), 60)
        assert [len(answer.assignments) for answer in answers] == [5] * 5, "and they do not wait for one that hangs"
        goes_on.set()
        assert not (await early).assignments
    assert reads_of(live) == 2


async def test_who_goes_leaves_the_read_to_the_others(live: Emulator, gathering: float):
    goes_on = asyncio.Event()
    live.world.faults.order([Fault(method="GET", path="/assignments", until=goes_on, times=2)])
    async with gateway(live) as rig:
        first = asyncio.create_task(read(rig))
        while not reads_of(live):
            await asyncio.sleep(0.01)
        hasty, patient = asyncio.create_task(read(rig, timeout=2 * gathering)), asyncio.create_task(read(rig, timeout=60))
        assert (await hasty).status == "DEADLINE_EXCEEDED"
        goes_on.set()
        assert len((await patient).assignments) == len((await first).assignments) == 5
    assert reads_of(live) == 2


async def test_with_the_last_reader_the_read_ends(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=600)])
    async with gateway(live) as rig:
        assert {answer.status for answer in await asyncio.gather(*(read(rig, timeout=1) for _ in range(3)))} == {
            "DEADLINE_EXCEEDED"
        }
        assert len((await read(rig)).assignments) == 5
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "read"]


async def test_an_error_comes_to_all_who_share(live: Emulator, gathering: float):
    goes_on = asyncio.Event()
    hangs = Fault(method="GET", path="/assignments", until=goes_on)
    async with gateway(live) as rig:
        live.world.faults.order([hangs, Fault(method="GET", path="/assignments", status=403)])
        first = asyncio.create_task(read(rig))
        while not reads_of(live):
            await asyncio.sleep(0.01)
        failures = await asyncio.gather(*(read(rig) for _ in range(4)))
        goes_on.set()
        await first
    assert {(failure.status, failure.reason) for failure in failures} == {("FAILED_PRECONDITION", "GRAPH_FORBIDS")}
    assert reads_of(live) == 2


async def test_each_is_authorised_and_audited_by_itself(live: Emulator):
    known, stranger = new_token(), new_token()
    callers = {"static": {"known": hash_token(known), "stranger": hash_token(stranger)}}
    rules = live.folder / "only-one.cedar"
    rules.write_text('permit(principal == Caller::"known", action, resource);')
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=0.05, times=100)])
    with logged() as lines:
        async with gateway(live, callers=callers, authorization={"rules_file": str(rules)}) as rig:
            asked = [read(rig, metadata=bearer(known if number % 2 else stranger)) for number in range(20)]
            answers = await asyncio.gather(*asked)
    refused = [answer for answer in answers if isinstance(answer, Failure)]
    assert [answer.reason for answer in refused] == ["CALLER_NOT_PERMITTED"] * 10
    calls = [line for line in map(json.loads, lines) if line["message"] == "call" and line["outcome"] == "OK"]
    assert [line["caller"] for line in calls] == ["known"] * 10
    assert len({line["id"] for line in calls}) == 10
    assert {line["graph_status"] for line in calls} == {200}
    assert max(line.get("shared_by", 1) for line in calls) > 1
    assert reads_of(live) < 10


async def test_what_a_caller_wrote_it_reads_while_others_read_without_end(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=0.01, times=10**6)])
    async with gateway(live, graph={"create_route": "assign"}) as rig:
        over = asyncio.Event()

        async def reader() -> None:
            while not over.is_set():
                await read(rig, EMPTY)

        async def writer(first: int) -> None:
            for number in range(first, first + 5):
                edit = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"group": {"groupId": guid(number)}}}}
                created = await rig.call("CreateComplianceAssignment", edit, timeout=60)
                assert not isinstance(created, Failure), created
                assert created.id in {row.id for row in (await read(rig, EMPTY)).assignments}

        readers = [asyncio.create_task(reader()) for _ in range(16)]
        await asyncio.gather(*(writer(first) for first in (10, 20, 30, 40)))
        over.set()
        await asyncio.gather(*readers)
