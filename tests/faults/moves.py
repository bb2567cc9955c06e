"""The changes of each row in Graph, from the emulator's log of whole sets."""

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from asks import Value

Row = dict[str, Any]
Place = tuple[str, str]  # policy, and the row's group or id
CONTROL = "control"  # the emulator's word for a foreign writer
VALUES: dict[Value, Value] = {}  # each once


class Move(NamedTuple):
    """A change of one row in Graph. at: seconds. by: the write's client-request-id, or CONTROL. before, after: the row; None if
    there is none."""

    at: float
    by: str
    before: Row | None
    after: Row | None

    @property
    def ours(self) -> bool:
        return self.by != CONTROL


def place_of(policy: str, row: Row) -> Place:
    return policy, str(row["target"].get("groupId") or row["id"]).lower()


def value_of(row: Row | None) -> Value:
    """The row's value in the model of asks.py."""
    if row is None:
        return None
    name = "exclusion" if "exclusion" in row["target"]["@odata.type"] else "group"
    return name, row["target"].get("deviceAndAppManagementAssignmentFilterType") or "none"


def shown_by(rows: Iterable[Row]) -> dict[str, Value]:
    """What a read shows: by group, the value of its row."""
    return {sys.intern(str(row["target"].get("groupId", ""))): VALUES.setdefault(value_of(row), value_of(row)) for row in rows}


def moves_of(effects: Iterable[Any]) -> dict[Place, list[Move]]:
    found: dict[Place, list[Move]] = defaultdict(list)
    for effect in effects:
        before, now = ({place_of(effect.policy, row): row for row in rows} for rows in (effect.before, effect.after))
        for place in before.keys() | now.keys():
            old, new = before.get(place), now.get(place)
            if old is not new and old != new:
                found[place].append(Move(effect.at, effect.by, old, new))
    return found
