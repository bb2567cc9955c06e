"""What one write did to a policy's rows, complete in itself: the targets, and the rows before and after, as in Graph. It is
stored with the entry of the write, so that it can be read without knowing the policy's earlier state. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from gateway.odata import dumps, loads

How = Literal["added", "changed", "removed"]
HOWS = get_args(How)
NONE = "is no record of changes"


@dataclass(frozen=True)
class RowChange:
    """target: who is meant, such as `group 0b1c2d3e-…`. before, after: the whole rows, none where there was or is none."""

    target: str
    before: tuple[dict[str, Any], ...]
    after: tuple[dict[str, Any], ...]

    @property
    def how(self) -> How:
        return "changed" if self.before and self.after else "added" if self.after else "removed"


class Name(NamedTuple):
    """A target as it is searched for, in small letters. kind: such as `group`. name: its id, or its type where the kind is
    `unknown`; empty where the kind says all."""

    kind: str
    name: str


def name_of(target: str) -> Name:
    """Of a change's target."""
    kind, _, name = target.lower().strip().partition(" ")
    return Name(kind, name.strip().removeprefix("#"))


def encoded(changes: Sequence[RowChange]) -> bytes:
    """As an entry keeps them: a line of JSON that says who was touched and how, for who looks for that only, and one with the
    rows."""
    touched = [(change.target, change.how) for change in changes]
    rows = [(change.before, change.after) for change in changes]
    return f"{dumps(touched)}\n{dumps(rows)}".encode("utf-8", "surrogatepass")


def decoded(changes: bytes) -> tuple[RowChange, ...]:
    """The inverse. Raises ValueError for what `encoded` never gave."""
    touched, rows = touched_by(changes), _json(changes.partition(b"\n")[2])
    try:
        found = tuple(RowChange(touch[0], *map(tuple, sides)) for touch, sides in zip(touched, rows, strict=True))
    except TypeError:
        raise ValueError(NONE) from None
    if any(not isinstance(row, dict) for change in found for row in (*change.before, *change.after)):
        raise ValueError(NONE)
    return found


def touched_by(changes: bytes) -> list[tuple[str, How]]:
    """Who was touched, and how, without a look at the rows. Raises ValueError for what `encoded` never gave."""
    found = _json(changes.partition(b"\n")[0])
    if not isinstance(found, list) or not all(map(_is_touch, found)):
        raise ValueError(NONE)
    return [(target, how) for target, how in found]


def _is_touch(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[1] in HOWS


NOTHING = encoded(())


def _json(line: bytes) -> Any:
    try:
        return loads(line.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError(NONE) from None
