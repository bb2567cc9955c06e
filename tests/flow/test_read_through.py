"""Reads that are passed on to Graph: who may make them, what is sent, what is returned, and what is never passed on."""

import gzip
import json
import secrets

import aiohttp
import pytest
from rig import gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.errors import READ_ROLE, WRITE_ROLE
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, FILTER, GROUP, MACOS, NAMES, WINDOWS

POLICIES = "deviceManagement/deviceCompliancePolicies"
SUMMARIES = "deviceManagement/deviceCompliancePolicySettingStateSummaries"


@pytest.fixture
async def caller(live: Emulator):
    live.world.graph.page_size, live.world.graph.empty_pages = 100, False
    async with gateway(live, server={"rest": "127.0.0.1:0"}) as rig:
        yield Script(rig)


class Script:
    """A client as scripts are: a root URL, a token, and any path."""

    def __init__(self, rig) -> None:
        self.rig, self.root = rig, f"http://{rig.rest_address}"

    async def send(self, path: str, method: str = "GET", body: object = None, **headers: str) -> tuple:
        own = {"Authorization": f"Bearer {self.rig.token}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        url = path if path.startswith("http") else f"{self.root}/{path}"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(method, aiohttp.client.URL(url, encoded=True), json=body, headers=own) as answer,
        ):
            data = await answer.read()
            data = gzip.decompress(data) if answer.headers.get("Content-Encoding") == "gzip" and data else data
            text = data.decode()
            return (
                answer.status,
                json.loads(text) if "json" in answer.headers.get("Content-Type", "") and text else text,
                answer,
            )

    @property
    def asked(self) -> list[dict]:
        return self.rig.emulator.world.requests


READS = {
    f"beta/{POLICIES}": lambda body: [one["id"] for one in body["value"]] == [WINDOWS, MACOS, EMPTY],
    f"v1.0/{POLICIES}?$filter=startswith(displayName,'iOS')&$count=true": lambda body: body["@odata.count"] == 1,
    f"beta/{POLICIES}/{WINDOWS}?$expand=assignments": lambda body: len(body["assignments"]) == 5,
    f"beta/{POLICIES}('{MACOS}')": lambda body: body["id"] == MACOS,
    f"beta/{POLICIES}/{MACOS}/scheduledActionsForRule?$expand=scheduledActionConfigurations": lambda body: body["value"],
    f"beta/{POLICIES}/{MACOS}/deviceStatuses": lambda body: body["value"] == [],
    f"beta/{POLICIES}/{WINDOWS}/assignments?$select=id&$count=true": lambda body: body["@odata.count"] == 5,
    f"beta/{POLICIES}/$count": lambda body: body == "3",
    f"beta/{POLICIES}/{WINDOWS}?expand=assignments&Select=id": lambda body: len(body["assignments"]) == 5,
    f"beta/{POLICIES}/{WINDOWS}/assignments?top=2": lambda body: len(body["value"]) == 2,
    f"beta/{POLICIES}/{WINDOWS}/assignments?$Top=2": lambda body: len(body["value"]) == 2,
    f"beta/{POLICIES}/{WINDOWS}/assignments?select=id": lambda body: {*body["value"][0]} == {"id"},
    "beta/deviceManagement/assignmentFilters": lambda body: body["value"][0]["id"] == FILTER,
    f"v1.0/{SUMMARIES}": lambda body: len(body["value"]) == 1,
    f"v1.0/groups?$filter=displayName%20eq%20'{NAMES[GROUP].replace(' ', '+')}'": lambda body: body["value"][0]["id"] == GROUP,
    f"v1.0/groups/{GROUP}?$select=id,displayName": lambda body: body["displayName"] == NAMES[GROUP],
    f"groups/{GROUP}": lambda body: body["id"] == GROUP,
    f"BETA/DEVICEMANAGEMENT/ASSIGNMENTFILTERS/{FILTER}/": lambda body: body["id"] == FILTER,
}


@pytest.mark.parametrize(("path", "right"), READS.items(), ids=READS)
async def test_reads_are_passed_on(caller: Script, path: str, right):
    with logged() as lines:
        status, body, answer = await caller.send(path, Accept_Encoding="gzip")
    assert (status, bool(right(body))) == (200, True), body
    assert caller.rig.emulator.root not in json.dumps(body)
    assert answer.headers["Server"] == "compliance-gateway"
    told = [json.loads(line) for line in lines if '"call"' in line]
    assert [(one["operation"], one["outcome"]) for one in told] == [("ReadThrough", "OK")]
    assert told[0]["id"] == answer.headers["request-id"]
    sent = caller.asked[-1]["headers"]
    assert caller.rig.token not in json.dumps(sent)


async def test_pages_are_followed_to_the_end(caller: Script):
    found, link = [], f"beta/{POLICIES}?$top=1&$select=id"
    while link:
        _, body, _ = await caller.send(link)
        assert body["@odata.context"].startswith(f"{caller.root}/beta/$metadata#")
        found += [one["id"] for one in body["value"]]
        link = body.get("@odata.nextLink")
        assert link is None or link.startswith(f"{caller.root}/beta/{POLICIES}?")
    assert found == [WINDOWS, MACOS, EMPTY]


async def test_the_rest_of_an_expanded_list_is_graphs_own(caller: Script):
    graph = caller.rig.emulator.world.graph
    graph.page_size, graph.expand_pages = 2, True
    _, body, _ = await caller.send(f"beta/{POLICIES}/{WINDOWS}?$expand=assignments")
    rows, link = body["assignments"], body["assignments@odata.nextLink"]
    while link:
        _, body, _ = await caller.send(link)
        rows, link = rows + body["value"], body.get("@odata.nextLink")
    assert len({row["id"] for row in rows}) == 5


async def test_a_prefix_is_taken_off_and_stays_in_links(live: Emulator):
    async with gateway(live, server={"rest": "127.0.0.1:0"}, rest={"prefixes": ["/localtest"]}) as rig:
        script = Script(rig)
        _, body, _ = await script.send(f"localtest/beta/{POLICIES}?$top=1")
        assert body["@odata.nextLink"].startswith(f"{script.root}/localtest/beta/")
        assert (await script.send(body["@odata.nextLink"]))[0] == 200
        assert (await script.send(f"localtest/beta/{POLICIES}/{EMPTY}/assignments"))[0] == 200
        assert (await script.send("elsewhere/beta/groups"))[0] == 404


async def test_headers_go_by_a_list(caller: Script):
    order = {"ETag": 'W/"7"', "Set-Cookie": "canary=1", "x-ms-ags-diagnostic": "canary", "Location": "/x"}
    caller.rig.emulator.world.faults.order([Fault(path="groups", headers=order | {"Location": ""})])
    _, _, answer = await caller.send(
        "v1.0/groups?$search=%22displayName:sales%22",
        ConsistencyLevel="eventual",
        Prefer="odata.maxpagesize=5, wait=20",
        Cookie="canary=2",
        X_Forwarded_For="canary",
        If_None_Match='W/"6"',
    )
    assert (answer.status, answer.headers["ETag"]) == (200, 'W/"7"')
    assert "canary" not in str(answer.headers)
    sent = {name.lower(): value for name, value in caller.asked[-1]["headers"].items()}
    assert (sent["consistencylevel"], sent["prefer"], sent["if-none-match"]) == ("eventual", "odata.maxpagesize=5", 'W/"6"')
    assert "canary" not in str(sent)


async def test_what_has_not_changed_is_not_sent_again(caller: Script):
    caller.rig.emulator.world.faults.order([Fault(path="groups", status=304, headers={"ETag": '"7"'})])
    status, body, answer = await caller.send(f"v1.0/groups/{GROUP}", If_None_Match='"7"')
    assert (status, body, answer.headers.get("ETag")) == (304, "", '"7"'), answer.headers


@pytest.mark.parametrize("path", [f"beta/{POLICIES}", f"beta/{POLICIES}/{WINDOWS}/assignments", "healthz"])
async def test_head_is_a_get_without_a_body(caller: Script, path: str):
    status, body, _ = await caller.send(path, "HEAD")
    assert (status, body) == (200, "")


GRAPHS = {
    "v1.0/groups?$filter=nothing": (400, "BadRequest"),
    f"v1.0/groups/{FILTER}": (404, "Request_ResourceNotFound"),
    f"beta/{POLICIES}/{FILTER}": (404, "ResourceNotFound"),
}


@pytest.mark.parametrize(("path", "told"), GRAPHS.items(), ids=GRAPHS)
async def test_what_graph_says_of_the_request_is_passed_on(caller: Script, path: str, told: tuple):
    status, body, _ = await caller.send(path)
    assert (status, body["error"]["code"]) == told


async def test_a_permission_that_the_app_lacks_is_the_gateways(live: Emulator):
    live.world.entra.app.roles = [READ_ROLE, WRITE_ROLE]
    async with gateway(live, server={"rest": "127.0.0.1:0"}) as rig:
        status, body, _ = await Script(rig).send("v1.0/groups")
        assert (status, body["error"]["code"]) == (400, "GRAPH_PERMISSION_MISSING")
        assert "GroupMember.Read.All" in body["error"]["message"]
        assert (await Script(rig).send(f"beta/{POLICIES}"))[0] == 200


NOWHERE = {
    ("POST", f"beta/{POLICIES}"): (405, "METHOD_NOT_ALLOWED"),
    ("DELETE", f"beta/{POLICIES}/{WINDOWS}"): (405, "METHOD_NOT_ALLOWED"),
    ("PUT", f"beta/{POLICIES}/{WINDOWS}/assignments"): (405, "METHOD_NOT_ALLOWED"),
    ("PATCH", f"v1.0/groups/{GROUP}"): (405, "METHOD_NOT_ALLOWED"),
    ("POST", "v1.0/directoryObjects/getByIds"): (404, "ROUTE_UNKNOWN"),
    ("GET", "v1.0/users"): (404, "ROUTE_UNKNOWN"),
    ("GET", f"v1.0/groups/{GROUP}/members"): (404, "ROUTE_UNKNOWN"),
    ("GET", "v1.0/groups?$expand=members"): (400, "INVALID_FIELD"),
    ("GET", "v1.0/groups?expand=members"): (400, "INVALID_FIELD"),
    ("GET", "v1.0/groups?$format=xml"): (400, "INVALID_FIELD"),
    ("GET", f"beta/{POLICIES}/{WINDOWS}/assignments/$count?$filter=source%20eq%20'direct'"): (400, "INVALID_FIELD"),
}


@pytest.mark.parametrize(("asked", "told"), NOWHERE.items(), ids=map(" ".join, NOWHERE))
async def test_everything_else_is_refused_and_never_reaches_graph(caller: Script, asked: tuple, told: tuple):
    method, path = asked
    status, body, _ = await caller.send(path, method, {} if method != "GET" else None)
    assert (status, body["error"]["code"]) == told
    if told[0] != 400:
        assert "{id}/assign" in body["error"]["message"], "what is served is told"
    assert caller.asked == []


async def test_who_may_read_policies_need_not_be_able_to_read_groups(live: Emulator):
    rules = live.folder / "some-may-read.cedar"
    rules.write_text("""
        permit (principal, action == Action::"ReadThrough", resource) when { context.kind == "assignmentFilters" };
        permit (principal, action == Action::"ReadThrough", resource)
          when { context.path like "deviceManagement/deviceCompliancePolicies*" };
    """)
    async with gateway(live, server={"rest": "127.0.0.1:0"}, authorization={"rules_file": str(rules)}) as rig:
        script = Script(rig)
        for path in (f"beta/{POLICIES}", f"beta/{POLICIES}/{WINDOWS}", "beta/deviceManagement/assignmentFilters"):
            assert (await script.send(path))[0] == 200
        hidden = ("v1.0/groups", f"beta/{POLICIES}?$expand=assignments", f"beta/{POLICIES}/{WINDOWS}/assignments?$select=id")
        before = len(script.asked)
        for path in hidden:
            status, body, _ = await script.send(path)
            assert (status, body["error"]["code"]) == (403, "CALLER_NOT_PERMITTED")
        assert len(script.asked) == before
        assert {(entry.operation, entry.policy) for entry in rig.entries()} == {("ReadThrough", ""), ("ReadThrough", WINDOWS)}
        async with aiohttp.ClientSession() as session, session.get(f"{script.root}/v1.0/groups") as answer:
            assert answer.status == 401


async def test_an_answer_that_is_too_large_is_not_taken_for_a_whole_one(live: Emulator):
    async with gateway(live, server={"rest": "127.0.0.1:0"}, rest={"most_read_bytes": 1024}) as rig:
        status, body, _ = await Script(rig).send(f"beta/{POLICIES}")
        assert (status, body["error"]["code"]) == (503, "GRAPH_ANSWER_UNREADABLE")


async def test_a_large_answer_that_breaks_off_breaks_off_here(live: Emulator):
    groups = live.world.graph.trees.directory
    for number in range(990):
        groups.add({"id": f"{number:08x}-0000-4000-8000-000000000000", "displayName": secrets.token_hex(500)})
    live.world.graph.page_size = 999
    async with gateway(live, server={"rest": "127.0.0.1:0"}, rest={"most_read_bytes": 1_500_000}) as rig:
        with pytest.raises(aiohttp.ClientPayloadError):
            await Script(rig).send("v1.0/groups")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "text/html"])
async def test_a_link_to_another_place_is_never_passed_on(caller: Script, kind: str):
    wrong = {"@odata.nextLink": "https://elsewhere.example/v1.0/groups", "value": []}
    caller.rig.emulator.world.faults.order([Fault(path="groups", status=200, body=wrong, headers={"Content-Type": kind})])
    status, body, _ = await caller.send("v1.0/groups")
    assert (status, body["error"]["code"]) == (503, "GRAPH_ANSWER_UNREADABLE")


async def test_reads_are_counted_in_the_quota_and_asked_again(caller: Script):
    caller.rig.emulator.world.faults.order(
        [Fault(path="groups", status=503), Fault(path="groups", status=429, retry_after="0")]
    )
    assert (await caller.send("v1.0/groups"))[0] == 200
    assert len(caller.asked) == 3


async def test_a_batch_as_scripts_have_it(caller: Script):
    requests = [
        {"id": 1, "method": "GET", "url": f"{POLICIES}/{WINDOWS}/assignments"},
        {"id": 2, "method": "GET", "url": f"/groups/{GROUP}?$select=id"},
        {"id": 3, "method": "GET", "url": f"{POLICIES}/{WINDOWS}/assignments/$count"},
        {"id": 4, "method": "GET", "url": "/users"},
    ]
    _, body, _ = await caller.send("beta/%24batch", "POST", {"requests": requests})
    found = {one["id"]: one for one in body["responses"]}
    assert [found[str(number)]["status"] for number in (1, 2, 3, 4)] == [200, 200, 200, 404]
    assert (len(found["1"]["body"]["value"]), found["2"]["body"]["id"], found["3"]["body"]) == (5, GROUP, 5)


async def test_assignments_are_counted(caller: Script):
    assert (await caller.send(f"beta/{POLICIES}/{WINDOWS}/assignments/$count"))[:2] == (200, "5")


async def test_a_preferred_size_of_page(caller: Script):
    _, body, answer = await caller.send(f"beta/{POLICIES}/{WINDOWS}/assignments", Prefer="odata.maxpagesize=2")
    assert (len(body["value"]), answer.headers["Preference-Applied"]) == (2, "odata.maxpagesize=2")
    assert "$top=2" in body["@odata.nextLink"]


async def test_pages_of_a_browser(live: Emulator):
    origin = "https://portal.example"
    async with gateway(live, server={"rest": "127.0.0.1:0"}, rest={"cors_origins": [origin]}) as rig:
        script = Script(rig)
        asked = {"Origin": origin, "Access_Control_Request_Method": "GET"}
        status, _, answer = await script.send("v1.0/groups", "OPTIONS", **asked)
        assert (status, answer.headers["Access-Control-Allow-Origin"]) == (204, origin)
        for path in ("v1.0/groups", f"beta/{POLICIES}/{WINDOWS}/assignments"):
            _, _, answer = await script.send(path, Origin=origin)
            assert answer.headers["Access-Control-Allow-Origin"] == origin
            _, _, answer = await script.send(path, Origin="https://other.example")
            assert "Access-Control-Allow-Origin" not in answer.headers
        assert (await script.send("v1.0/groups", "OPTIONS", **asked | {"Origin": "https://other.example"}))[0] == 405


async def test_further_paths_are_configured(live: Emulator):
    more = ["users/{id}", "deviceManagement/deviceConfigurations/{id}/assignments/$count"]
    async with gateway(live, server={"rest": "127.0.0.1:0"}, rest={"read_through": more}) as rig:
        script = Script(rig)
        for path in (one.replace("{id}", GROUP) for one in more):
            status, body, _ = await script.send(f"v1.0/{path}")
            assert (status, body["error"]["code"]) == (400, "BadRequest"), "Graph was asked"
            assert script.asked[-1]["path"] == f"/v1.0/{path}"
