"""What a stranger sends costs time that grows no faster than its length: counted in comparisons, not in seconds."""

import asyncio
import sys
from collections.abc import Callable

import pytest
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.compliance_assignment_service_pb2 import ReplaceComplianceAssignmentsRequest

from gateway.call import Call, decoded
from gateway.doors.rest_body import LONGEST_TYPE, check_type
from gateway.doors.rest_requests import message_of
from gateway.doors.rest_routes import route_of
from gateway.errors import GatewayError, Violation
from gateway.odata.text import JsonError, _object_without_twins, loads_strictly
from gateway.operations import OPERATIONS
from gateway.pipeline.validate import Validate


class Name(str):
    """A key that counts how often it is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)


def comparisons(keys: int) -> int:
    """Of an object whose last key is its first one again."""
    Name.compared = 0
    pairs = [(Name(f"k{number}"), 1) for number in range(keys)]
    with pytest.raises(JsonError, match="more than once"):
        _object_without_twins([*pairs, (Name("k0"), 2)])
    return Name.compared


def test_an_object_with_a_key_twice_is_refused_in_one_pass():
    few, many = comparisons(1_000), comparisons(2_000)
    assert many <= 2 * few + 100
    assert many < 4_000


def test_a_media_type_is_bounded_before_it_is_parsed():
    check_type({"content-type": ("application/json; odata.metadata=minimal; charset=utf-8",)})
    with pytest.raises(GatewayError, match=f"at most {LONGEST_TYPE} characters"):
        check_type({"content-type": ('application/json;"' + ";" * 32_000,)})


POLICY = "7f8cf4c6-46aa-4e8a-8b7a-5c6e2c7f8a32"
TOO_MANY = Violation("assignments", "may have at most 1000 items")


def calls_of(refused: Callable[[], object]) -> int:
    """How many functions are called until it is refused for its length, and for nothing else."""
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(counted)
    try:
        refused()
    except GatewayError as error:
        sys.setprofile(None)
        assert error.violations == (TOO_MANY,)
    finally:
        sys.setprofile(None)
    assert count
    return count


def by_the_steps(items: int) -> Callable[[], object]:
    message = ReplaceComplianceAssignmentsRequest(device_compliance_policy_id=POLICY)
    message.assignments.extend([DeviceCompliancePolicyAssignment()] * items)
    call = Call(OPERATIONS["ReplaceComplianceAssignments"], decode=decoded(message), metadata={}, deadline=0)

    async def passed(_: Call) -> ReplaceComplianceAssignmentsRequest:
        raise AssertionError("it is passed on")

    return lambda: asyncio.run(Validate(["t"])(call, passed))


def by_the_rest_door(items: int) -> Callable[[], object]:
    route = route_of("POST", f"/beta/deviceManagement/deviceCompliancePolicies/{POLICY}/assign")
    return lambda: message_of(route, "", {}, {"assignments": [{}] * items})


@pytest.mark.parametrize("refused", [by_the_steps, by_the_rest_door])
def test_what_is_in_a_list_that_is_too_long_is_looked_at_by_nobody(refused: Callable[[int], Callable[[], object]]):
    few, many = calls_of(refused(1_001)), calls_of(refused(20_000))
    assert many < few + 100


DEEPEST = 32


def nested(depth: int, text: str = "1") -> bytes:
    return ("[" * depth + text + "]" * depth).encode()


TAKEN = {
    "as deep as may be": nested(DEEPEST),
    "brackets in a string": nested(DEEPEST, '"' + "[{" * 100 + '"'),
    "brackets after an escaped quote": b'["a\\"' + b"[" * 100 + b'", "\\\\"]',
    "the greatest double": b"1.7976931348623157e308",
    "the greatest whole number": str(int(sys.float_info.max)).encode(),
    "a character of two halves": b'{"\\ud83d\\uDE00": "\\\\ud800"}',
    "more digits than a double has": b"0.1000000000000000055511151231257827",
}
REFUSED = {
    "deeper": (nested(DEEPEST + 1), "nested at most 32 levels deep"),
    "objects and arrays in turn": (b'{"a":[' * 17 + b"1" + b"]}" * 17, "nested at most 32 levels deep"),
    "deep after a string that ends in a backslash": (b'["\\\\",' + nested(DEEPEST) + b"]", "nested at most 32 levels deep"),
    "far deeper, in few bytes": (b"[" * 40_000, "nested at most 32 levels deep"),
    "lists of nothing": (b"[" + b"[]," * 300_000 + b"[]]", "at most 50000 values"),
    "numbers without end": (b"[" + b"1," * 500_000 + b"1]", "at most 50000 values"),
    "strings of nothing": (b"[" + b'"",' * 300_000 + b'""]', "at most 50000 values"),
    "quotes without an end": (b'["' + b'\\"' * 90_000, "not valid JSON"),
    "a number that no reader takes": (b'{"n": 1e999999999}', "double"),
    "a number of nothing": (b'{"n": 1e-999999999}', "double"),
    "an exponent that is no number itself": (b'{"n": 1e99999999999999999999}', "double"),
    "just more than the greatest double": (b'{"n": 1.8e308}', "double"),
    "just less than the least": (b'{"n": [-1.8e308]}', "double"),
    "a whole number that is just no double": (b"18" + b"0" * 307, "double"),
    "half a character": (b'["\\uD83D"]', "an unpaired surrogate"),
    "the halves of a character in the wrong order": (b'["\\ude00\\ud83d"]', "an unpaired surrogate"),
    "half a character for a key": (b'{"a": [{"\\udfff": 1}]}', "an unpaired surrogate"),
    "a whole number of 310 digits": (b"9" * 310, "double"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_json_within_the_limits_is_taken(name: str):
    loads_strictly(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_json_that_is_too_deep_or_has_what_no_reader_takes_is_refused(name: str):
    text, rule = REFUSED[name]
    with pytest.raises(JsonError, match=rule):
        loads_strictly(text)
