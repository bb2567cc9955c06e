"""JSON text. simplejson, because it alone keeps numbers as they were written (1.10, 30-digit integers): a row that the
gateway does not understand has to come out as it went in."""

from typing import Any

import simplejson


def loads(text: str | bytes) -> Any:
    """Parses JSON; numbers with a point become Decimal. Raises ValueError."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    return simplejson.loads(text, use_decimal=True, parse_constant=_no_constant)


def dumps(value: Any) -> str:
    """Compact JSON, in the order of the value's keys."""
    return simplejson.dumps(value, use_decimal=True, separators=(",", ":"), ensure_ascii=False)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
