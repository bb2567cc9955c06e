"""Nothing blocks the gateway's loop for long, however many calls come at once. Measured in CPU seconds of its thread."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from edits_over_the_wire import MERGE, callers, create, group, guid
from rig import LIVE_QUOTA, Failure, Rig, unthrottle
from stalls import watched
from test_many_edits import creation, together

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

LONGEST_S = 0.1
# What a caller may is a new question for each group, and no slice of the rules answers it.
RULES = "".join(f'permit(principal, action, resource) when {{ context.added_ids.contains("G{n}") }};\n' for n in range(20))
RULES += "permit(principal, action, resource) unless { context.added_ids == context.removed_ids && context.kinds.isEmpty() };"
RULES += "permit(principal, action, resource) when { context.kinds.isEmpty() };"
LARGE = pytest.mark.machine


def rows(emulator: Emulator, count: int) -> None:
    unthrottle(emulator)
    emulator.world.graph.page_size, emulator.world.graph.empty_pages = 1000, False
    kind = "#microsoft.graph.groupAssignmentTarget"
    emulator.world.intune.set_rows(EMPTY, [{"target": {"@odata.type": kind, "groupId": guid(n)}} for n in range(count)])


async def creates(rig: Rig, count: int, there: int) -> list:
    return await together(rig, *(creation(there + number) for number in range(count)))


async def one_edit(rig: Rig, count: int, there: int) -> list:
    edits = [{"create": {"assignment": {"target": group(there + number)}}} for number in range(count)]
    return [await rig.call("EditComplianceAssignments", {"deviceCompliancePolicyId": EMPTY, "edits": edits}, timeout=60)]


async def replaces(rig: Rig, count: int, there: int) -> list:
    wanted = [{"target": group(there // 2 + number)} for number in range(count)]
    request = {"deviceCompliancePolicyId": EMPTY, "assignments": wanted}
    return [await rig.call("ReplaceComplianceAssignments", request, timeout=60)]


async def lists(rig: Rig, count: int, there: int) -> list:
    request = {"deviceCompliancePolicyId": EMPTY, "pageSize": 1000}
    return await asyncio.gather(*(rig.call("ListComplianceAssignments", request, timeout=60) for _ in range(count)))


async def gets(rig: Rig, count: int, there: int) -> list:
    request = {"deviceCompliancePolicyId": EMPTY, "deviceCompliancePolicyAssignmentId": f"{EMPTY}_{guid(0)}"}
    async with callers(rig, 1 + count // 100) as these:
        asking = (these[n % len(these)].call("GetComplianceAssignment", request, timeout=60) for n in range(count))
        return await asyncio.gather(*asking)


Load = Callable[[Rig, int, int], Awaitable[list]]
LOADS = [
    pytest.param(one_edit, 500, 0, id="an edit of 500 with new questions"),
    pytest.param(lists, 3, 2000, id="lists of 2,000 rows"),
    pytest.param(creates, 1000, 0, marks=LARGE, id="1,000 creates at once"),
    pytest.param(creates, 100, 5000, marks=LARGE, id="100 creates on 5,000 rows"),
    pytest.param(one_edit, 1000, 1000, marks=LARGE, id="an edit of 1,000 on 1,000 rows"),
    pytest.param(replaces, 1000, 1000, marks=LARGE, id="a replacement of 1,000 rows"),
    pytest.param(gets, 3000, 1, marks=LARGE, id="3,000 reads at once"),
]


@pytest.mark.parametrize(("load", "count", "there"), LOADS)
async def test_nothing_holds_the_loop_for_long(live: Emulator, load: Load, count: int, there: int):
    rows(live, there)
    (live.folder / "new-questions.cedar").write_text(RULES)
    rules = {"authorization": {"rules_file": str(live.folder / "new-questions.cedar")}}
    many = {"server": {"in_flight": {"writes": 5000, "reads": 5000}}}
    async with watched(live, **MERGE, **rules, **many) as (rig, dog):
        answers = await load(rig, count, there)
    assert not [answer for answer in answers if isinstance(answer, Failure)]
    assert dog.longest < LONGEST_S, f"{dog.longest:.3f} s"


async def test_the_watchdog_sees_a_stall(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.pace.SLICE_S", 10.0)
    monkeypatch.setattr("gateway.pace.STEPS", 10**9)
    rows(live, 0)
    async with watched(live, **MERGE) as (rig, dog):
        await one_edit(rig, 1000, 0)
    assert dog.longest > LONGEST_S / 4


@LARGE
async def test_ten_times_what_graph_takes_holds_nothing(live: Emulator):
    """A thousand creates on 200 policies, three times: most are refused with a time to retry."""
    live.world.graph.page_size, live.world.graph.empty_pages = 1000, False
    policies = [f"policy-{number}" for number in range(200)]
    for policy in policies:
        live.world.intune.add_policy(policy, policy, [])
    async with watched(live, graph={"create_route": "assign", **LIVE_QUOTA}) as (rig, dog), callers(rig, 5) as clients:
        answers = []
        for burst in range(3):
            numbers = range(1000 * burst, 1000 * (burst + 1))
            asking = (create(clients[n % 5], group(n), policies[n % 200], timeout=10) for n in numbers)
            answers += await asyncio.gather(*asking)
    refused = [answer for answer in answers if isinstance(answer, Failure)]
    assert len(refused) > 1000
    assert dog.longest < LONGEST_S, f"{dog.longest:.3f} s"
