"""The emulator behaves as docs/graph.md says of the live service, or is stricter."""

import asyncio

import aiohttp
import pytest
from emulator_client import DEVICES, GRAPH, TYPE, Client
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.control import reset
from gateway.emulator.faults import Fault
from gateway.emulator.model import FILTER_ID, FILTER_TYPE
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, FILTERED, GROUP, MACOS, POLICY_SET_GROUP, WINDOWS


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


async def test_the_documented_routes_do_not_exist_in_the_live_service(client: Client):
    for method, path in (("POST", ""), ("DELETE", "/x"), ("PATCH", "/x"), ("GET", "/x")):
        status, body, _ = await client.send(method, f"/{WINDOWS}/assignments{path}", DEVICES if method != "GET" else None)
        assert (status, body["error"]["code"]) == (400, "No method match route template")
        assert f"http verb {method} for request" in body["error"]["message"]


async def test_assign_replaces_the_whole_set_but_for_policy_sets(client: Client):
    before = client.emulator.world.intune.policies[WINDOWS].rows
    assert len(before) == 5
    status, _, _ = await client.assign(WINDOWS, DEVICES)
    assert status in (200, 204)
    after = client.emulator.world.intune.policies[WINDOWS].rows
    assert {r["target"][TYPE] for r in after} == {f"{GRAPH}allDevicesAssignmentTarget", f"{GRAPH}groupAssignmentTarget"}
    assert after[-1]["target"]["groupId"] == POLICY_SET_GROUP
    assert after[-1] in before


async def test_rows_sent_back_as_beta_shows_them_stay_byte_for_byte(client: Client):
    rows = client.emulator.world.intune.policies[WINDOWS].rows
    await client.assign(WINDOWS, *(r for r in rows if r["source"] == "direct"))
    assert sorted(map(str, client.emulator.world.intune.policies[WINDOWS].rows)) == sorted(map(str, rows))


async def test_an_answer_of_assign_comes_in_three_shapes(client: Client):
    shapes = set()
    for _ in range(6):
        status, body, _ = await client.assign(EMPTY, DEVICES)
        shapes.add((status, body is None))
    assert shapes == {(200, False), (200, True), (204, True)}


async def test_v1_hides_filters_and_source_and_loses_filters_on_write(client: Client):
    _, beta, _ = await client.send("GET", f"/{WINDOWS}?$expand=assignments")
    _, v1, _ = await client.send("GET", f"/{WINDOWS}?$expand=assignments", version="v1.0")
    assert any(row["target"][FILTER_ID] == FILTER for row in beta["assignments"])
    assert all(row.keys() & {"source", "sourceId"} == set() for row in v1["assignments"])
    assert all(FILTER_ID not in row["target"] for row in v1["assignments"])
    rows = [r for r in v1["assignments"] if r["target"].get("groupId") in (GROUP, FILTERED)]
    await client.assign(WINDOWS, *rows, version="v1.0")
    filters = [r["target"][FILTER_TYPE] for r in client.emulator.world.intune.policies[WINDOWS].rows]
    assert set(filters) == {"none"}


async def test_lists_come_in_small_pages_with_empty_ones_between(client: Client):
    pages = [len(page) for page in await client.pages(f"/{WINDOWS}/assignments")]
    assert pages == [2, 0, 2, 0, 1]


GROUP_TARGET = {TYPE: f"{GRAPH}groupAssignmentTarget", "groupId": GROUP}
REFUSED = {
    "E5 no type": ({"groupId": GROUP}, "ModelValidationFailure"),
    "E5 a late type": ({"groupId": GROUP, TYPE: f"{GRAPH}groupAssignmentTarget"}, "ModelValidationFailure"),
    "E5 the abstract type": ({TYPE: f"{GRAPH}deviceAndAppManagementAssignmentTarget"}, "ModelValidationFailure"),
    "E6 an unknown type": ({TYPE: f"{GRAPH}fooTarget"}, "ModelValidationFailure"),
    "an undeclared property": ({**GROUP_TARGET, "x": 1}, "ModelValidationFailure"),
    "E12 no GUID": ({TYPE: f"{GRAPH}groupAssignmentTarget", "groupId": "x"}, "BadRequest"),
    "E15 a GUID as collection": (
        {TYPE: f"{GRAPH}configurationManagerCollectionAssignmentTarget", "collectionId": GROUP},
        "BadRequest",
    ),
    "a filter on an exclusion": (
        {TYPE: f"{GRAPH}exclusionGroupAssignmentTarget", "groupId": GROUP, FILTER_ID: FILTER, FILTER_TYPE: "include"},
        "BadRequest",
    ),
    "a filter without a type": ({**GROUP_TARGET, FILTER_ID: FILTER}, "BadRequest"),
    "a group of a policy set": ({TYPE: f"{GRAPH}groupAssignmentTarget", "groupId": POLICY_SET_GROUP}, "BadRequest"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_bad_row_refuses_the_whole_set_and_changes_nothing(client: Client, case: tuple):
    before = client.emulator.world.intune.policies[WINDOWS].rows
    status, body, _ = await client.assign(WINDOWS, DEVICES, {"target": case[0]})
    assert (status, body["error"]["code"]) == (400, case[1])
    assert client.emulator.world.intune.policies[WINDOWS].rows is before


async def test_duplicates_and_policy_set_rows_are_refused(client: Client):
    exclusion = {TYPE: f"{GRAPH}exclusionGroupAssignmentTarget", "groupId": GROUP.upper()}
    assert (await client.assign(EMPTY, {"target": GROUP_TARGET}, {"target": exclusion}))[0] == 400
    owned = client.emulator.world.intune.policies[WINDOWS].rows[3]
    assert owned["source"] == "policySets"
    assert (await client.assign(WINDOWS, owned))[0] == 400
    assert len(client.emulator.world.intune.policies[WINDOWS].rows) == 5
    assert EXCLUDED in str(client.emulator.world.intune.policies[WINDOWS].rows)


async def test_types_come_in_any_case_without_hash_and_stay_canonical(client: Client):
    await client.assign(EMPTY, {"target": {TYPE: "Microsoft.Graph.ALLDEVICESassignmentTarget"}})
    assert client.emulator.world.intune.policies[EMPTY].rows[0]["target"][TYPE] == f"{GRAPH}allDevicesAssignmentTarget"


async def test_quota_refuses_the_hundred_and_first_write_in_twenty_seconds(client: Client):
    statuses = [(await client.assign(EMPTY))[0] for _ in range(102)]
    assert statuses[:100].count(429) == 0
    assert statuses[100:] == [429, 429]
    seen = [(await client.assign(EMPTY))[2].get("Retry-After") for _ in range(4)]
    assert None in seen
    assert any(value and value.replace(".", "").isdigit() for value in seen)
    assert any(value and value.endswith("GMT") for value in seen)
    client.emulator.world.clock.advance(20.1)
    assert (await client.assign(EMPTY))[0] != 429


async def test_reads_may_answer_the_past(client: Client):
    client.emulator.world.intune.lag = 10
    await client.assign(MACOS)
    assert len((await client.send("GET", f"/{MACOS}/assignments"))[1]["value"]) == 1
    client.emulator.world.clock.advance(11)
    assert (await client.send("GET", f"/{MACOS}/assignments"))[1]["value"] == []


async def test_tokens_are_checked(client: Client):
    for token in ("x", client.token[:-4] + "AAAA"):
        status, body, _ = await client.send("GET", f"/{EMPTY}/assignments", token=token)
        assert (status, body["error"]["code"]) == (401, "InvalidAuthenticationToken")
    client.emulator.world.clock.advance(3600)
    status, body, _ = await client.send("GET", f"/{EMPTY}/assignments")
    assert (status, body["error"]["message"]) == (401, "Lifetime validation failed, the token is expired.")


@pytest.mark.parametrize("path", ["/x/y", "/../x", f"/{EMPTY}/assign/x/y", "/a%2fb/assignments"])
async def test_odd_paths_are_no_policies(client: Client, path: str):
    assert (await client.send("GET", path))[0] in (400, 404)


async def test_both_spellings_of_a_key(client: Client):
    assert (await client.send("GET", f"('{EMPTY}')/assignments"))[0] == 200


async def test_the_documented_routes_do_what_the_documentation_says(documented: Emulator):
    async with graph_session(documented) as session:
        client = Client(documented, session)
        status, row, _ = await client.send("POST", f"/{EMPTY}/assignments", DEVICES)
        assert (status, row["@odata.type"]) == (201, "#microsoft.graph.deviceCompliancePolicyAssignment")
        assert (await client.send("POST", f"/{EMPTY}/assignments", DEVICES))[0] == 409
        key = f"/{EMPTY}/assignments/{row['id']}"
        assert (await client.send("GET", key))[1] == row
        status, changed, _ = await client.send(
            "PATCH", key, {"target": {**DEVICES["target"], FILTER_ID: FILTER, FILTER_TYPE: "include"}}
        )
        assert (status, changed["id"], changed["target"][FILTER_TYPE]) == (200, row["id"], "include")
        assert (await client.send("DELETE", key))[0] == 204
        assert (await client.send("GET", key))[0] == 404
        assert (await client.send("PUT", key))[0] == 405


async def test_a_request_under_way_at_a_reset_is_not_carried_out(client: Client):
    client.emulator.world.faults.order([Fault(method="POST", path="/assign$", delay_s=0.3)])
    late = asyncio.create_task(client.assign(EMPTY, DEVICES))
    await asyncio.sleep(0.1)
    reset(client.emulator.world)
    with pytest.raises(aiohttp.ClientError):
        await late
    assert client.emulator.world.intune.policies[EMPTY].rows == []
