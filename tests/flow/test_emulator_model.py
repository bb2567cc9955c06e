"""The emulated Graph accepts every row that it has served, and refuses unknown types and properties with the errors in
docs/graph.md. Tests can make it refuse known ones."""

import json

import pytest
from emulator_client import DEVICES, TYPE, Client, target
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


def undeclared(name: str, type_name: str) -> str:
    return (
        f"The property '{name}' does not exist on type 'microsoft.management.services.api.{type_name}'. "
        "Make sure to only use property names that are defined by the type."
    )


UNKNOWN = {
    "of a group": (target("group", groupId=GROUP, x=1), undeclared("x", "groupAssignmentTarget")),
    "of a group, in another case": (
        target("group", groupId=GROUP, GroupId=GROUP),
        undeclared("GroupId", "groupAssignmentTarget"),
    ),
    "of all devices": (target("allDevices", groupId=GROUP), undeclared("groupId", "allDevicesAssignmentTarget")),
    "of the row": (DEVICES | {"intent": "apply"}, undeclared("intent", "deviceCompliancePolicyAssignment")),
}


@pytest.mark.parametrize("case", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_property_that_is_not_declared_is_refused_flat_and_said_twice(client: Client, case: tuple):
    row, text = case
    status, body, _ = await client.assign(EMPTY, row)
    assert (status, body["error"]["code"], body["error"]["message"]) == (400, "ModelValidationFailure", text)
    assert body["error"]["innerError"]["message"] == text
    assert client.emulator.world.intune.effects == []


async def test_annotations_are_no_properties(client: Client):
    row = target("group", groupId=GROUP, **{"groupId@odata.type": "#String", "@odata.id": "x"}) | {"@odata.etag": "x"}
    assert (await client.assign(EMPTY, row))[0] in (200, 204)


SEEDED = {
    "an unknown type": target("foo", a=[1, {"b": None}]),
    "a type of another namespace": {"target": {TYPE: "#microsoft.other.barTarget", "a": 1}},
    "an unknown property": target("group", groupId=GROUP, x=1),
    "an unknown property of the row": DEVICES | {"x": 1},
    "the abstract type": {"target": {TYPE: "#microsoft.graph.deviceAndAppManagementAssignmentTarget"}},
}


@pytest.mark.parametrize("row", SEEDED.values(), ids=SEEDED)
async def test_what_was_served_can_be_sent_back_and_until_then_is_refused(client: Client, row: dict):
    assert (await client.assign(WINDOWS, row))[0] == 400
    await client.control("PUT", f"/policies/{EMPTY}/assignments", [row])
    [[served]] = await client.pages(f"/{EMPTY}/assignments")
    assert (await client.assign(EMPTY, served))[0] in (200, 204)
    [[again]] = await client.pages(f"/{EMPTY}/assignments")
    assert again["target"] == served["target"]
    assert again | {"id": ""} == served | {"id": ""}
    await client.control("POST", "/reset")
    assert (await client.assign(WINDOWS, row))[0] == 400, "a reset forgets it"


async def test_a_served_type_takes_no_further_property(client: Client):
    await client.control("PUT", f"/policies/{EMPTY}/assignments", [target("foo", a=1)])
    _, body, _ = await client.assign(EMPTY, target("foo", b=1))
    assert body["error"]["message"] == undeclared("b", "fooAssignmentTarget")


E6 = (
    "A type named 'microsoft.graph.scopeTagGroupAssignmentTarget' could not be resolved by the model. "
    "When a model is available, each type name must resolve to a valid type."
)


@pytest.mark.parametrize("name", ["scopeTagGroupAssignmentTarget", "#microsoft.graph.SCOPETAGGroupAssignmentTarget"])
async def test_graph_can_forget_a_type_and_still_serves_it(client: Client, name: str):
    rows = [row for row in client.emulator.world.intune.policies[WINDOWS].rows if row["source"] == "direct"]
    assert (await client.assign(WINDOWS, *rows))[0] in (200, 204)
    await client.control("PUT", "/model", {"refused_types": [name]})
    status, body, _ = await client.assign(WINDOWS, *rows)
    assert (status, body["error"]["message"], body["error"]["innerError"]["message"]) == (400, E6, E6)
    assert sum(len(page) for page in await client.pages(f"/{WINDOWS}/assignments")) == 5
    rest = [row for row in rows if "scopeTag" not in row["target"][TYPE]]
    assert (await client.assign(WINDOWS, *rest))[0] in (200, 204)
    await client.control("PUT", "/model", {"refused_types": []})
    assert (await client.assign(WINDOWS, *rows))[0] in (200, 204)


@pytest.mark.parametrize(
    ("name", "type_name"), [("note", "deviceCompliancePolicyAssignment"), ("weights", "scopeTagGroupAssignmentTarget")]
)
async def test_graph_can_forget_a_property(client: Client, name: str, type_name: str):
    rows = [row for row in client.emulator.world.intune.policies[WINDOWS].rows if row["source"] == "direct"]
    await client.control("PUT", "/model", {"refused_properties": [name]})
    status, body, _ = await client.assign(WINDOWS, *rows)
    assert (status, body["error"]["message"]) == (400, undeclared(name, type_name))
    await client.control("POST", "/reset")
    assert (await client.assign(WINDOWS, *rows))[0] in (200, 204)


async def test_wrong_settings_are_refused_and_change_nothing(client: Client):
    await client.control("PUT", "/model", {"refused_properties": ["note"], "refused_types": "x"}, status=400)
    await client.control("PUT", "/model", {"refused": []}, status=400)
    assert client.emulator.world.intune.model.refused_properties == []


NO_NUMBERS = ["1e999", "-1e999", "1.8e308", "2" + "0" * 308, "9" * 5000, "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=[number[:10] for number in NO_NUMBERS])
async def test_a_number_that_is_no_double_is_refused_and_the_set_stays_readable(client: Client, number: str):
    client.emulator.world.intune.set_rows(WINDOWS, [target("foo", a=1)])
    row = json.dumps(target("foo", a="NUMBER")).replace('"NUMBER"', f'[{{"b": {number}}}]')
    status, body = await client.send_text("POST", f"/{WINDOWS}/assign", f'{{"assignments": [{row}]}}')
    assert (status, body["error"]["code"]) == (400, "BadRequest")
    [[kept]] = await client.pages(f"/{WINDOWS}/assignments")
    assert kept["target"]["a"] == 1


async def test_numbers_of_doubles_are_taken_and_shown_as_such(client: Client):
    client.emulator.world.intune.set_rows(WINDOWS, [target("foo", a=1)])
    numbers = [1.7976931348623157e308, -5e-324, 10**300, 0.1]
    assert (await client.assign(WINDOWS, target("foo", a=numbers)))[0] in (200, 204)
    [[kept]] = await client.pages(f"/{WINDOWS}/assignments")
    assert kept["target"]["a"] == numbers
