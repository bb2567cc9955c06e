"""`$metadata`: who may read it, and that it describes everything that is served and nothing else."""

import json
from xml.etree import ElementTree

import pytest
from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from rest_caller import rest
from rig import logged

from gateway.emulator import Emulator, model, trees
from gateway.emulator.policies import BASE, V1
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS
from gateway.graph.tree import BUILT_IN, COUNT, KEY

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
PLATFORMS = DeviceCompliancePolicy.Platform.DESCRIPTOR.values
POLICY = "microsoft.graph.deviceCompliancePolicy"


async def schema(live: Emulator, version: str) -> ElementTree.Element:
    async with rest(live) as (_, caller):
        answer = await caller.send("GET", f"/{version}/$metadata")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml; charset=utf-8")
    assert answer.headers["odata-version"] == "4.0"
    [found] = ElementTree.fromstring(answer.json).iter(f"{EDM}Schema")
    return found


def named(parent: ElementTree.Element, *tags: str) -> dict[str, ElementTree.Element]:
    """The elements with these tags, by name."""
    return {one.attrib["Name"]: one for tag in tags for one in parent.iter(f"{EDM}{tag}")}


def property_names(types: dict[str, ElementTree.Element], name: str) -> set[str]:
    """Including inherited ones."""
    own = {one.attrib["Name"] for one in types[name].findall(f"{EDM}Property")}
    base = types[name].attrib.get("BaseType", "").removeprefix("microsoft.graph.")
    return own | property_names(types, base) if base else own


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_every_name_in_it_leads_somewhere(live: Emulator, version: str):
    found = await schema(live, version)
    types = named(found, "EntityType", "ComplexType", "EnumType")
    used = [one.attrib[key] for one in found.iter() for key in ("Type", "EntityType", "BaseType") if key in one.attrib]
    of_graph = {name.removeprefix("Collection(").removesuffix(")") for name in used if "Edm." not in name}
    assert {name.removeprefix("microsoft.graph.") for name in of_graph} <= set(types)
    assert len(list(found.iter(f"{EDM}EntityType"))) == len(named(found, "EntityType")), "each once"


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_every_path_that_is_read_through_can_be_walked(live: Emulator, version: str):
    found = await schema(live, version)
    types, starts = named(found, "EntityType"), named(found, "EntitySet", "Singleton")
    for pattern in BUILT_IN:
        if "assignmentFilters" in pattern and version == "v1.0":  # which v1.0 of Graph has not
            continue
        first, *rest_ = [segment for segment in pattern.split("/") if segment not in (KEY, COUNT)]
        at = starts[first].attrib.get("EntityType") or starts[first].attrib["Type"]
        for name in rest_:
            [step] = [one for one in types[at.rpartition(".")[2]] if one.attrib["Name"] == name]
            at = step.attrib["Type"].removeprefix("Collection(").removesuffix(")")


async def test_it_says_what_the_emulator_serves(live: Emulator):
    """The emulator's types come from Graph's own metadata and from recorded answers."""
    found = await schema(live, "beta")
    types = named(found, "EntityType", "ComplexType")
    for kind, declared in trees.DECLARED.items():
        assert property_names(types, kind) <= {*declared}, kind
    policy = property_names(types, "deviceCompliancePolicy")
    assert policy == {*BASE, "roleScopeTagIds"}
    derived = {name for name, one in types.items() if one.attrib.get("BaseType") == POLICY}
    assert derived == {value.GetOptions().Extensions[odata_pb2.odata_name] for value in PLATFORMS[1:]}
    assert set(V1) < derived
    for name, declared in model.DECLARED.items():
        assert name == model.SCOPE or property_names(types, name) | {"id"} == {*declared, "id"}, name
    base = types["exclusionGroupAssignmentTarget"].attrib["BaseType"]
    assert base == "microsoft.graph.groupAssignmentTarget", "as in Graph"
    [action] = named(found, "Action").values()
    told = {one.attrib["Name"]: one.attrib["Type"] for one in action.findall(f"{EDM}Parameter")}
    assert told == {"bindingParameter": POLICY, "assignments": f"Collection({POLICY}Assignment)"}


async def test_v1_has_what_v1_has(live: Emulator):
    found = await schema(live, "v1.0")
    text = ElementTree.tostring(found, encoding="unicode")
    assert "Filter" not in text, "filters are of beta"
    assert "policySets" not in text
    assert "roleScopeTagIds" not in text


async def test_contexts_of_answers_lead_into_it(live: Emulator):
    async with rest(live) as (_, caller):
        answer = await caller.send("GET", f"/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments")
        document, _, place = answer.json["@odata.context"].partition("#")
        found = await caller.send("GET", document.removeprefix(caller.root))
        assert (found.status, place.partition("/")[0]) == (200, "deviceManagement")
        assert 'Singleton Name="deviceManagement"' in found.json.decode()


async def test_the_action_may_be_called_by_its_full_name(live: Emulator):
    """Clients that are generated from the document do so."""
    path = f"/beta/deviceManagement/deviceCompliancePolicies('{EMPTY}')/microsoft.graph.assign"
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": GROUP}
    async with rest(live) as (rig, caller):
        answer = await caller.send("POST", path, {"assignments": [{"target": target}]})
        assert answer.status == 200
        assert [row["target"]["groupId"] for row in rig.rows(EMPTY)] == [GROUP]
        ours = await caller.send("POST", path.replace("assign", "edit"), {"edits": []})
        assert ours.status == 404, "what Graph does not have has no name of Graph's"


async def test_who_is_not_known_may_not_read_it(live: Emulator):
    with logged() as lines:
        async with rest(live) as (rig, caller):
            answer = await caller.send("GET", "/v1.0/$metadata", headers={"Authorization": "Bearer x"})
            assert (answer.status, answer.json["error"]["code"]) == (401, "CALLER_UNAUTHENTICATED")
            [entry] = await rig.first_entries()
            assert (entry.operation, entry.id) == ("Metadata", answer.headers["request-id"])
            assert (await caller.send("GET", "/v1.0/%24METADATA?$format=xml")).status == 200
            assert rig.emulator.world.requests == [], "Graph is not asked"
    told = [json.loads(line) for line in lines if '"call"' in line]
    assert [(one["operation"], one["outcome"]) for one in told] == [("Metadata", "CALLER_UNAUTHENTICATED"), ("Metadata", "OK")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/beta/$metadata", 200),
        ("HEAD", "/$metadata", 200),
        ("POST", "/beta/$metadata", 405),
        ("GET", "/beta/$metadata?$format=json", 400),
        ("GET", "/beta/$metadata/groups", 404),
    ],
)
async def test_what_else_is_asked_of_it(live: Emulator, method: str, path: str, status: int):
    async with rest(live) as (_, caller):
        answer = await caller.send(method, path)
        assert answer.status == status
        assert method != "HEAD" or not answer.json
