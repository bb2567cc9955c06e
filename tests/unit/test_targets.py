"""Targets: known in one place, from the protos' options, and forgotten nowhere."""

from pathlib import Path

import pytest
from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import odata_pb2
from compliance_gateway.vendored.buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from hypothesis import given
from hypothesis import strategies as st
from merging import merge
from protovalidate import Validator
from target_places import CLIENTS, GUID, OTHER, PLACES, ROOT, TYPE, Member, forgotten

from gateway.assignments.edits import Add, Applied, Remove, ReplaceAll, Retarget
from gateway.emulator import intune
from gateway.errors import Reason
from gateway.odata.targets import (
    FILTER_ID,
    FILTER_TYPE,
    KINDS,
    PSEUDO_GROUPS,
    extra_properties,
    ids_of,
    is_everyone,
    key_of_target,
    kind_of,
    kinds_meant,
    kinds_of,
    members_of,
    target_of_text,
    text_of,
)

TARGET = pb.DeviceAndAppManagementAssignmentTarget
MEMBERS = [Member(name, message, TARGET.DESCRIPTOR) for name, message in members_of().items()]
GRAPH = "#microsoft.graph."
ALL_USERS, ALL_DEVICES = "acacacac-9df4-4c7d-9d50-4ef0226f57a9", "adadadad-808e-44e2-905a-0b7873a8a531"
BROAD = {ALL_USERS: "all_licensed_users", ALL_DEVICES: "all_devices"}


def group(group_id: str, name: str = "groupAssignmentTarget") -> dict:
    return {TYPE: GRAPH + name, "groupId": group_id}


def exclusion(group_id: str) -> dict:
    return group(group_id, "exclusionGroupAssignmentTarget")


def with_members(*names: str, options: bool = True) -> Descriptor:
    """The target as it would be with more members: each with an id of its own, but `all_…`."""
    pool = descriptor_pool.DescriptorPool()
    _add(pb.DESCRIPTOR, pool, names, options)
    return pool.FindMessageTypeByName(TARGET.DESCRIPTOR.full_name)


def _add(file: FileDescriptor, pool: descriptor_pool.DescriptorPool, names: tuple[str, ...], options: bool) -> None:
    for needed in file.dependencies:
        _add(needed, pool, names, options)
    copy = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(copy)
    if file is pb.DESCRIPTOR:
        target = next(message for message in copy.message_type if message.name == TARGET.DESCRIPTOR.name)
        for number, name in enumerate(names, start=100):
            _add_member(copy, target, name, number, options)
    pool.Add(copy)


def _add_member(
    file: descriptor_pb2.FileDescriptorProto, target: descriptor_pb2.DescriptorProto, name: str, number: int, options: bool
) -> None:
    camel = "".join(word.title() for word in name.split("_"))
    message = file.message_type.add(name=f"{camel}AssignmentTarget")
    message.options.Extensions[odata_pb2.odata_type] = f"{GRAPH}{camel[0].lower()}{camel[1:]}AssignmentTarget"
    if options:
        message.options.Extensions[odata_pb2.odata_target].key_space = name
    if not name.startswith("all_"):
        own = message.field.add(name=f"{name}_id", json_name=f"{camel[0].lower()}{camel[1:]}Id", number=1)
        own.type, own.label = FieldDescriptor.TYPE_STRING, FieldDescriptor.LABEL_OPTIONAL
        own.options.Extensions[odata_pb2.odata_target_id] = True
    field = target.field.add(name=name, number=number, oneof_index=0, type_name=f".{file.package}.{message.name}")
    field.type, field.label = FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.LABEL_OPTIONAL


def test_no_member_of_the_oneof_is_forgotten_anywhere(tmp_path: Path):
    assert list(forgotten(TARGET.DESCRIPTOR, tmp_path)) == []


@pytest.mark.parametrize("name", ["scope_tag", "all_servers"])
def test_a_member_more_is_forgotten_everywhere(tmp_path: Path, name: str):
    found = [place for member, place in forgotten(with_members(name), tmp_path) if member == name]
    assert found == list(PLACES)


def test_a_member_without_its_options_stops_the_start():
    with pytest.raises(TypeError, match="ScopeTagAssignmentTarget needs the options"):
        kinds_of(with_members("scope_tag", options=False))


def test_a_member_with_its_options_needs_no_code():
    kind = kinds_of(with_members("scope_tag"))["scope_tag"]
    assert (kind.odata_type, kind.identity, kind.key_space) == (f"{GRAPH}scopeTagAssignmentTarget", "scopeTagId", "scope_tag")


def test_no_client_is_forgotten():
    assert set(CLIENTS) == {path.name for path in (ROOT / "clients").iterdir() if path.is_dir()}


def test_every_kind_has_a_key_of_its_own_but_a_group_that_is_excluded():
    keys = {member.name: key_of_target(member.json()) for member in MEMBERS}
    assert keys["group"] == keys.pop("exclusion_group")
    assert len(set(keys.values())) == len(keys)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_spelling_does_not_matter_where_it_does_not_to_graph(member: Member):
    target = member.json()
    spelled = {**member.json(), TYPE: target[TYPE].removeprefix("#").upper()}
    assert kind_of(spelled).name == member.name
    assert key_of_target(spelled) == key_of_target(target)
    guids = [f for f in member.message.fields if f.GetOptions().Extensions[validate_pb2.field].string.uuid]
    for field in guids:
        assert key_of_target({**target, field.json_name: GUID.upper()}) == key_of_target(target)
        assert ids_of({**target, field.json_name: GUID.upper()}) == {GUID}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_what_excludes_carries_no_filter(member: Member):
    """The option says the same as the rule in the proto."""
    message = TARGET(device_and_app_management_assignment_filter_id=GUID, device_and_app_management_assignment_filter_type=2)
    inner = getattr(message, member.name)
    inner.SetInParent()
    for field in member.message.fields:
        setattr(inner, field.name, GUID)
    broken = [violation.proto.rule_id for violation in Validator().collect_violations(message)]
    assert broken == (["target.filter_on_exclusion"] if KINDS[member.name].excludes else [])


def test_the_base_type_and_unknown_types_are_told_apart_by_all_they_say():
    unknown = {TYPE: f"{GRAPH}fooTarget", "b": 1, "a": 2}
    same = {TYPE: "Microsoft.Graph.FOOTARGET", "a": 2, "b": 1, "c": None, FILTER_ID: GUID, FILTER_TYPE: "include"}
    assert key_of_target(unknown) == key_of_target(same) == ("microsoft.graph.footarget", '{"a":2,"b":1}')
    assert (kind_of(unknown).name, extra_properties(unknown)) == ("unknown", {})
    base = {TYPE: "microsoft.graph.deviceAndAppManagementAssignmentTarget"}
    assert key_of_target(base) == ("microsoft.graph.deviceandappmanagementassignmenttarget", "{}")
    assert kind_of(base).name == "base"
    assert kind_of({}).name == kind_of({TYPE: 7}).name == "unknown"


@pytest.mark.parametrize("odd", [{}, {"groupId": None}, {"groupId": 7}, {"groupId": [GUID]}])
def test_a_group_without_a_readable_id_is_itself_alone(odd: dict):
    target = {TYPE: f"{GRAPH}groupAssignmentTarget", **odd}
    assert key_of_target(target)[0] == "microsoft.graph.groupassignmenttarget"
    assert not is_everyone(target)


guids = st.sampled_from([ALL_USERS, ALL_DEVICES]).flatmap(lambda one: st.sampled_from([one, one.upper(), one.title()]))


@given(guids, st.sampled_from([group, exclusion]))
def test_a_pseudo_group_is_the_broad_target(group_id: str, of):
    broad = BROAD[group_id.lower()]
    target = of(group_id)
    assert key_of_target(target) == key_of_target({TYPE: KINDS[broad].odata_type})
    assert is_everyone(target)
    assert kinds_meant(target) == {kind_of(target).name, broad}
    assert ids_of(target) == {group_id.lower()}


@given(st.sampled_from(["SMS00001", "sms00001", "Sms00001  "]))
def test_a_collection_is_one_however_it_is_spelled(collection: str):
    target = {TYPE: f"{GRAPH}configurationManagerCollectionAssignmentTarget", "collectionId": collection}
    assert key_of_target(target) == ("collection", "SMS00001")
    assert ids_of(target) == {"SMS00001"}


HIDDEN = [
    {"entraObjectId": GUID},
    {"groupid": GUID.upper()},
    {"GroupId": f"{{{GUID}}}"},
    {"a": [{"b": f"group {GUID.replace('-', '')}"}]},
    {f"x{GUID}": None},
]


@pytest.mark.parametrize("inner", HIDDEN)
@pytest.mark.parametrize("name", ["#x.fooTarget", f"{GRAPH}deviceAndAppManagementAssignmentTarget", None])
def test_every_guid_of_a_target_that_is_not_known_is_judged(name: str | None, inner: dict):
    assert ids_of({TYPE: name, **inner}) == {GUID}
    assert ids_of({TYPE: name, **inner, FILTER_ID: OTHER, FILTER_TYPE: "include"}) == {GUID}, "its filter is judged as such"
    assert is_everyone({TYPE: name, "a": {"b": ALL_USERS.upper()}})


def test_a_group_whose_id_is_none_is_judged_by_what_it_says():
    assert ids_of({TYPE: f"{GRAPH}groupAssignmentTarget", "groupId": [GUID]}) == {GUID}
    assert ids_of({TYPE: f"{GRAPH}groupAssignmentTarget", "groupId": OTHER, "x": GUID}) == {OTHER}


def test_annotations_make_no_other_target():
    unknown = {TYPE: f"{GRAPH}fooTarget", "a": 1}
    assert key_of_target({**unknown, "@odata.etag": "x"}) == key_of_target(unknown)


def test_who_means_everyone():
    assert {name for name, kind in KINDS.items() if kind.everyone} == set(BROAD.values())
    assert {group_id: kind.name for group_id, kind in PSEUDO_GROUPS.items()} == BROAD
    assert not is_everyone(group(GUID))
    assert is_everyone({TYPE: f"{GRAPH}fooTarget", "groupId": ALL_USERS}), "an unknown type is no way round"


def test_the_emulators_ids_of_broad_rows_are_the_pseudo_groups():
    assert {f"{GRAPH}{name}": group_id for name, group_id in intune.BROAD.items()} == {
        kind.odata_type: group_id for group_id, kind in PSEUDO_GROUPS.items()
    }


def test_a_pseudo_group_and_its_broad_target_are_one_row():
    rows = [{"id": "p_1", "target": group(ALL_USERS.upper())}]
    broad = {TYPE: f"{GRAPH}allLicensedUsersAssignmentTarget"}
    twice = ReplaceAll((group(ALL_USERS), broad))
    refused = merge(rows, [Add(broad), Add(exclusion(ALL_USERS), "replace"), twice]).outcomes
    assert [getattr(outcome, "reason", None) for outcome in refused] == [
        Reason.ALREADY_ASSIGNED,
        Reason.ALREADY_ASSIGNED,
        Reason.INVALID_FIELD,
    ]
    merged = merge(rows, [Retarget("p_1", broad)])
    assert [row["target"] for row in merged.rows] == [broad]
    devices = {TYPE: f"{GRAPH}allDevicesAssignmentTarget"}
    added = merge([{"id": "p_1", "target": broad}], [Add(devices), Remove("p_1")])
    assert all(isinstance(outcome, Applied) for outcome in added.outcomes)
    assert [row["target"] for row in added.rows] == [devices], "removing one broad target leaves the other"


TEXTS = [
    (TARGET(group={"group_id": GUID}), f"group {GUID}"),
    (TARGET(all_devices={}), "all_devices"),
    (TARGET(unknown={"odata_type": "#x.y", "json": '{"secret":1}'}), "unknown #x.y"),
    (TARGET(device_and_app_management_assignment_filter_id=GUID), "base"),
]


@pytest.mark.parametrize(("message", "text"), TEXTS)
def test_an_entry_says_who_is_meant_and_no_more(message: TARGET, text: str):
    assert text_of(message) == text


def test_a_target_in_words():
    assert target_of_text(f"exclusion_group:{GUID}") == exclusion(GUID)
    assert target_of_text("group") == {TYPE: f"{GRAPH}groupAssignmentTarget"}
    assert target_of_text("all_devices") == {TYPE: f"{GRAPH}allDevicesAssignmentTarget"}
    assert target_of_text("unknown:#x.y") == {TYPE: "#x.y"}
    assert kind_of(target_of_text("base")).name == "base"
    with pytest.raises(ValueError, match="has to be one of group, exclusion_group"):
        target_of_text("groups:1")
    with pytest.raises(ValueError, match="all_devices takes no ID"):
        target_of_text("all_devices:1")
