"""The effect log, from which other tests judge, has every write that was carried out, with the whole sets, and nothing else."""

import pytest
from emulator_client import DEVICES, USERS, Client, target
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.intune import Effect
from gateway.emulator.seeds import EMPTY, GROUP, MACOS, WINDOWS


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


async def test_every_change_is_an_effect_with_the_whole_set_before_and_after(client: Client):
    rows = client.emulator.world.intune.policies[WINDOWS].rows
    await client.assign(WINDOWS, DEVICES, by="mine")
    await client.control("PUT", f"/policies/{WINDOWS}/assignments", [USERS])
    ours, foreign = await client.control("GET", "/effects")
    assert (ours["policy"], ours["by"], ours["before"]) == (WINDOWS, "mine", rows)
    assert [row["target"] | DEVICES["target"] == row["target"] for row in ours["after"]] == [True, False], (
        "and the policy set's"
    )
    assert (foreign["policy"], foreign["by"], foreign["before"]) == (WINDOWS, "control", ours["after"])
    assert foreign["after"] == (await client.control("GET", "/state"))["policies"][WINDOWS]["assignments"]
    assert ours["at"] <= foreign["at"] <= client.emulator.world.clock.now()


async def test_a_write_that_changes_nothing_is_an_effect_and_a_refused_one_is_none(client: Client):
    await client.assign(EMPTY, by="nothing")
    await client.assign(EMPTY, target("foo"), by="refused")
    [effect] = client.emulator.world.intune.effects
    assert (effect.by, effect.before, effect.after) == ("nothing", [], [])


async def test_who_sends_no_id_is_known_by_graphs(client: Client):
    _, _, headers = await client.assign(EMPTY, DEVICES)
    assert client.emulator.world.intune.effects[0].by == headers["request-id"] == headers["client-request-id"]


async def test_the_documented_routes_have_effects_too(documented: Emulator):
    async with graph_session(documented) as session:
        client = Client(documented, session)
        _, row, _ = await client.send("POST", f"/{EMPTY}/assignments", target("group", groupId=GROUP), by="create")
        await client.send("PATCH", f"/{EMPTY}/assignments/{row['id']}", target("exclusionGroup", groupId=GROUP), by="update")
        await client.send("DELETE", f"/{EMPTY}/assignments/{row['id']}", by="delete")
    found = [(e.by, len(e.before), len(e.after), e.before == e.after) for e in documented.world.intune.effects]
    assert found == [("create", 0, 1, False), ("update", 1, 1, False), ("delete", 1, 0, False)]


async def test_a_reset_empties_it_and_what_a_policy_starts_with_is_no_effect(client: Client):
    await client.assign(EMPTY, DEVICES)
    await client.control("POST", "/reset")
    await client.control("POST", "/policies", {"id": "new", "displayName": "new", "assignments": [DEVICES]})
    assert await client.control("GET", "/effects") == []


async def test_rows_that_stay_to_the_letter_are_shared_by_all_effects(client: Client):
    intune = client.emulator.world.intune
    await client.assign(MACOS, DEVICES, USERS)
    await client.assign(MACOS, USERS, DEVICES)
    first, second = intune.effects
    assert isinstance(first, Effect)
    assert first.after is second.before
    assert [second.after[0] is first.after[1], second.after[1] is first.after[0]] == [True, True]
    intune.set_rows(MACOS, [target("scopeTagGroup", n=1)])
    intune.set_rows(MACOS, [target("scopeTagGroup", n=True)])
    assert [str(effect.after[0]["target"]["n"]) for effect in intune.effects[2:]] == ["1", "True"]


TWICE = {
    "included and excluded": (target("group", groupId=GROUP), target("exclusionGroup", groupId=GROUP)),
    "with two filters": tuple(
        target(
            "group",
            groupId=GROUP,
            deviceAndAppManagementAssignmentFilterId=f"{n}1627384-95a6-4b7c-88d9-eafb0c1d2e34",
            deviceAndAppManagementAssignmentFilterType="include",
        )
        for n in (1, 2)
    ),
    "all users and their pseudo group": (USERS, target("group", groupId="ACACACAC-9df4-4c7d-9d50-4ef0226f57a9")),
}


@pytest.mark.parametrize("rows", TWICE.values(), ids=TWICE)
async def test_a_key_twice_can_be_seeded_and_is_served_but_not_sent_back(client: Client, rows: tuple):
    await client.control("PUT", f"/policies/{EMPTY}/assignments", list(rows))
    served = [row for page in await client.pages(f"/{EMPTY}/assignments") for row in page]
    assert [row["target"] | sent["target"] == row["target"] for row, sent in zip(served, rows, strict=True)] == [True, True]
    assert (await client.assign(EMPTY, *served))[0] == 400
    assert (await client.assign(EMPTY, served[1]))[0] in (200, 204)
