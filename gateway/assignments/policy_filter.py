"""The filter of a list of policies (the supported part of AIP-160), and its field mask. Pure."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.errors import GatewayError, cut, invalid

Test = Callable[[DeviceCompliancePolicy], bool]

COMPARISON = re.compile(r'\s*([A-Za-z_][\w.]*)\s*(!=|=|:)\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s*', re.DOTALL)
AND = re.compile(r"AND\b")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PLATFORM = "PLATFORM_"
PLATFORMS = {name.removeprefix(PLATFORM): number for name, number in DeviceCompliancePolicy.Platform.items() if number}
SYNTAX = 'has to consist of comparisons such as display_name = "Windows*" and platform = WINDOWS_10, joined by AND'
FIELDS = tuple(DeviceCompliancePolicy.DESCRIPTOR.fields_by_name)
WHOLE = "*"
OF_ROWS = ("is_assigned", "assignment_count")


def filter_of(text: str) -> Test:
    """Whether a policy is meant. Raises INVALID_FIELD."""
    tests = [_test(*comparison) for comparison in _comparisons(text)]
    return lambda policy: all(test(policy) for test in tests)


def _comparisons(text: str) -> Iterator[tuple[str, str, str, bool]]:
    """Field, sign, value as it was written, and whether it was in quotes."""
    at, end = 0, len(text.rstrip())
    while at < end:
        match = COMPARISON.match(text, at)
        if match is None:
            raise invalid("filter", SYNTAX)
        field, sign, quoted, bare = match.groups()
        yield field, sign, bare if quoted is None else quoted, quoted is not None
        at = match.end()
        if at < end:
            joined = AND.match(text, at)
            if joined is None or not text[joined.end() :].strip():
                raise invalid("filter", SYNTAX)
            at = joined.end()


def _test(field: str, sign: str, value: str, is_quoted: bool) -> Test:
    if field == "display_name":
        return _of_name(sign, value, is_quoted)
    if field == "platform":
        return _of_platform(sign, value)
    raise invalid("filter", f"cannot compare {cut(field, 64)}, only display_name and platform")


def _of_name(sign: str, value: str, is_quoted: bool) -> Test:
    text = partial(ESCAPED.sub, r"\1")
    if sign == ":":
        wanted = text(value).casefold()
        return lambda policy: wanted in policy.display_name.casefold()
    if not is_quoted and value.startswith("="):
        raise invalid("filter", SYNTAX)
    begins, ends = value.endswith("*") and not _is_escaped(value, len(value) - 1), value.startswith("*")
    bare = text(value[1 if ends else 0 : -1 if begins and len(value) > ends else None])
    pattern = re.compile(f"{'.*' if ends else ''}{re.escape(bare)}{'.*' if begins else ''}", re.DOTALL)
    is_wanted = sign == "="
    return lambda policy: (pattern.fullmatch(policy.display_name) is not None) == is_wanted


def _is_escaped(text: str, at: int) -> bool:
    """Whether an odd number of backslashes stands before it."""
    return (at - len(text[:at].rstrip("\\"))) % 2 == 1


def _of_platform(sign: str, value: str) -> Test:
    if sign == ":":
        raise invalid("filter", "can compare platform only by = and !=")
    number = PLATFORMS.get(value)
    if number is None:
        raise invalid("filter", f"platform has to be one of {', '.join(PLATFORMS)}")
    is_wanted = sign == "="
    return lambda policy: (policy.platform == number) == is_wanted


def mask_of(mask: FieldMask) -> frozenset[str]:
    """The fields that are asked for. Raises INVALID_FIELD."""
    paths = frozenset(mask.paths)
    if not paths or paths == {WHOLE}:
        return frozenset(FIELDS)
    if not paths <= frozenset(FIELDS):
        raise _no_field()
    return paths


def _no_field() -> GatewayError:
    return invalid("read_mask", f"may have only {', '.join(FIELDS)}, or be *")
