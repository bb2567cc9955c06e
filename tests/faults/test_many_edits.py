"""Many concurrent edits on many rows: their work is counted, not timed, and other calls do not wait long."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from at_rest import groups
from edits_over_the_wire import LIST, MERGE, callers, created, group, guid, waiting
from rig import Failure, Rig, gateway

from gateway.doors.grpc_door import STREAMS
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

# Rows and edits.
SIZES = [pytest.param(200, 100, id="some"), pytest.param(1000, 500, id="many", marks=pytest.mark.machine)]
ROOMS = ("/gateway/assignments/", "/gateway/odata/")
# What is run for a row: its key, its value, and what they are made of. Each has one name in either room.
OF_A_ROW = {"key_of", "key_of_target", "value_of", "kind_of", "filter_of", "row_id", "target_of"}


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Counts the calls of each function of the domain inside the block, in this thread."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and any(room in frame.f_code.co_filename for room in ROOMS):
            calls[frame.f_code.co_name] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


@pytest.fixture
def large(live: Emulator, rows: int) -> Emulator:
    """A policy of so many rows, in pages of a hundred."""
    live.world.graph.page_size, live.world.graph.empty_pages = 100, False
    groups = [{"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(n)}} for n in range(rows)]
    live.world.intune.set_rows(EMPTY, groups)
    return live


async def together(rig: Rig, *asks: tuple[str, dict]) -> list:
    """The answers of calls that share one write, since they come while a read is held."""
    released = asyncio.Event()
    rig.emulator.world.faults.order([Fault(**LIST, until=released, times=20)])  # a read that is given up comes again
    async with callers(rig, 2 + len(asks) // STREAMS) as these:
        tasks = [
            asyncio.create_task(
                these[number % len(these)].call(operation, {"deviceCompliancePolicyId": EMPTY, **fields}, timeout=600)
            )
            for number, (operation, fields) in enumerate((creation(9999), *asks))
        ]
        await waiting(len(tasks), tasks)
        released.set()
        return (await asyncio.gather(*tasks))[1:]


def creation(number: int) -> tuple[str, dict]:
    return "CreateComplianceAssignment", {"assignment": {"target": group(number)}}


def removal(number: int) -> tuple[str, dict]:
    return "DeleteComplianceAssignment", {"deviceCompliancePolicyAssignmentId": f"{EMPTY}_{guid(number)}"}


@pytest.mark.parametrize(("rows", "edits"), SIZES)
@pytest.mark.parametrize("edit", ["creates", "deletes"])
async def test_many_edits_on_many_rows_index_the_rows_a_few_times(large: Emulator, edit: str, rows: int, edits: int):
    async with gateway(large, **MERGE) as rig:
        with counting() as calls:
            if edit == "creates":
                answers = await together(rig, *(creation(rows + n) for n in range(edits)))
                assert len(created(answers)) == edits
            else:
                answers = await together(rig, *(removal(n) for n in range(edits)))
                assert not [answer for answer in answers if isinstance(answer, Failure)]
        writes = len(rig.writes())
    assert writes <= 3
    assert len(groups(large)) == rows + 1 + (edits if edit == "creates" else -edits)
    for name in OF_A_ROW:
        assert calls[name] <= 30 * (rows + edits), f"{name}: {calls[name]} calls"
    assert calls.total() <= 400 * (rows + edits), calls.most_common(10)


@pytest.mark.parametrize(
    ("rows", "edits"), [pytest.param(200, 200, id="some"), pytest.param(1000, 999, id="many", marks=pytest.mark.machine)]
)
async def test_many_edits_that_wait_never_stop_the_loop_for_long(large: Emulator, rows: int, edits: int):
    """In CPU seconds, so that other processes do not count. The bound is generous, because the emulator and the callers run on
    the same loop."""
    longest = 0.0

    async def heartbeat() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.005)
            longest = max(longest, time.thread_time() - began)

    async with gateway(large, **MERGE) as rig:
        beating = asyncio.create_task(heartbeat())
        answers = await together(rig, *(creation(rows + number) for number in range(edits)))
        beating.cancel()
        assert len(rig.writes()) <= 3
    assert len(created(answers)) == edits
    print(f"longest {longest:.3f} s")
    assert longest < 1.0
