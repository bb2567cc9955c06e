"""Other reads of scripts: policies by filter, groups, assignment filters, and what is below a policy."""

import json
from pathlib import Path

import pytest
from emulator_client import TYPE, Client
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.errors import GROUP_ROLE, READ_ROLE
from gateway.emulator.seeds import EMPTY, FILTER, GROUP, MACOS, NAMES, SUMMARIES, WINDOWS

MISSING = "00000000-0000-4000-8000-000000000000"
EVENTUAL = {"ConsistencyLevel": "eventual"}


@pytest.fixture
async def client(live: Emulator):
    live.world.graph.page_size, live.world.graph.empty_pages = 100, False
    async with graph_session(live) as session:
        yield Client(live, session)


async def get(client: Client, path: str, headers: dict | None = None, version: str = "beta") -> tuple:
    async with client.session.get(f"{client.emulator.root}/{version}/{path}", headers=headers) as response:
        text = await response.text()
        return response.status, json.loads(text) if response.content_type == "application/json" else text


def ids(body: dict) -> list[str]:
    return [one["id"] for one in body["value"]]


POLICIES = {
    "displayName eq 'iOS: passcode'": [EMPTY],
    "displayName eq 'IOS: PASSCODE'": [EMPTY],
    "startswith(displayName,'macOS')": [MACOS],
    "contains(displayName,':') and not startswith(displayName,'iOS')": [WINDOWS, MACOS],
    "isof('microsoft.graph.windows10CompliancePolicy')": [WINDOWS],
    "isof('microsoft.graph.iosCompliancePolicy') or (version ge 1 and displayName ne 'iOS: passcode')": [WINDOWS, MACOS, EMPTY],
    f"id in ('{MACOS}', '{EMPTY}')": [MACOS, EMPTY],
    "displayName eq 'O''Brien'": [],
}


@pytest.mark.parametrize(("text", "found"), POLICIES.items(), ids=POLICIES)
async def test_policies_are_filtered(client: Client, text: str, found: list[str]):
    status, body = await get(client, f"deviceManagement/deviceCompliancePolicies?$filter={text}&$count=true")
    assert (status, ids(body), body["@odata.count"]) == (200, found, len(found))


WRONG = {
    "$filter=displayName": "Invalid filter clause: Syntax error",
    "$filter=displayName eq 'x": "Invalid filter clause: Syntax error",
    "$filter=name eq 'x'": "Could not find a property named 'name'",
    "$filter=displayName eq 'x' bogus": "Invalid filter clause",
    "$orderby=nothing": "Could not find a property named 'nothing'",
    "$count=yes": "Invalid value 'yes' for $count",
    "$expand=nothing": "Parsing OData Select and Expand failed",
    "$top=-1": "Invalid value '-1' for $top",
    "$apply=x": "The query parameter '$apply' is not supported",
}


@pytest.mark.parametrize(("options", "said"), WRONG.items(), ids=WRONG)
async def test_what_odata_does_not_know_is_refused(client: Client, options: str, said: str):
    status, body = await get(client, f"deviceManagement/deviceCompliancePolicies?{options}")
    assert (status, body["error"]["code"]) == (400, "BadRequest")
    assert said in body["error"]["message"]


async def test_policies_are_sorted_paged_and_counted(client: Client):
    _, body = await get(client, "deviceManagement/deviceCompliancePolicies?$orderby=displayName desc&$top=2&$select=id")
    assert ids(body) == [WINDOWS, MACOS]
    path = body["@odata.nextLink"].removeprefix(f"{client.emulator.root}/beta/")
    _, rest = await get(client, path)
    assert (ids(rest), "@odata.nextLink" in rest) == ([EMPTY], False)
    assert await get(client, "deviceManagement/deviceCompliancePolicies/$count") == (200, "3")


async def test_assignments_take_the_options_too(client: Client):
    where = f"deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments"
    _, body = await get(client, f"{where}?$select=id&$count=true&$top=2&$filter=source eq 'direct'")
    assert (body["@odata.count"], [one.keys() for one in body["value"]]) == (4, [{"id"}, {"id"}])


async def test_actions_expand_with_their_configurations(client: Client):
    expand = "assignments,scheduledActionsForRule($expand=scheduledActionConfigurations)"
    _, body = await get(client, f"deviceManagement/deviceCompliancePolicies/{MACOS}?$expand={expand}")
    (rule,) = body["scheduledActionsForRule"]
    assert rule["scheduledActionConfigurations"][0]["actionType"] == "block"
    assert body["scheduledActionsForRule@odata.context"].endswith("macOSCompliancePolicy/scheduledActionsForRule")
    assert len(body["assignments"]) == 1
    path = f"deviceManagement/deviceCompliancePolicies/{MACOS}/scheduledActionsForRule"
    _, plain = await get(client, path)
    _, expanded = await get(client, f"{path}?$expand=scheduledActionConfigurations")
    assert [one.keys() for one in plain["value"]] == [{"id", "ruleName"}]
    assert expanded["value"] == [rule]


@pytest.mark.parametrize("name", ["deviceStatuses", "userStatuses", "deviceSettingStateSummaries"])
async def test_statuses_are_lists(client: Client, name: str):
    status, body = await get(client, f"deviceManagement/deviceCompliancePolicies/{MACOS}/{name}")
    assert (status, body["value"]) == (200, [])
    assert (await get(client, f"deviceManagement/deviceCompliancePolicies/{MISSING}/{name}"))[0] == 404


async def test_overviews_are_objects(client: Client):
    _, body = await get(client, f"deviceManagement/deviceCompliancePolicies/{MACOS}/deviceStatusOverview")
    assert (body["successCount"], body["configurationVersion"]) == (0, 1)


async def test_filters_are_of_beta(client: Client):
    _, body = await get(client, "deviceManagement/assignmentFilters?$select=id,displayName")
    assert body["value"] == [{"id": FILTER, "displayName": "Corporate Windows"}]
    _, one = await get(client, f"deviceManagement/assignmentFilters/{FILTER}")
    assert (one["platform"], one["assignmentFilterManagementType"]) == ("windows10AndLater", "devices")
    assert (await get(client, f"deviceManagement/assignmentFilters/{MISSING}"))[0] == 404
    assert (await get(client, "deviceManagement/assignmentFilters", version="v1.0"))[0] == 400


async def test_summaries(client: Client):
    _, body = await get(client, "deviceManagement/deviceCompliancePolicySettingStateSummaries")
    assert body["value"] == SUMMARIES


async def test_groups_by_name_and_id(client: Client):
    _, body = await get(client, f"groups?$filter=displayName eq '{NAMES[GROUP]}'&$select=id,displayName")
    assert body["value"] == [{"id": GROUP, "displayName": NAMES[GROUP]}]
    assert body["@odata.context"].endswith("$metadata#groups(id,displayName)")
    for path in (f"groups/{GROUP}", f"groups('{GROUP}')", f"groups/{GROUP.upper()}"):
        assert (await get(client, path))[1]["displayName"] == NAMES[GROUP]
    _, pages = await get(client, "groups?$top=2")
    assert len(pages["value"]) == 2
    assert pages["@odata.nextLink"]


ADVANCED = {
    'groups?$search="displayName:sales"': 1,
    "groups?$filter=endswith(displayName,'ices')&$count=true": 1,
    "groups?$filter=displayName ne 'x'&$count=true": 5,
}


@pytest.mark.parametrize(("path", "count"), ADVANCED.items(), ids=ADVANCED)
async def test_an_advanced_query_needs_its_header(client: Client, path: str, count: int):
    status, body = await get(client, path)
    assert (status, body["error"]["code"]) == (400, "Request_UnsupportedQuery")
    status, body = await get(client, path, EVENTUAL)
    assert (status, len(body["value"])) == (200, count)


async def test_groups_are_counted_with_the_header(client: Client):
    assert (await get(client, "groups/$count"))[0] == 400
    assert await get(client, "groups/$count", EVENTUAL) == (200, "5")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"groups/{MISSING}", 404, "Request_ResourceNotFound"),
        ("groups/nonsense", 400, "Request_BadRequest"),
        ("groups?$top=1000", 400, "Request_UnsupportedQuery"),
        (f"groups/{GROUP}/members", 400, "BadRequest"),
    ],
)
async def test_the_directory_has_codes_of_its_own(client: Client, path: str, status: int, code: str):
    got, body = await get(client, path)
    assert (got, body["error"]["code"]) == (status, code)


async def by_ids(client: Client, body: object) -> tuple:
    async with client.session.post(f"{client.emulator.root}/v1.0/directoryObjects/getByIds", json=body) as response:
        return response.status, await response.json()


async def test_objects_by_their_ids(client: Client):
    status, body = await by_ids(client, {"ids": [GROUP, MISSING], "types": ["group"]})
    assert (status, ids(body), body["value"][0][TYPE]) == (200, [GROUP], "#microsoft.graph.group")
    assert (await by_ids(client, {"ids": ["x"]}))[0] == 400
    assert (await by_ids(client, {"ids": [GROUP] * 1001}))[0] == 400
    assert (await by_ids(client, {}))[0] == 400
    assert (await by_ids(client, {"ids": [GROUP], "types": ["user"]}))[1]["value"] == []


async def test_what_the_app_may_not(live: Emulator):
    live.world.entra.app.roles = [READ_ROLE]
    async with graph_session(live) as session:
        client = Client(live, session)
        for path in ("groups", f"groups/{GROUP}"):
            status, body = await get(client, path)
            assert (status, body["error"]["code"]) == (403, "Authorization_RequestDenied")
        assert (await by_ids(client, {"ids": [GROUP]}))[0] == 403
    live.world.entra.app.roles = ["User.Read.All"]
    async with graph_session(live) as session:
        status, body = await by_ids(Client(live, session), {"ids": [GROUP]})
        assert (status, body["value"][0]["id"], body["value"][0]["displayName"]) == (200, GROUP, None)
    live.world.entra.app.roles = [GROUP_ROLE]
    async with graph_session(live) as session:
        assert (await get(Client(live, session), "groups"))[0] == 200
        assert (await get(Client(live, session), "deviceManagement/assignmentFilters"))[0] in (401, 403)


async def test_the_directory_has_a_quota_of_its_own(client: Client):
    client.emulator.world.graph.throttle.app_requests = 0
    assert (await get(client, "groups"))[0] == 200
    client.emulator.world.graph.throttle.directory_requests = 1
    async with client.session.get(f"{client.emulator.root}/v1.0/groups") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "20")


async def test_seeds_and_what_is_kept(tmp_path: Path):
    policy = {TYPE: "#microsoft.graph.iosCompliancePolicy", "id": "p", "displayName": "seeded", "passcodeRequired": True}
    seeds = tmp_path / "seeds.json"
    seeds.write_text(json.dumps({"policies": [policy], "groups": [{"id": MISSING, "displayName": "one"}]}))
    options = {"state": tmp_path / "state", "seeds": seeds, "keep_objects": True}
    async with Emulator(**options) as emulator, graph_session(emulator) as session:
        client = Client(emulator, session)
        _, body = await get(client, "deviceManagement/deviceCompliancePolicies")
        assert [(one["id"], one["passcodeRequired"]) for one in body["value"]] == [("p", True)]
        assert ids((await get(client, "groups"))[1]) == [MISSING]
        await client.assign("p", {"target": {TYPE: "#microsoft.graph.allDevicesAssignmentTarget"}})
    async with Emulator(**options) as emulator, graph_session(emulator) as session:
        _, body = await get(Client(emulator, session), "deviceManagement/deviceCompliancePolicies/p?$expand=assignments")
        assert (len(body["assignments"]), body["passcodeRequired"]) == (1, True)


POLICY = (
    '{"policies": [{"id": "x", "displayName": "x", "@odata.type": "#microsoft.graph.iosCompliancePolicy", "assignments": %s}]}'
)
WRONG = ["[]", '{"policy": []}', '{"groups": [{}]}', '{"policies": [{"id": "x"}]}', "x"]
WRONG += [
    '{"groups": [{"id": 1, "displayName": "x"}]}',
    POLICY % '"x"',
    POLICY % "[1]",
    POLICY % "[{}]",
    POLICY % '[{"target": 1}]',
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_seeds_are_refused(tmp_path: Path, text: str):
    (tmp_path / "seeds.json").write_text(text)
    with pytest.raises(ValueError, match=r"seeds\.json"):
        Emulator(seeds=tmp_path / "seeds.json")
