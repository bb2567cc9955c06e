"""Messages <-> Graph's JSON: every type both ways, nothing lost, nothing smuggled."""

import json
from decimal import Decimal

import pytest
from compliance_gateway.v1 import assignment_pb2 as pb
from google.protobuf import descriptor_pb2, descriptor_pool
from hypothesis import given
from hypothesis import strategies as st

from gateway.odata import ODataError, codec, dumps, loads
from gateway.odata.timestamps import format_timestamp, parse_timestamp

ASSIGNMENT = codec(pb.DeviceCompliancePolicyAssignment.DESCRIPTOR)
TARGET = codec(pb.DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)
GUID = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
ZERO = "00000000-0000-0000-0000-000000000000"
ID, KIND = "deviceAndAppManagementAssignmentFilterId", "deviceAndAppManagementAssignmentFilterType"
GRAPH = "#microsoft.graph."

BOTH_WAYS = [
    ({"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GUID}, "group"),
    ({"@odata.type": f"{GRAPH}exclusionGroupAssignmentTarget", "groupId": GUID}, "exclusion_group"),
    ({"@odata.type": f"{GRAPH}allLicensedUsersAssignmentTarget"}, "all_licensed_users"),
    ({"@odata.type": f"{GRAPH}allDevicesAssignmentTarget", ID: GUID, KIND: "include"}, "all_devices"),
    (
        {"@odata.type": f"{GRAPH}configurationManagerCollectionAssignmentTarget", "collectionId": "SMS00001"},
        "configuration_manager_collection",
    ),
    ({"@odata.type": f"{GRAPH}deviceAndAppManagementAssignmentTarget"}, None),
    ({"@odata.type": f"{GRAPH}fooTarget", "a": {"b": [1, None, "ü"]}, ID: None, KIND: "none"}, "unknown"),
    ({"@odata.type": f"{GRAPH}fooTarget", ID: GUID, KIND: "exclude", "z": 1}, "unknown"),
]


@pytest.mark.parametrize(("target", "member"), BOTH_WAYS)
def test_every_target_both_ways(target: dict, member: str | None):
    message = TARGET.from_json(target)
    assert message.WhichOneof("type") == member
    again = TARGET.to_json(message)
    assert again == target
    assert next(iter(again)) == "@odata.type"


@pytest.mark.parametrize("spelling", ["microsoft.graph.groupAssignmentTarget", "#Microsoft.Graph.GROUPASSIGNMENTTARGET"])
def test_type_names_come_in_any_case_and_go_out_with_their_hash(spelling: str):
    message = TARGET.from_json({"groupId": GUID, "@odata.type": spelling})
    assert TARGET.to_json(message) == {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": GUID}


@pytest.mark.parametrize("no_filter", [{}, {ID: None, KIND: "none"}, {ID: ZERO, KIND: "none"}, {KIND: "none"}])
def test_no_filter_in_every_spelling(no_filter: dict):
    message = TARGET.from_json({"@odata.type": f"{GRAPH}allDevicesAssignmentTarget", **no_filter})
    assert message.device_and_app_management_assignment_filter_id == ""
    assert message.device_and_app_management_assignment_filter_type in (0, 1)
    assert ID not in TARGET.to_json(message)


def test_a_zero_guid_of_the_caller_is_not_sent():
    message = pb.DeviceAndAppManagementAssignmentTarget(all_devices={}, device_and_app_management_assignment_filter_id=ZERO)
    assert TARGET.to_json(message) == {"@odata.type": f"{GRAPH}allDevicesAssignmentTarget"}


def test_annotations_are_ignored():
    row = {
        "@odata.type": "#microsoft.graph.deviceCompliancePolicyAssignment",
        "@odata.etag": 7,
        "id": "p_g",
        "future": {"x": 1},
        "source": "policySets",
        "sourceId": "s",
        "target": {"@odata.type": f"{GRAPH}allDevicesAssignmentTarget", "future": 1},
    }
    message = ASSIGNMENT.from_json(row)
    assert (message.id, message.source, message.source_id) == ("p_g", 2, "s")
    assert message.target.WhichOneof("type") == "all_devices"


def test_output_only_fields_go_to_callers_and_not_to_graph():
    message = pb.DeviceCompliancePolicyAssignment(id="i", source=1, source_id="s", target={"all_devices": {}})
    assert list(ASSIGNMENT.to_json(message)) == ["@odata.type", "target"]
    assert list(ASSIGNMENT.to_json(message, answer=True)) == ["@odata.type", "id", "target", "source", "sourceId"]


def test_an_enum_spelling_of_the_future_is_unspecified_from_graph_and_refused_from_callers():
    target = {"@odata.type": f"{GRAPH}allDevicesAssignmentTarget", KIND: "sometimes"}
    assert TARGET.from_json(target).device_and_app_management_assignment_filter_type == 0
    with pytest.raises(ODataError, match=f"{KIND}: has to be one of none, include, exclude"):
        TARGET.from_json(target, strict=True)


@pytest.mark.parametrize(
    ("row", "at"),
    [
        ([], ""),
        ({"id": 7}, "id"),
        ({"target": "x"}, "target"),
        ({"target": {"@odata.type": 7}}, "target.@odata.type"),
        ({"target": {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": ["x"]}}, "target.groupId"),
        ({"target": {KIND: 3}}, f"target.{KIND}"),
    ],
)
def test_wrong_types_name_their_place(row: object, at: str):
    with pytest.raises(ODataError) as caught:
        ASSIGNMENT.from_json(row)
    assert caught.value.at == at


def unknown(odata_type: str, text: str, **fields) -> pb.DeviceAndAppManagementAssignmentTarget:
    inner = pb.UnknownAssignmentTarget(odata_type=odata_type, json=text)
    return pb.DeviceAndAppManagementAssignmentTarget(unknown=inner, **fields)


@pytest.mark.parametrize(
    ("message", "at"),
    [
        (unknown("microsoft.graph.groupAssignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("#MICROSOFT.GRAPH.deviceAndAppManagementAssignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("#graph.allDevicesAssignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("microsoft.graph.beta.GROUPassignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("groupAssignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("x.deviceAndAppManagementAssignmentTarget", "{}"), "unknown.odata_type"),
        (unknown("x.y", '{"@odata.id":"x"}'), "unknown.json"),
        (unknown("x.y", '{"@":1}'), "unknown.json"),
        (pb.DeviceAndAppManagementAssignmentTarget(other_properties='{"entraObjectId":"x"}'), "other_properties"),
        (unknown("x.y", "[1]"), "unknown.json"),
        (unknown("x.y", "{"), "unknown.json"),
        (unknown("x.y", "NaN"), "unknown.json"),
        (unknown("x.y", "[" * 5000), "unknown.json"),
        (unknown("x.y", '{"@odata.Type":"#microsoft.graph.allDevicesAssignmentTarget"}'), "unknown.json"),
        (unknown("x.y", json.dumps({ID: GUID, KIND: "include"})), "unknown.json"),
        (unknown("x.y", json.dumps({ID.upper(): GUID})), "unknown.json"),
        (
            unknown(
                "x.y",
                json.dumps({ID: GUID, KIND: "include"}),
                device_and_app_management_assignment_filter_id=GUID,
                device_and_app_management_assignment_filter_type=3,
            ),
            "unknown.json",
        ),
    ],
)
def test_nothing_is_smuggled_in_an_unknown_target(message: pb.DeviceAndAppManagementAssignmentTarget, at: str):
    with pytest.raises(ODataError) as caught:
        TARGET.to_json(message)
    assert caught.value.at == at


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(min_size=1).filter(lambda name: name[0] != "@" and name.lower() not in (ID.lower(), KIND.lower()))


@given(st.dictionaries(names, json_values))
def test_an_unknown_target_survives_both_ways_to_the_last_digit(properties: dict):
    target = {"@odata.type": f"{GRAPH}fooTarget", **properties}
    text = dumps(target)
    assert dumps(TARGET.to_json(TARGET.from_json(loads(text)))) == text


def test_numbers_stay_as_they_were_written():
    text = '{"a":1.10,"b":12345678901234567890123,"c":0.1000000000000000055511151231257827}'
    assert dumps(loads(text)) == text
    assert loads(text)["a"] == Decimal("1.10")


@pytest.mark.parametrize("text", ["NaN", "Infinity", '{"a":-Infinity}', b"\xff", ""])
def test_what_is_no_json_is_refused(text: str | bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        loads(text)


@pytest.mark.parametrize(
    ("text", "nanos", "again"),
    [
        ("2026-11-24T11:38:22.1234567Z", 123_456_700, "2026-11-24T11:38:22.1234567Z"),
        ("2026-11-24T12:38:22.5+01:00", 500_000_000, "2026-11-24T11:38:22.5Z"),
        ("2026-11-24T11:38:22Z", 0, "2026-11-24T11:38:22Z"),
        ("2026-11-24t11:38:22.0000001z", 100, "2026-11-24T11:38:22.0000001Z"),
        ("0001-01-01T00:00:00Z", 0, "0001-01-01T00:00:00Z"),
    ],
)
def test_timestamps_have_seven_digits(text: str, nanos: int, again: str):
    timestamp = parse_timestamp(text)
    assert (timestamp.nanos, format_timestamp(timestamp)) == (nanos, again)


@pytest.mark.parametrize("text", ["yesterday", "2026-11-24", "2026-13-24T11:38:22Z", "2026-11-24T11:38:22"])
def test_what_is_no_timestamp_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_timestamp(text)


def test_scalars_timestamps_and_repeated_fields_of_a_message_that_the_protos_may_have_one_day():
    file = descriptor_pb2.FileDescriptorProto(
        name="future.proto", package="future", syntax="proto3", dependency=["google/protobuf/timestamp.proto"]
    )
    message = file.message_type.add(name="Future")
    for number, (name, kind, label) in enumerate([("at", 11, 1), ("on", 8, 1), ("many", 5, 3)], 1):
        field = message.field.add(name=name, number=number, type=kind, label=label, json_name=name)
        if kind == 11:
            field.type_name = ".google.protobuf.Timestamp"
    pool = descriptor_pool.Default()
    pool.Add(file)
    future = codec(pool.FindMessageTypeByName("future.Future"))
    value = {"at": "2026-11-24T11:38:22.1234567Z", "on": True, "many": [1, 2]}
    assert future.to_json(future.from_json(value)) == value
    for bad in ({"at": 1}, {"on": 1}, {"many": 1}, {"many": [True]}):
        with pytest.raises(ODataError):
            future.from_json(bad)


def test_what_graph_says_of_an_unknown_type_is_told_whatever_it_is_called():
    target = {"@odata.type": "#other.groupAssignmentTarget", "@odata.etag": "x", "groupId": GUID}
    answer = TARGET.to_json(TARGET.from_json(target), answer=True)
    assert answer == {"@odata.type": "#other.groupAssignmentTarget", "groupId": GUID}
    base = {"@odata.type": f"{GRAPH}deviceAndAppManagementAssignmentTarget", "future": 1}
    assert TARGET.to_json(TARGET.from_json(base), answer=True) == base


V1_TARGET = codec(pb.DeviceAndAppManagementAssignmentTarget.DESCRIPTOR, beta=False)
V1_ASSIGNMENT = codec(pb.DeviceCompliancePolicyAssignment.DESCRIPTOR, beta=False)
OTHERS = {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GUID, "ring": [1.10, {"a": None}]}


def test_properties_without_a_field_survive_both_ways():
    row = {"id": "p_1", "source": "direct", "target": loads(dumps(OTHERS)), "note": "odd", "intent@odata.type": "#x"}
    message = ASSIGNMENT.from_json(row)
    assert (message.other_properties, message.target.other_properties) == ('{"note":"odd"}', '{"ring":[1.1,{"a":null}]}')
    answer = ASSIGNMENT.to_json(message, answer=True)
    assert dumps(answer["target"]) == dumps(row["target"])
    assert answer["note"] == "odd"
    assert TARGET.to_json(message.target) == row["target"]
    assert "note" not in ASSIGNMENT.to_json(message)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"groupId":"x"}', '{"GROUPID":"x"}', f'{{"{ID.upper()}":"x"}}', '{"@odata.type":"x"}']
)
def test_other_properties_are_no_way_round_the_fields(text: str):
    target = pb.DeviceAndAppManagementAssignmentTarget(group={"group_id": GUID}, other_properties=text)
    with pytest.raises(ODataError, match="other_properties"):
        TARGET.to_json(target)


def test_v1_shows_no_filter_and_no_source():
    for target in (
        {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GUID, ID: GUID, KIND: "include"},
        {"@odata.type": f"{GRAPH}fooTarget", ID: GUID, KIND: "include", "z": 1},
    ):
        row = {"id": "p_1", "source": "policySets", "sourceId": "s", "target": target}
        answer = V1_ASSIGNMENT.to_json(ASSIGNMENT.from_json(row), answer=True)
        bare = {k: v for k, v in target.items() if k not in (ID, KIND)}
        assert answer == {"@odata.type": f"{GRAPH}deviceCompliancePolicyAssignment", "id": "p_1", "target": bare}


def test_v1_takes_no_filter_from_a_caller():
    bare = {"@odata.type": f"{GRAPH}groupAssignmentTarget", "groupId": GUID}
    for nothing in ({}, {ID: None, KIND: "none"}, {ID: ZERO}):
        assert V1_TARGET.to_json(V1_TARGET.from_json({**bare, **nothing}, strict=True)) == bare
    for something in ({ID: GUID, KIND: "include"}, {KIND: "exclude"}, {ID: 7}):
        for target in (bare, {"@odata.type": f"{GRAPH}fooTarget"}):
            with pytest.raises(ODataError, match=r"v1\.0 has no"):
                V1_TARGET.from_json({**target, **something}, strict=True)
