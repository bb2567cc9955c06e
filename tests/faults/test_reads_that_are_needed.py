"""Reads are not wasted: requests for a policy of many pages are counted, and the gateway's own quota makes no outcome
unknown."""

import asyncio

import pytest
from at_rest import groups
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import create, created, group, guid
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

ROWS = 2000
GRAPH = {"create_route": "assign", "read_back_s": 30}


@pytest.fixture
def large(live: Emulator) -> Emulator:
    """Two thousand rows in pages of a hundred."""
    live.world.graph.page_size, live.world.graph.empty_pages = 100, False
    rows = [{"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(n)}} for n in range(ROWS)]
    live.world.intune.set_rows(EMPTY, rows)
    return live


def reads(rig: Rig) -> int:
    return sum(request["method"] == "GET" for request in rig.emulator.world.requests)


async def test_a_create_on_two_thousand_rows_takes_twenty_five_reads_at_most(large: Emulator):
    async with gateway(large, graph=GRAPH) as rig:
        for number in range(2):
            known = reads(rig)
            assert isinstance(await create(rig, group(ROWS + number)), Assignment)
            assert reads(rig) - known <= 25
    assert len(groups(large)) == ROWS + 2


async def test_fifty_creates_at_once_take_thirty_reads_at_most(large: Emulator):
    """The first create would go alone and the others after it, but all have come before the first round begins."""
    async with gateway(large, graph=GRAPH) as rig:
        answers = await asyncio.gather(*(create(rig, group(ROWS + number)) for number in range(50)))
        taken = reads(rig)
        assert len(created(answers)) == 50
        print(f"{taken} reads, {len(rig.writes())} writes")
        assert taken <= 30
    assert len(groups(large)) == ROWS + 50


async def test_waiting_for_our_own_quota_makes_no_outcome_unknown(live: Emulator):
    """Four policies of many small pages, and a quota for which a look waits longer than the time-out for an answer of
    Graph's."""
    live.world.graph.page_size, live.world.graph.empty_pages = 2, True
    policies = [f"policy-{i}" for i in range(4)]
    for policy in policies:
        live.world.intune.add_policy(policy, policy, [])
    quota = {"requests_per_20s": 100, "writes_per_20s": 100}
    async with gateway(live, graph=GRAPH | {"read_back_s": 60} | quota) as rig:
        request = {"deviceCompliancePolicyId": "", "assignment": {"target": {}}}
        calls = [
            rig.call(
                "CreateComplianceAssignment",
                request | {"deviceCompliancePolicyId": policies[i % 4], "assignment": {"target": group(i)}},
                timeout=120,
            )
            for i in range(80)
        ]
        answers = await asyncio.gather(*calls)
    assert [answer for answer in answers if not isinstance(answer, Assignment)] == []
    assert sum(len(groups(live, policy)) for policy in policies) == 80
