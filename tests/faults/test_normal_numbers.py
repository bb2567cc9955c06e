"""Graph reads JSON's numbers as doubles and writes them in its own way: the gateway recognises its rows all the same."""

import asyncio
from decimal import Decimal

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment as Assignment
from edits_over_the_wire import create, group
from rig import gateway

from gateway.assignments.edits import Add
from gateway.assignments.merge import merge
from gateway.assignments.rows import RowSet
from gateway.assignments.witness import lost
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, FILTER, MACOS
from gateway.odata import loads
from gateway.odata.targets import FILTER_ID, FILTER_TYPE, key_of_target
from gateway.sets import SETS

TYPE = "#microsoft.graph.levelAssignmentTarget"
LONG = "1.00000000000000000001"
SAME = [
    (LONG, "1.0"),
    ("1", "1.0"),
    ("1.10", "1.1"),
    ("1e2", "100"),
    ("-0.0", "0"),
    ("123456789012345678901234567890", "1.2345678901234568e29"),
    ('{"b":1,"a":[2.0]}', '{"a":[2],"b":1.0}'),
]
OTHERS = [
    ("1", "2"),
    ("1", '"1"'),
    ("1", "true"),
    ("0", "false"),
    ("0", "null"),
    ("9007199254740993", "9007199254740992"),
    ("1.1", "1.2"),
    ("[1,2]", "[2,1]"),
]


def key(level: str):
    return key_of_target(loads(f'{{"@odata.type": "{TYPE}", "level": {level}}}'))


@pytest.mark.parametrize(("written", "read"), SAME)
def test_numbers_of_one_value_make_one_key(written: str, read: str):
    assert key(written) == key(read)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_values_make_other_keys(one: str, other: str):
    assert key(one) != key(other)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 500, "1e-400", "1e999999999"])
def test_numbers_beyond_a_double_make_some_key(number: str):
    assert key(number)


def test_the_witness_knows_the_row_that_is_meant():
    row = {"id": "r", "target": {"@odata.type": TYPE, "level": Decimal("1.0")}}
    wanted = {"@odata.type": TYPE, "level": Decimal(LONG), FILTER_ID: FILTER, FILTER_TYPE: "include"}
    rows, edit = RowSet(SETS["deviceCompliancePolicies"], [row]), Add(wanted, "replace")
    merged = merge(rows, [edit])
    assert merged.touched
    assert lost(rows.rows, merged.rows.rows, [edit]) == []
    assert lost(rows.rows, [], []) == [row]


async def test_a_number_that_graph_says_in_its_own_way_holds_nobody_up(live: Emulator):
    live.world.intune.set_rows(MACOS, [{"target": {"@odata.type": TYPE, "level": 7}}])  # Graph knows the type
    unknown = {"unknown": {"odataType": TYPE, "json": f'{{"level":{LONG}}}'}}
    async with gateway(live, graph={"create_route": "assign", "read_back_s": 60, "lag_s": 60}) as rig:
        answers = [await create(rig, unknown), *await asyncio.gather(*(create(rig, group(n)) for n in range(3)))]
        assert [type(answer) for answer in answers] == [Assignment] * 4, answers
        assert loads(answers[0].target.unknown.json)["level"] == 1
        assert len(rig.rows(EMPTY)) == 4
        again = await create(rig, unknown)
        assert again.reason == "ALREADY_ASSIGNED"
