"""The quota as callers see it: a refusal says which window is full and when to retry, and the retry is then served."""

import asyncio
import json
import math
import re
from pathlib import Path

import tomli_w
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import group
from rest_caller import rest
from rig import Rig, gateway, outcome

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "writes_per_20s": 20}


async def create(rig: Rig, number: int, timeout: float):
    return (await created(rig, number, timeout))[0]


async def created(rig: Rig, number: int, timeout: float):
    """Creates, and also returns the trailers."""
    policy = f"policy-{number}"
    if policy not in rig.emulator.world.intune.policies:
        rig.emulator.world.intune.add_policy(policy, policy, [])
    request = {"deviceCompliancePolicyId": policy, "assignment": {"target": group(number)}}
    fields = {"requestId": f"00000000-0000-4000-8000-{number:012}"}
    return await rig.exchange("CreateComplianceAssignment", request | fields, timeout=timeout)


async def test_who_is_refused_is_told_the_window_and_served_at_the_time_it_was_told(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        assert isinstance(await create(rig, 0, 60), Assignment)
        others = [asyncio.create_task(create(rig, number, 60)) for number in range(1, 5)]
        await asyncio.sleep(0.3)
        refused = await create(rig, 5, 1)
        assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXHAUSTED")
        assert refused.window == "window:writes"
        assert (refused.metadata["window"], refused.metadata["reserved"]) == ("writes", "true")
        again, trailers = await created(rig, 5, 0.9)
        assert trailers["ratelimit"] == f'"writes";r=0;t={math.ceil(again.retry_after)}', "its own time, not that of the next"
        assert abs(again.retry_after - refused.retry_after) < 1, "it has its time already"
        await asyncio.sleep(again.retry_after)
        assert isinstance(await create(rig, 5, 60), Assignment)
        assert [type(answer) for answer in await asyncio.gather(*others)] == [Assignment] * 4


async def test_the_quota_can_be_seen_at_every_door(live: Emulator):
    async with gateway(live, graph=GRAPH) as rig:
        await create(rig, 0, 60)
        quota = await rig.call("GetQuota", {})
        writes, requests = quota.windows
        assert (writes.name, writes.ceiling, writes.limit, writes.share, writes.used) == ("writes", 20, 20, 20, 1)
        assert [(one.used, one.waiting, one.share) for one in writes.callers] == [(1, 0, 20)]
        assert requests.used > 1
    async with rest(live, graph=GRAPH) as (_, caller):
        reply = await caller.send("GET", "/quota")
        assert [window["name"] for window in reply.json["windows"]] == ["writes", "requests"]


async def test_answers_say_what_is_left_of_the_callers_own_share(live: Emulator):
    async with rest(live, graph=GRAPH) as (_, caller):
        path = f"/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assignments"
        read = await caller.send("GET", path)
        assert read.headers["ratelimit-policy"] == '"requests";q=1000000;w=20'
        body = {"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}
        written = await caller.send("POST", path, body)
        assert written.headers["ratelimit-policy"] == '"writes";q=20;w=20'
        assert written.headers["ratelimit"].startswith('"writes";r=')


async def test_reads_that_are_passed_on_say_it_too(live: Emulator):
    few = {"requests_per_20s": 4, "writes_per_20s": 1}
    async with rest(live, graph=few) as (_, caller):
        read = await caller.send("GET", "/v1.0/groups")
        assert read.headers["ratelimit-policy"] == '"requests";q=4;w=20'
        assert read.headers["ratelimit"].startswith('"requests";r=')
        batch = {"requests": [{"id": "1", "method": "GET", "url": "/groups"}]}
        [item] = (await caller.send("POST", "/v1.0/$batch", batch)).json["responses"]
        assert item["headers"]["ratelimit-policy"] == '"requests";q=4;w=20'
        refused = read
        while refused.status == 200:
            refused = await caller.send("GET", "/v1.0/groups", headers={"Prefer": "wait=1"})
        assert (refused.status, refused.json["error"]["code"]) == (429, "QUOTA_EXHAUSTED")
        assert refused.headers["ratelimit"] == f'"requests";r=0;t={refused.headers["retry-after"]}'


async def test_the_command_shows_what_the_admin_door_has(live: Emulator, tmp_path: Path):
    async with gateway(live, graph=GRAPH) as rig:
        await create(rig, 0, 60)
        (tmp_path / "secret").write_text("s")
        (tmp_path / "rules.cedar").write_text("")
        credentials = [{"kind": "secret", "file": "secret"}]
        ids = dict.fromkeys(("tenant_id", "client_id"), "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f")
        config = {
            "server": {"admin": rig.admin_address},
            "callers": {"static": {"demo": "sha256:" + "0" * 64}},
            "authorization": {"rules_file": "rules.cedar"},
            "tenants": {"contoso": {**ids, "cloud": "global", "credentials": credentials}},
        }
        file = tmp_path / "gateway.toml"
        file.write_text(tomli_w.dumps(config))
        for number in range(1, 30):  # a slow machine may begin the commands when the create is 20 s ago
            (one, told, _), (two, text, _) = [await outcome("quota", "--config", str(file), *more) for more in (["--json"], [])]
            assert (one, two) == (0, 0)
            [tenant] = json.loads(told).values()
            if tenant["windows"][0]["used"] and re.search(r"[1-9] / 20\b", text):
                break
            await create(rig, number, 60)
        assert tenant["windows"][0]["used"] > 0
        assert "writes" in text
    status, _, why = await outcome("quota", "--config", str(file))
    assert status == 1
    assert "is the gateway running" in why
