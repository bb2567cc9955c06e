"""A rule's conditions, in Cedar's JSON form: what they look at, and what they need of a question before the rule can apply, so
that it is left out where that is not there. A need is read from the conditions that have to hold together: where one of them
does not, the rule does not either, whatever the others come to. What has another form than those known here looks at
everything, and needs nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SETS = ("kinds", "added_ids", "removed_ids", "filter_ids", "filter_types")
# How much of a resource is looked at.
NOTHING, TENANT, POLICY = range(3)
# Operators that look at what a set has, by equality alone.
COMPARING = {"contains", "containsAll", "containsAny", "==", "!=", "isEmpty"}
VARIABLES = {"Var", "Slot", "Unknown"}

Json = Any
Place = tuple[str, str]  # a resource, by type and id


@dataclass(frozen=True)
class Looks:
    """place: how much of the resource counts. compared: sets of which it counts which of `literals` they have, and whether they
    have anything else. whole: sets that count as they are."""

    place: int = NOTHING
    compared: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    literals: frozenset[str] = frozenset()

    def __or__(self, other: "Looks") -> "Looks":
        return Looks(
            max(self.place, other.place),
            self.compared | other.compared,
            self.whole | other.whole,
            self.literals | other.literals,
        )


class Need(NamedTuple):
    """The set `name` of the context has one of `members`. or_empty: or none at all."""

    name: str
    members: frozenset[str]
    or_empty: bool

    @property
    def keys(self) -> list[tuple[str, str | None]]:
        """By which a rule is found; None stands for no member."""
        return [*((self.name, member) for member in self.members), *((self.name, None) for _ in range(self.or_empty))]


def needs_of(conditions: Json) -> Sequence[Need]:
    """Each has to be there."""
    return [need for one in _together(conditions) if (need := _need(one)) is not None and need.name in SETS]


def place_of(conditions: Json) -> Place | None:
    """The resource that they are for."""
    for one in _together(conditions):
        match one:
            case {"in": {"left": {"Var": "resource"}, "right": {"Value": {"__entity": {"type": "Tenant", "id": str(name)}}}}}:
                return "Tenant", name
            case {"==": {"left": {"Var": "resource"}, "right": {"Value": {"__entity": {"type": "Policy", "id": str(name)}}}}}:
                return "Policy", name
    return None


def _together(conditions: Json) -> Iterator[Json]:
    todo = [condition["body"] for condition in conditions if condition["kind"] == "when"]
    while todo:
        match todo.pop():
            case {"&&": {"left": left, "right": right}}:
                todo += right, left
            case other:
                yield other


def _need(node: Json) -> Need | None:
    match node:
        case {"contains": {"left": {".": {"left": {"Var": "context"}, "attr": str(name)}}, "right": {"Value": str(one)}}}:
            return Need(name, frozenset({one}), or_empty=False)
        case {"containsAll": {"left": {".": {"left": {"Var": "context"}, "attr": str(name)}}, "right": {"Set": list(all_)}}}:
            some = _strings(all_)
            return Need(name, frozenset({min(some)}), or_empty=False) if some else None
        case {"containsAll": {"left": {"Set": list(all_)}, "right": {".": {"left": {"Var": "context"}, "attr": str(name)}}}}:
            some = _strings(all_)
            return Need(name, some, or_empty=True) if some else None
        case {"containsAny": {"left": {".": {"left": {"Var": "context"}, "attr": str(name)}}, "right": {"Set": list(any_)}}}:
            some = _strings(any_)
            return Need(name, some, or_empty=False) if some else None
    return None


def _strings(values: list[Json]) -> frozenset[str]:
    """All of them; empty where one is something else."""
    strings = frozenset(value["Value"] for value in values if isinstance(value, dict) and isinstance(value.get("Value"), str))
    return strings if len(strings) == len({str(value) for value in values}) else frozenset()


def looks_of(conditions: Json) -> Looks:
    """What they look at. No variable is missed, wherever it stands."""
    found, todo = Looks(), [conditions]
    while todo:
        here, inner = _look(todo.pop())
        found |= here
        todo += inner
    return found


def _look(node: Json) -> tuple[Looks, Sequence[Json]]:
    """What is looked at here, and where to look on."""
    found, inner = Looks(), []
    match node:
        case {"Record": dict(values)}:  # whose names are no operators
            inner = [*values.values()]
        case {"Var": "context"}:
            found = Looks(whole=frozenset(SETS))
        case {"Var": "resource"}:
            found = Looks(POLICY)
        case {"has": {"left": {"Var": "context"}, "attr": str()}}:  # all of them are always there
            pass
        case {".": {"left": {"Var": "context"}, "attr": str(name)}}:
            found = Looks(whole=frozenset({name}))
        case dict() if compared := _comparison(node):
            found = compared
        case dict():
            inner = [*node.values()]
        case list():
            inner = node
    return found, inner


def _comparison(node: Mapping[str, Json]) -> Looks | None:
    """Of one set of the context with what is the same for every question; None where it is something else."""
    [(op, inside)] = node.items() if len(node) == 1 else [("", None)]
    if op not in COMPARING or not isinstance(inside, dict):
        return None
    match [side for side in inside.values() if _has_variables(side)]:
        case [{".": {"left": {"Var": "context"}, "attr": str(name)}}]:
            strings = (value for side in inside.values() for value in _nodes(side) if isinstance(value, str))
            return Looks(compared=frozenset({name}), literals=frozenset(strings))
    return None


def _nodes(node: Json) -> Iterator[Json]:
    """All that it is made of."""
    todo = [node]
    while todo:
        here = todo.pop()
        yield here
        todo += here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()


def _has_variables(node: Json) -> bool:
    return any(isinstance(one, dict) and not VARIABLES.isdisjoint(one) for one in _nodes(node))
