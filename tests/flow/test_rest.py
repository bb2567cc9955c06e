"""What only REST has: spellings, versions, headers, bodies, and errors in Graph's form."""

import gzip
import json
import uuid
import zlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from conftest import as_new
from edits_over_the_wire import MERGE, guid
from rest_caller import RestCaller, rest
from rest_mistakes import FILTER_ID as ID
from rest_mistakes import FILTER_TYPE as KIND
from rest_mistakes import MISTAKES, POLICIES, ROW, SET, group
from rig import Rig, gateway, logged

from gateway.cli.emulator import tenant_of
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import FILTER, FILTERED, WINDOWS

FILTERED_ROW = f"{WINDOWS}_{FILTERED}"

SPELLINGS = [
    f"/beta{POLICIES}/{WINDOWS}/assignments/{FILTERED_ROW}",
    f"/beta{POLICIES}('{WINDOWS}')/assignments('{FILTERED_ROW}')",
    f"/beta{POLICIES}('{WINDOWS}')/assignments/{FILTERED_ROW}",
    f"/beta{POLICIES}%28%27{WINDOWS}%27%29/assignments%28%27{FILTERED_ROW}%27%29",
    f"/BETA{POLICIES.lower()}/{WINDOWS}/ASSIGNMENTS/{FILTERED_ROW}",
]


@pytest.mark.parametrize("path", SPELLINGS)
async def test_both_spellings_of_a_key(live: Emulator, path: str):
    async with rest(live) as (_, caller):
        assert (await caller.send("GET", path)).json["id"] == FILTERED_ROW


async def test_v1_shows_no_filter_and_its_edits_keep_filters(live: Emulator):
    v1 = f"/v1.0{POLICIES}/{WINDOWS}"
    rows = live.world.intune.policies[WINDOWS]
    async with rest(live, **MERGE) as (_, caller):
        shown = (await caller.send("GET", f"{v1}/assignments")).json
        assert shown["@odata.context"].startswith(f"{caller.root}/v1.0/$metadata#deviceManagement/")
        assert len(shown["value"]) == 5
        text = json.dumps(shown)
        assert not any(name in text for name in (ID, KIND, "source", "policySets"))
        before = json.dumps(rows.rows)

        sent_back = [row for row in shown["value"] if "40516273" not in row["id"]]
        assert (await caller.send("POST", f"{v1}/assign", {"assignments": sent_back})).status == 200
        assert json.dumps(rows.rows) == before, "a set that is read through v1.0 and sent back changes nothing"

        answer = await caller.send("PATCH", f"{v1}/assignments/{FILTERED_ROW}", group(7))
        assert answer.json["target"] == {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(7)}
        [moved] = [row for row in rows.rows if row["target"].get("groupId") == guid(7)]
        assert (moved["target"][ID], moved["target"][KIND]) == (FILTER, "include")

        for method, path, body in (
            ("POST", "assignments", group(8, **{ID: FILTER, KIND: "include"})),
            ("POST", "assign", {"assignments": [group(8, **{KIND: "exclude"})]}),
            ("POST", "assignments?ifExists=replace", group(8)),
        ):
            refused = await caller.send(method, f"{v1}/{path}", body)
            assert (refused.status, refused.json["error"]["code"]) == (400, "INVALID_FIELD")
            assert "use beta" in refused.json["error"]["message"]


async def test_properties_that_nobody_knows_are_shown_and_survive(live: Emulator):
    before = json.dumps(live.world.intune.policies[WINDOWS].rows[4])
    async with rest(live, **MERGE) as (rig, caller):
        rows = (await caller.send("GET", SET)).json["value"]
        assert rows[4]["note"] == "a property that no client knows"
        assert rows[4]["target"]["weights"] == [1.1, 12345678901234567890123]
        assert next(iter(rows[4]["target"])) == next(iter(rows[4])) == "@odata.type"
        mine = [row for row in rows if row["source"] == "direct"]
        answer = await caller.send("POST", f"/beta{POLICIES}/{WINDOWS}/assign", {"assignments": [*mine, group()]})
        assert (answer.status, len(answer.json["value"])) == (200, 6)
        assert json.dumps(next(row for row in rig.rows(WINDOWS) if "note" in row)) == before


async def test_pages_are_followed_by_their_links(live: Emulator):
    async with rest(live, server={"public_url": "https://gateway.example/graph"}) as (_, caller):
        path, ids, pages = f"{SET}?$top=2", [], 0
        while path:
            page = (await caller.send("GET", path)).json
            ids += [row["id"] for row in page["value"]]
            link = page.get("@odata.nextLink", "")
            assert not link or link.startswith("https://gateway.example/graph/beta/")
            path, pages = link.removeprefix("https://gateway.example/graph"), pages + 1
        assert (len(ids), len(set(ids)), pages) == (5, 5, 3)


async def test_the_filter_alone_is_changed_by_a_patch_that_names_nothing_else(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        path = f"{SET}('{FILTERED_ROW}')"
        changed = await caller.send("PATCH", path, {"target": {ID: guid(3), KIND: "exclude"}})
        assert (changed.json["target"]["groupId"], changed.json["target"][ID]) == (FILTERED, guid(3))
        removed = await caller.send("PATCH", path, {"target": {ID: None, KIND: "none"}})
        assert ID not in removed.json["target"]
        assert len(rig.rows(WINDOWS)) == 5


async def test_ids_and_preferences(live: Emulator):
    ours, key = str(uuid.uuid4()), str(uuid.uuid4())
    async with rest(live, **MERGE) as (rig, caller):
        headers = {"client-request-id": ours, "Idempotency-Key": key}
        created = await caller.send("POST", SET, group(), headers)
        assert created.status == 201
        assert created.headers["location"].endswith(f"{POLICIES}('{WINDOWS}')/assignments('{created.json['id']}')")
        assert (created.headers["client-request-id"], created.headers["compliance-gateway-request-id"]) == (ours, key)
        [entry] = rig.entries(any_id=ours)
        assert (entry.id, entry.request_id) == (created.headers["request-id"], key)

        again = await caller.send("POST", SET, group(), headers)
        assert (again.status, again.json) == (201, created.json)
        assert again.headers["compliance-gateway-warning"].startswith(f'REPLAYED; request_id="{key}"; began_at="20')
        reused = await caller.send("POST", SET, group(2), headers)
        assert (reused.status, reused.json["error"]["code"]) == (400, "REQUEST_ID_REUSED")
        assert reused.json["error"]["details"][0]["target"] == "Idempotency-Key"
        assert reused.json["error"]["innerError"]["client-request-id"] == ours
        assert len(rig.writes()) == 1

        minimal = await caller.send("POST", SET, group(3), {"Prefer": "respond-async, return=minimal"})
        assert (minimal.status, minimal.json, minimal.headers["preference-applied"]) == (204, None, "return=minimal")
        assert minimal.headers["odata-entityid"] == minimal.headers["location"]
        for headers, status in (({"If-None-Match": "*"}, 409), ({"Prefer": "wait=0"}, 504)):
            assert (await caller.send("POST", SET, group(), headers)).status == status
        location = created.headers["location"].removeprefix(caller.root)
        assert (await caller.send("DELETE", location, headers={"If-Match": "*"})).status == 204


async def test_the_tenant_is_named_by_its_header(live: Emulator):
    async with rest(live, tenants={"emulator": tenant_of(live), "second": tenant_of(live)}) as (_, caller):
        assert (await caller.send("GET", SET)).json["error"]["code"] == "TENANT_REQUIRED"
        assert (await caller.send("GET", SET, headers={"x-graph-tenant": "second"})).status == 200
        assert (await caller.send("GET", SET, headers={"x-graph-tenant": "third"})).json["error"]["code"] == "TENANT_UNKNOWN"


GOOD = json.dumps(group()).encode()
TYPES = [
    "application/json",
    "Application/JSON;charset=UTF-8",
    'application/json; odata.metadata=minimal; IEEE754Compatible="true"',
]
BODIES = {
    **{kind: ({"Content-Type": kind}, GOOD) for kind in TYPES},
    "with a byte order mark": ({}, b"\xef\xbb\xbf" + GOOD),
    "gzip": ({"Content-Encoding": "gzip"}, gzip.compress(GOOD)),
    "deflate": ({"Content-Encoding": "deflate"}, zlib.compress(GOOD)),
    "gzip in gzip": ({"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(GOOD))),
    "a type without its #": ({}, GOOD.replace(b"#", b"")),
    "an id and a source that nobody asked for": (
        {},
        json.dumps({**group(), "id": "x", "source": "direct", "sourceId": "s"}).encode(),
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_bodies_that_are_taken(live: Emulator, name: str):
    headers, data = BODIES[name]
    async with rest(live, **MERGE) as (rig, caller):
        answer = await caller.send("POST", SET, data=data, headers={"Content-Type": "application/json", **headers})
        assert answer.status == 201, answer.json
        assert len(rig.rows(WINDOWS)) == 6


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def door(live_emulator: Emulator) -> AsyncIterator[tuple[Rig, RestCaller]]:
    """One gateway for all wrong requests: none of them changes anything."""
    async with rest(as_new(live_emulator), **MERGE) as found:
        yield found


@pytest.mark.parametrize("name", MISTAKES)
async def test_what_is_refused_is_named(door: tuple[Rig, RestCaller], live: Emulator, name: str):
    (method, path, data, headers), status, code, places = MISTAKES[name]
    before = json.dumps(live.world.intune.policies[WINDOWS].rows)
    rig, caller = door
    answer = await caller.send(method, path, data=data, headers=headers)
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (status, code), error
    assert [detail["target"] for detail in error.get("details", [])] == places
    assert all(f"{place}: " in error["message"] for place in places)
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    assert rig.writes() == []
    assert ("allow" in answer.headers) == (status == 405)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert (await caller.send("GET", SET)).status == 200, "it serves on"
    assert json.dumps(live.world.intune.policies[WINDOWS].rows) == before


async def test_the_methods_of_a_path(live: Emulator):
    async with rest(live) as (_, caller):
        for path, allowed in (
            (SET, "GET, POST"),
            (ROW, "DELETE, GET, PATCH"),
            ("/beta/$batch", "POST"),
            ("/docs", "GET, HEAD"),
        ):
            assert (await caller.send("PUT", path)).headers["allow"] == allowed


async def test_a_retry_is_asked_for_in_whole_seconds(live: Emulator):
    live.world.faults.order([Fault(method="GET", path="/assignments", status=429, retry_after="30.2")])
    async with rest(live) as (rig, caller):
        by_graph = await caller.send("GET", SET, headers={"Prefer": "wait=1"})
        assert (by_graph.status, by_graph.json["error"]["code"]) == (429, "GRAPH_THROTTLED")
        assert by_graph.headers["retry-after"] == "31"
        by_us = await caller.send("GET", SET, headers={"Prefer": "wait=1"})
        assert (by_us.status, by_us.json["error"]["code"]) == (429, "QUOTA_EXHAUSTED"), "what was learnt of it"
        wait = by_us.headers["retry-after"]
        assert 1 <= int(wait) <= 31
        assert by_us.headers["ratelimit"] == f'"requests";r=0;t={wait}', "the draft wants one moment in both"
        assert len(rig.emulator.world.requests) == 1


@pytest.mark.parametrize("confirmed", [{"allowEmpty": True}, {"expectedCount": 4}])
async def test_an_empty_set_is_refused_in_words_of_rest_and_what_they_recommend_works(live: Emulator, confirmed: dict):
    path = f"/beta{POLICIES}/{WINDOWS}/assign"
    async with rest(live, **MERGE) as (_, caller):
        refused = (await caller.send("POST", path, {"assignments": []})).json["error"]
        assert (refused["code"], refused["details"][0]["target"]) == ("INVALID_FIELD", "assignments")
        for text in (refused["message"], refused["details"][0]["message"]):
            assert "allowEmpty or expectedCount" in text
            assert "_" not in text
        assert (await caller.send("POST", path, {"assignments": [], **confirmed})).status == 200


@pytest.mark.parametrize("confirmed", [{"allowEmpty": True}, {"expectedCount": 4}])
async def test_an_empty_set_is_refused_in_words_of_grpc_and_what_they_recommend_works(live: Emulator, confirmed: dict):
    async with gateway(live, **MERGE) as rig:
        refused = await rig.call("ReplaceComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})
        assert (refused.status, refused.fields) == ("INVALID_ARGUMENT", ["assignments"])
        assert "allow_empty or expected_count" in refused.message
        done = await rig.call("ReplaceComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS, **confirmed})
        assert not getattr(done, "reason", "")


TEMPLATE = f"/beta{POLICIES}/{{device_compliance_policy_id}}/assignments"
SECRET_PATH = f"/beta/deviceManagement/canary-{'x' * 40}"
# What is asked; how the log says so, and whether it knows the caller.
NOWHERE = {
    "a path that leads nowhere": (("GET", SECRET_PATH, ...), ("GET", None, "ROUTE_UNKNOWN", False)),
    "a method that a path has not": (("PUT", SET, ...), ("PUT", TEMPLATE, "METHOD_NOT_ALLOWED", False)),
    "a page that is only read": (("POST", "/healthz", ...), ("POST", None, "METHOD_NOT_ALLOWED", False)),
    "a method that no API has": (("PROPFIND", SECRET_PATH, ...), ("other", None, "ROUTE_UNKNOWN", False)),
    "a batch that is none": (("POST", "/beta/$batch", {"requests": 1}), ("POST", "/{version}/$batch", "INVALID_FIELD", True)),
    "an item that leads nowhere": (
        ("POST", "/beta/$batch", {"requests": [{"id": "1", "method": "GET", "url": "/canary"}]}),
        ("GET", None, "ROUTE_UNKNOWN", True),
    ),
}


@pytest.mark.parametrize("name", NOWHERE)
async def test_what_leads_to_no_operation_is_a_line_in_the_log(live: Emulator, name: str):
    (method, path, data), (told, template, outcome, is_known) = NOWHERE[name]
    async with rest(live) as (_, caller):
        with logged() as lines:
            await caller.send(method, path, data)
    assert "canary" not in "".join(lines)
    [line] = [line for line in map(json.loads, lines) if line["message"] == "refused"]
    assert (line["method"], line.get("path"), line["outcome"]) == (told, template, outcome)
    assert (line["peer"], line.get("caller")) == ("127.0.0.1", "demo" if is_known else None)
