"""Behaviour that no source confirms has a switch, and each switch works both ways."""

from dataclasses import fields

import pytest
from emulator_client import DEVICES, Client, target
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, GROUP, POLICY_SET_GROUP, SCOPE_GROUP, WINDOWS
from gateway.emulator.unconfirmed import Unconfirmed


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


FILTERED = {"deviceAndAppManagementAssignmentFilterId": FILTER, "deviceAndAppManagementAssignmentFilterType": "include"}
OWNED = {"source": "policySets", **target("group", groupId=POLICY_SET_GROUP)}
REFUSED_UNLESS = {
    "duplicates": ([target("group", groupId=GROUP), target("exclusionGroup", groupId=GROUP)], "ignore", EMPTY, 1),
    "policy_set_rows": ([DEVICES, OWNED], "adopt", WINDOWS, 2),
    "filter_rules": ([target("exclusionGroup", groupId=EXCLUDED, **FILTERED)], False, EMPTY, 1),
}


@pytest.mark.parametrize("switch", REFUSED_UNLESS)
async def test_what_is_refused_can_be_let_through(client: Client, switch: str):
    rows, other, policy, count = REFUSED_UNLESS[switch]
    assert (await client.assign(policy, *rows))[0] == 400
    await client.control("PUT", "/unconfirmed", {switch: other})
    assert (await client.assign(policy, *rows))[0] in (200, 204)
    assert len(client.emulator.world.intune.policies[policy].rows) == count
    assert {row["source"] for row in client.emulator.world.intune.policies[policy].rows} == {"direct"}


async def test_one_row_can_be_read_where_that_is_switched_on(client: Client):
    [row] = [row for row in client.emulator.world.intune.policies[WINDOWS].rows if row["target"].get("groupId") == GROUP]
    assert (await client.send("GET", f"/{WINDOWS}/assignments/{row['id']}"))[0] == 400
    await client.control("PUT", "/unconfirmed", {"row_reads": True})
    status, body, _ = await client.send("GET", f"/{WINDOWS}/assignments/{row['id']}")
    assert (status, body["id"]) == (200, row["id"])
    assert (await client.send("DELETE", f"/{WINDOWS}/assignments/{row['id']}"))[0] == 400


async def test_the_seeds_are_without_what_is_made_up_where_that_is_switched_off(client: Client):
    await client.control("PUT", "/unconfirmed", {"made_up": False})
    await client.control("POST", "/reset")
    row = client.emulator.world.intune.policies[WINDOWS].rows[4]
    assert row.keys() == {"id", "source", "sourceId", "target"}
    assert {"targetType": "user", "entraObjectId": SCOPE_GROUP}.items() <= row["target"].items()
    assert "weights" not in row["target"]


async def test_a_wrong_switch_is_refused(client: Client):
    for wrong in ({"duplicates": "maybe"}, {"filter_rules": 1}, {"colour": True}):
        await client.control("PUT", "/unconfirmed", wrong, status=400)
    assert client.emulator.world.unconfirmed == Unconfirmed()


def test_each_switch_says_what_is_not_confirmed():
    assert all(f"{field.name}:" in (Unconfirmed.__doc__ or "") for field in fields(Unconfirmed))


SCOPE = {
    "as documented": ({"targetType": "device", "entraObjectId": GROUP}, 200),
    "with another property": ({"targetType": "user", "entraObjectId": GROUP, "scopeTagId": "7"}, 400),
    "with a group id": ({"targetType": "user", "groupId": GROUP}, 400),
    "of no such type": ({"targetType": "all", "entraObjectId": GROUP}, 400),
}


@pytest.mark.parametrize("case", SCOPE.values(), ids=SCOPE)
async def test_the_scope_tag_target_is_as_documented(client: Client, case: tuple):
    status, _, _ = await client.assign(EMPTY, target("scopeTagGroup", **case[0]))
    assert (200 if status == 204 else status) == case[1]


@pytest.mark.parametrize("case", ["acacacac-9df4-4c7d-9d50-4ef0226f57a9", "ACACACAC-9DF4-4C7D-9D50-4EF0226F57A9"])
async def test_the_pseudo_group_of_all_users_has_the_id_of_the_row_of_all_users(client: Client, case: str):
    assert (await client.assign(EMPTY, target("group", groupId=case)))[0] in (200, 204)
    [row] = client.emulator.world.intune.policies[EMPTY].rows
    assert row["id"].lower() == f"{EMPTY}_acacacac-9df4-4c7d-9d50-4ef0226f57a9"
    assert (await client.assign(EMPTY, target("group", groupId=case), target("allLicensedUsers")))[0] == 400
