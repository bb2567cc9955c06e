"""$batch: each request is answered separately, and edits of one policy share a write."""

import pytest
from edits_over_the_wire import MERGE, guid
from rest_caller import rest
from rest_mistakes import POLICIES, group

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, MACOS, WINDOWS

SET = f"{POLICIES}/{WINDOWS}/assignments"


def item(name: object, method: str = "GET", url: str = SET, body: object = None, **more: object) -> dict:
    headers = {"headers": {"Content-Type": "application/json"}, "body": body} if body is not None else {}
    return {"id": str(name), "method": method, "url": url, **headers, **more}


async def test_twenty_at_once_share_a_write(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        requests = [item(n, "POST", body=group(n)) for n in range(20)]
        answer = await caller.send("POST", "/beta/$batch", {"requests": requests})
        assert answer.status == 200
        responses = answer.json["responses"]
        assert [r["id"] for r in responses] == [str(n) for n in range(20)]
        assert {r["status"] for r in responses} == {201}
        assert [r["body"]["target"]["groupId"] for r in responses] == [guid(n) for n in range(20)]
        assert all(r["headers"]["Content-Type"] == "application/json" and r["headers"]["Location"] for r in responses)
        assert len({r["headers"]["request-id"] for r in responses}) == 20
        assert len(rig.rows(WINDOWS)) == 25
        assert len(rig.writes()) < 4
        assert {entry.shared_by for entry in rig.entries()} != {1}


async def test_each_is_answered_for_itself(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        requests = [
            item("list"),
            item("get", url=f"{SET}('{WINDOWS}_{GROUP}')"),
            item("taken", "POST", body=group(0, groupId=GROUP)),
            item("bad", "POST", body=group(0, groupId="x")),
            item("missing", "DELETE", f"{SET}/x"),
            item("nowhere", url="/users"),
            item("method", "PUT", body={}),
            item("batch", "POST", "/$batch", {"requests": []}),
            item("type", "POST", body=group(), headers={"content-type": "text/plain"}),
            item("none", "POST"),
            item(
                "key",
                "POST",
                f"{POLICIES}/{EMPTY}/assignments",
                group(),
                headers={"idempotency-key": "k", "prefer": "return=minimal"},
            ),
            item("long", headers={"prefer": "x" * 300}),
            item("removed", "delete", f"{SET}/{WINDOWS}_{GROUP}"),
            item("page", url=f"{POLICIES}/{MACOS}/assignments?$top=1"),
        ]
        answer = await caller.send("POST", "/v1.0/$batch", {"requests": requests}, {"client-request-id": "ours"})
        found = {r["id"]: r for r in answer.json["responses"]}
        assert {name: r["status"] for name, r in found.items()} == {
            "list": 200, "get": 200, "taken": 409, "bad": 400, "missing": 404, "nowhere": 404, "method": 405, "batch": 404,
            "type": 415, "none": 400, "long": 400, "key": 204, "removed": 204, "page": 200,
        }  # fmt: skip
        assert found["bad"]["body"]["error"]["details"][0]["target"] == "target.groupId"
        assert "body" not in found["removed"]
        assert found["method"]["headers"]["Allow"] == "GET, POST"
        assert {entry.correlation_id for entry in rig.entries()} == {"ours"}
        assert [entry.request_id for entry in rig.entries(policy=EMPTY)] == ["k"]
        assert "source" not in found["get"]["body"], "it is v1.0"


async def test_one_after_another_where_they_depend(live: Emulator):
    live.world.faults.order([Fault(method="POST", path=f"{EMPTY}/assign$", status=400, times=1)])
    async with rest(live, **MERGE) as (rig, caller):
        new = f"{SET}/{WINDOWS}_{guid(1)}"
        requests = [
            item(3, "DELETE", new, dependsOn=["2"]),
            item(2, url=new, dependsOn=[1]),
            item(1, "POST", body=group(1)),
            item("fails", "POST", f"{POLICIES}/{EMPTY}/assignments", group()),
            item("so this is not done", "POST", body=group(2), dependsOn=["fails"]),
            item("nor this", body=None, dependsOn=["so this is not done"]),
        ]
        answer = await caller.send("POST", "/beta/$batch", {"requests": requests})
        assert [r["status"] for r in answer.json["responses"]] == [204, 200, 201, 400, 424, 424]
        assert answer.json["responses"][4]["body"]["error"]["code"] == "DEPENDENCY_FAILED"
        assert len(rig.rows(WINDOWS)) == 5


BAD = {
    "no list": ({}, "requests"),
    "nothing in it": ({"requests": []}, "requests"),
    "too many": ({"requests": [item(n) for n in range(21)]}, "requests"),
    "not an object": ({"requests": [7]}, "requests[0]"),
    "no id": ({"requests": [{"method": "GET", "url": "/x"}]}, "requests[0].id"),
    "an id twice": ({"requests": [item(1), item(1)]}, "requests[1].id"),
    "no method": ({"requests": [{"id": "1", "url": "/x"}]}, "requests[0].method"),
    "a url of a host": ({"requests": [item(1, url="https://evil.example/")]}, "requests[0].url"),
    "headers that are none": ({"requests": [item(1, headers=[])]}, "requests[0].headers"),
    "headers that are numbers": ({"requests": [item(1, headers={"x": 1})]}, "requests[0].headers"),
    "a token of its own": ({"requests": [item(1, headers={"Authorization": "Bearer x"})]}, "requests[0].headers"),
    "on what is not there": ({"requests": [item(1, dependsOn=["2"])]}, "requests[0].dependsOn"),
    "on no list": ({"requests": [item(1, dependsOn="1")]}, "requests[0].dependsOn"),
    "on nothing that is a list": ({"requests": [item(1, dependsOn={})]}, "requests[0].dependsOn"),
    "in a circle": ({"requests": [item(1, dependsOn=["2"]), item(2, dependsOn=["1"])]}, "requests"),
    "on itself": ({"requests": [item(1, dependsOn=["1"])]}, "requests"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_batch_is_refused_as_a_whole(live: Emulator, name: str):
    body, place = BAD[name]
    async with rest(live) as (_, caller):
        answer = await caller.send("POST", "/beta/$batch", body)
        assert (answer.status, answer.json["error"]["code"]) == (400, "INVALID_FIELD")
        assert answer.json["error"]["details"][0]["target"] == place
        assert live.world.requests == []


async def test_a_stranger_gets_one_answer(live: Emulator):
    async with rest(live) as (_, caller):
        requests = {"requests": [item(1), item(2)]}
        answer = await caller.send("POST", "/beta/$batch", requests, {"Authorization": "Bearer " + "x" * 40})
        assert (answer.status, answer.json["error"]["code"]) == (401, "CALLER_UNAUTHENTICATED")
        assert (await caller.send("GET", "/beta/$batch")).headers["allow"] == "POST"
