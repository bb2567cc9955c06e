"""JSON text, with simplejson, because only it keeps numbers as they were written (1.10, 30-digit integers): a row that the
gateway does not understand has to be sent back unchanged."""

import math
import re
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Any

import simplejson

EXACT = 2**53  # up to here every whole number is a double of its own
# What a caller's JSON may be nested; readers on the way to Graph have limits too, and none tells of it.
DEEPEST = 32
# How many values a caller's JSON may hold, in all: a Replace of 1,000 assignments has about 10,000. A megabyte of empty lists
# would hold the loop for a second.
MOST_VALUES = 50_000
# Of an IEEE 754 double, in decimal digits before or after the point: beyond it readers make infinity, zero or an error of it.
GREATEST_EXPONENT = 308
LONGEST_EXACT = 15  # digits of a whole number that is surely below EXACT
NO_DOUBLE = "has a number beyond the range of a double (1.8e308)"
# The end of the text ends a string as well, so that no character is looked at for more than one match.
STRING = re.compile(rb'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# An escape of half a character (a surrogate), which is none unless the other half stands beside it.
HALF = re.compile(r"\\u[dD][89a-fA-F]")
DEEPER = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def loads(text: str | bytes) -> Any:
    """Parses JSON; numbers with a point become Decimal. Raises ValueError."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    return _checked(DECODER.decode(text), text)


class JsonError(ValueError):
    """The text is no JSON that can be taken; `at` and `rule` say where and why."""

    def __init__(self, at: str, rule: str) -> None:
        self.at, self.rule = at, rule
        super().__init__(f"{at}: {rule}")


def loads_strictly(text: bytes) -> Any:
    """JSON from a caller, in UTF-8. Raises JsonError, also for a duplicate key in an object, more than 32 levels of nesting,
    more than 50,000 values, numbers beyond the range of a double, and half a surrogate pair."""
    _check_shape(text)
    try:
        decoded = text.decode("utf-8-sig")
        value = simplejson.loads(
            decoded,
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_no_constant,
            object_pairs_hook=_object_without_twins,
        )
        return _checked(value, decoded)
    except JsonError:
        raise
    except simplejson.JSONDecodeError as exc:
        raise JsonError("body", f"is not valid JSON at line {exc.lineno}, column {exc.colno}") from None
    except UnicodeEncodeError:
        raise JsonError("body", "has an unpaired surrogate, which is not a character") from None
    except UnicodeDecodeError as exc:
        raise JsonError("body", f"is not valid UTF-8 at byte {exc.start}") from None
    except (ValueError, RecursionError):
        raise JsonError("body", "is not valid JSON") from None


def _checked(value: Any, text: str) -> Any:
    """The value, which can be written again. Raises UnicodeEncodeError, a ValueError."""
    if HALF.search(text):
        dumps(value).encode()
    return value


def _check_shape(text: bytes) -> None:
    """By the brackets and commas outside strings, which are at least those of the JSON, if it is any."""
    too_many = JsonError("body", f"may have at most {MOST_VALUES} values")
    if text.count(b'"') > 4 * MOST_VALUES:  # a key and a value each
        raise too_many
    outside = STRING.sub(b"", text)
    brackets = outside.translate(None, NO_BRACKETS)
    if outside.count(b",") + len(brackets) > MOST_VALUES:
        raise too_many
    if max(accumulate(map(DEEPER.__getitem__, brackets)), default=0) > DEEPEST:
        raise JsonError("body", f"may be nested at most {DEEPEST} levels deep")


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:  # the exponent has more digits than any
        number = Decimal("NaN")
    if number.is_nan() or abs(number.adjusted()) > GREATEST_EXPONENT or math.isinf(float(text)):
        raise JsonError("body", NO_DOUBLE)
    return number


def _integer(text: str) -> int:
    if len(text) > LONGEST_EXACT and math.isinf(float(text)):
        raise JsonError("body", NO_DOUBLE)
    return int(text)


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise JsonError(name[:64], "occurs more than once in one object")
        found[name] = value
    return found


def dumps(value: Any, *, ascii_only: bool = False) -> str:
    """Compact JSON, in the order of the value's keys. ascii_only: everything else is escaped."""
    return str(ENCODERS[ascii_only].encode(value))


def canonical(value: Any) -> str:
    """Text that is equal for values that Graph does not distinguish: keys sorted, numbers by value. Graph reads numbers with a
    point, and those beyond 64 bits, as doubles, and writes them in its own form."""
    return str(IN_ORDER.encode(_plain(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal) or (type(value) is int and not -(2**63) <= value < 2**63):
        number = float(Decimal(value))
        if not math.isfinite(number):
            return str(number)
        return int(number) if number.is_integer() and abs(number) < EXACT else number
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# simplejson.dumps and simplejson.loads make one for each text.
IN_ORDER = simplejson.JSONEncoder(separators=(",", ":"), ensure_ascii=False, sort_keys=True)
DECODER = simplejson.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
ENCODERS = {
    ascii_only: simplejson.JSONEncoder(use_decimal=True, separators=(",", ":"), ensure_ascii=ascii_only)
    for ascii_only in (False, True)
}
