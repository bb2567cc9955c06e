"""Nothing waits between the read that a write is built upon and the write's request: every wait is before that read, or leads
to another read."""

import asyncio
import sqlite3
import time
from itertools import groupby
from typing import Any

import pytest
from at_rest import groups, groups_of, until
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import ASSIGN, LIST, create, group, guid
from rig import Rig, gateway

from gateway.assignments import policy
from gateway.assignments import round as rounds
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "read_back_s": 10}
FOREIGN = {"target": {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(99)}}
TOKEN = {"method": "POST", "path": "oauth2/v2.0/token"}
REFUSED = {"error": {"code": "InvalidAuthenticationToken", "message": "Lifetime validation failed, the token is expired."}}


@pytest.fixture
def one_page(live: Emulator) -> Emulator:
    live.world.graph.page_size = 100
    return live


def turns(rig: Rig) -> list[str]:
    """The methods of the requests, with reads in a row as one."""
    return [method for method, _ in groupby(request["method"] for request in rig.emulator.world.requests)]


def built_upon_what_was_there(rig: Rig) -> bool:
    """Whether every write kept all groups that it found when it took effect."""
    effects = rig.emulator.world.intune.effects
    return all(e.by == "control" or groups_of(e.before) <= groups_of(e.after) for e in effects)


async def test_after_a_refused_token_it_reads_anew(one_page: Emulator):
    """The next token takes a second to come; somebody else writes meanwhile."""
    async with gateway(one_page, graph=GRAPH) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        one_page.world.requests.clear()
        one_page.world.faults.order([Fault(**ASSIGN, status=401, body=REFUSED), Fault(**TOKEN, delay_s=1)])
        creating = asyncio.create_task(create(rig, group(1)))
        await until(rig.writes)
        await until(lambda: not one_page.world.faults.waiting)
        one_page.world.intune.set_rows(EMPTY, [*rig.rows(EMPTY), FOREIGN])
        assert isinstance(await creating, Assignment)
        assert turns(rig) == ["GET", "POST", "GET", "POST", "GET"]
        assert built_upon_what_was_there(rig)
    assert groups(one_page) == {guid(0), guid(1), guid(99)}


async def test_a_token_that_ends_while_we_read_is_not_fetched_before_the_write(one_page: Emulator):
    """Tokens live for 12 s and are used for 2 s. A read takes 2.5 s, and so does the token endpoint."""
    one_page.world.entra.app.lifetime = 12
    async with gateway(one_page, graph=GRAPH) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        one_page.world.requests.clear()
        known = one_page.world.entra.token_requests
        one_page.world.faults.order([Fault(**LIST, delay_s=2.5), Fault(**TOKEN, delay_s=2.5, times=9)])
        creating = asyncio.create_task(create(rig, group(1)))
        await until(lambda: one_page.world.requests and one_page.world.requests[0]["status"])
        await asyncio.sleep(0.6)
        one_page.world.intune.set_rows(EMPTY, [*rig.rows(EMPTY), FOREIGN])
        assert isinstance(await creating, Assignment)
        assert one_page.world.entra.token_requests > known
        assert built_upon_what_was_there(rig)
    assert groups(one_page) == {guid(0), guid(1), guid(99)}


async def test_a_quota_that_is_used_up_is_waited_for_before_the_read(one_page: Emulator):
    """There is a turn for a request every 1.1 s: the write already has its turn when the gateway reads. No watch takes turns
    meanwhile."""
    quota = {"requests_per_20s": 18, "writes_per_20s": 1000, "lag_s": 60.0, "late_s": 60.0}
    async with gateway(one_page, graph=GRAPH | quota) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        one_page.world.requests.clear()
        creating = asyncio.create_task(create(rig, group(1)))
        await until(lambda: one_page.world.requests and one_page.world.requests[0]["status"])
        await asyncio.sleep(0.6)
        one_page.world.intune.set_rows(EMPTY, [*rig.rows(EMPTY), FOREIGN])
        assert isinstance(await creating, Assignment)
        assert [request["method"] for request in one_page.world.requests][:2] == ["GET", "POST"]
        assert built_upon_what_was_there(rig)
    assert groups(one_page) == {guid(0), guid(1), guid(99)}


async def test_others_may_write_a_policy_while_a_turn_for_it_is_waited_for(one_page: Emulator):
    one_page.world.intune.add_policy("other", "other", [])
    async with gateway(one_page, graph=GRAPH | {"writes_per_20s": 2}) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        creating = asyncio.create_task(create(rig, group(1), policy="other"))
        await until_waiting(rig)
        with sqlite3.connect(rig.ledger.url.removeprefix("sqlite:///")) as ledger:
            assert ledger.execute("SELECT count(*) FROM leases WHERE policy = 'other' AND owner <> 0").fetchone() == (0,)
        assert isinstance(await creating, Assignment)


async def until_waiting(rig: Rig) -> None:
    """Waits until a write waits for its turn."""
    async with asyncio.timeout(9):
        while not (await rig.call("GetQuota", {})).windows[0].waiting:
            await asyncio.sleep(0.02)


async def test_a_throttled_write_is_not_sent_again_as_it_was(one_page: Emulator):
    async with gateway(one_page, graph=GRAPH) as rig:
        one_page.world.faults.order([Fault(**ASSIGN, status=429, retry_after="1")])
        creating = asyncio.create_task(create(rig, group(1)))
        await until(lambda: rig.writes() and rig.writes()[0]["status"])
        one_page.world.intune.set_rows(EMPTY, [FOREIGN])
        assert isinstance(await creating, Assignment)
        assert turns(rig) == ["GET", "POST", "GET", "POST", "GET"]
    assert groups(one_page) == {guid(1), guid(99)}


async def test_after_a_pause_between_read_and_write_it_reads_anew(one_page: Emulator, monkeypatch: pytest.MonkeyPatch):
    """The process is paused between the two; somebody else writes meanwhile."""
    monkeypatch.setattr(policy, "COMMIT_S", 1.0)
    merging, pauses = rounds.merging, [1.5]

    def paused(*given: Any) -> Any:
        if pauses:
            one_page.world.intune.set_rows(EMPTY, [FOREIGN])
            time.sleep(pauses.pop())
        return merging(*given)

    monkeypatch.setattr(rounds, "merging", paused)
    async with gateway(one_page, graph=GRAPH) as rig:
        assert isinstance(await create(rig, group(1)), Assignment)
        assert not pauses
        assert built_upon_what_was_there(rig)
    assert groups(one_page) == {guid(1), guid(99)}


async def test_a_write_is_not_sent_after_another_was_told_that_the_window_is_closed(one_page: Emulator):
    """The write already has its turn, and is still reading when Graph refuses the other write."""
    one_page.world.intune.add_policy("other", "other", [])
    told = asyncio.Event()
    async with gateway(one_page, graph=GRAPH) as rig:
        assert isinstance(await create(rig, group(0)), Assignment)
        one_page.world.requests.clear()
        of_other = Fault(method="POST", path="other/assign$", status=429, retry_after="60")
        one_page.world.faults.order([Fault(method="GET", path=f"{EMPTY}/assignments", until=told), of_other])
        creating = asyncio.create_task(create(rig, group(1)))
        await until(lambda: one_page.world.requests)
        refused = await create(rig, group(2), policy="other")
        told.set()
        assert (refused.reason, (await creating).reason) == ("GRAPH_THROTTLED", "GRAPH_THROTTLED")
        assert len(rig.writes()) == 1
    assert groups(one_page) == {guid(0)}


async def test_a_redirect_of_a_write_is_not_followed(one_page: Emulator):
    """The redirected request would be sent later than the read allows."""
    elsewhere = f"{one_page.root}/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assign"
    async with gateway(one_page, graph=GRAPH | {"max_attempts": 1}) as rig:
        one_page.world.faults.order([Fault(**ASSIGN, status=307, headers={"Location": elsewhere})])
        assert not isinstance(await create(rig, group(1)), Assignment)
        assert len(rig.writes()) == 1
    assert groups(one_page) == set()
