"""What a stranger sends costs time that grows no faster than its length: counted in comparisons, not in seconds."""

import pytest

from gateway.doors.rest_body import LONGEST_TYPE, check_type
from gateway.errors import GatewayError
from gateway.odata.text import JsonError, _object_without_twins


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
