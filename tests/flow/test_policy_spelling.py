"""All spellings of a policy's GUID are the same policy: for rules, writers, leases, page tokens, digests and the ledger."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from edits_over_the_wire import MERGE, guid
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS

SPELLINGS = (WINDOWS, WINDOWS.upper(), WINDOWS.title(), WINDOWS.replace("-", ""))


@pytest.fixture
async def rig(live: Emulator) -> AsyncIterator[Rig]:
    async with gateway(live, **MERGE) as rig:
        yield rig


def create(rig: Rig, policy: str, number: int, **more: object):
    target = {"group": {"groupId": guid(number)}}
    return rig.call(
        "CreateComplianceAssignment", {"deviceCompliancePolicyId": policy, "assignment": {"target": target}, **more}
    )


async def test_a_rule_for_a_policy_is_for_its_every_spelling(live: Emulator):
    rules = live.folder / "not-windows.cedar"
    rules.write_text(
        "permit(principal, action, resource);"
        f'forbid(principal, action, resource) when {{ resource == Policy::"emulator/{WINDOWS}" }};'
    )
    async with gateway(live, authorization={"rules_file": str(rules)}, **MERGE) as rig:
        failures = [await create(rig, policy, 1) for policy in SPELLINGS]
        assert [(failure.status, failure.reason) for failure in failures] == [("PERMISSION_DENIED", "CALLER_NOT_PERMITTED")] * 4
        assert rig.emulator.world.intune.effects == []
        assert {entry.policy for entry in rig.entries()} == {WINDOWS}


async def test_one_writer_and_one_spelling_in_the_ledger(rig: Rig):
    answers = await asyncio.gather(*(create(rig, policy, number) for number, policy in enumerate(SPELLINGS)))
    assert not any(isinstance(answer, Failure) for answer in answers), answers
    ids = {row["id"] for row in rig.rows(WINDOWS)}
    assert {f"{WINDOWS}_{guid(number)}" for number in range(4)} <= ids
    assert {entry.policy for entry in rig.entries()} == {WINDOWS}
    assert {
        request["path"].partition("?")[0].split("/")[4]
        for request in rig.emulator.world.requests
        if "/deviceManagement/" in request["path"]
    } == {WINDOWS}


async def test_the_same_request_in_another_spelling_is_the_same(rig: Rig):
    first = await create(rig, WINDOWS, 1, requestId="one")
    again = await create(rig, WINDOWS.upper(), 1, requestId="one")
    assert again == first
    assert len(rig.emulator.world.intune.effects) == 1


async def test_a_page_token_is_for_every_spelling(rig: Rig):
    request = {"deviceCompliancePolicyId": WINDOWS.upper(), "pageSize": 2}
    page = await rig.call("ListComplianceAssignments", request)
    request = {"deviceCompliancePolicyId": WINDOWS, "pageSize": 2, "pageToken": page.next_page_token}
    assert not isinstance(await rig.call("ListComplianceAssignments", request), Failure)
