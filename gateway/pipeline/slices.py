"""Which rules can apply to a question, and what they look at. Cedar evaluates every rule that it is given, so it gets only
those whose scope can match; and what none of these looks at is left out of the question, so that one cached answer serves many.

Nothing is guessed: both are read from Cedar's own JSON form of the rules. A rule of an unknown form belongs to every slice, and
counts as looking at everything. tests/unit/test_slices.py checks the answers against the whole file.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple, Protocol

import cedarpy

WORDS = ("path", "kind")  # of a read that is passed on; empty otherwise
SETS = ("kinds", "added_ids", "removed_ids", "filter_ids", "filter_types")
# How much of a resource is looked at.
NOTHING, TENANT, POLICY = range(3)
# Operators that look at what a set has, by equality alone.
COMPARING = {"contains", "containsAll", "containsAny", "==", "!=", "isEmpty"}
VARIABLES = {"Var", "Slot", "Unknown"}
# Stands for every member of a set that no rule names.
OTHER = "\0"
# A slice of more rules is not made: the time it takes (80 µs a rule) would be the loop's. All rules are asked instead.
MOST_RULES = 100
# Rules in all slices that are kept, and how many callers' scopes are.
RULES_KEPT, SCOPES_KEPT = 10_000, 1_000

Json = Any


class Asked(Protocol):
    """Of a Question, what rules can look at beside caller and action."""

    @property
    def tenant(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...


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


class Seen(NamedTuple):
    """What is left of a question; see Slice.seen. by: the number of the slice. sets: in the order of SETS."""

    by: int
    tenant: str
    policy: str
    sets: tuple[frozenset[str], ...]
    path: str = ""
    kind: str = ""


NO_SETS = (frozenset[str](),) * len(SETS)


@dataclass(frozen=True)
class Slice:
    """rules: all that can apply, and maybe more. number: its own."""

    rules: cedarpy.PolicySet
    looks: Looks
    number: int = field(default_factory=itertools.count().__next__)

    def seen(self, question: Asked) -> Seen:
        """The part of a question that the rules look at: two questions with the same part have the same answer."""
        looks = self.looks
        return Seen(
            self.number,
            question.tenant if looks.place >= TENANT else "",
            question.policy if looks.place >= POLICY else "",
            tuple(self._seen(name, getattr(question, name)) for name in SETS) if looks.whole or looks.compared else NO_SETS,
            question.path,
            question.kind,
        )

    def _seen(self, name: str, members: frozenset[str]) -> frozenset[str]:
        looks = self.looks
        if name in looks.whole or not members or OTHER in looks.literals:
            return members
        if name not in looks.compared:
            return frozenset()
        named = members & looks.literals
        return named if len(named) == len(members) else named | {OTHER}


class Rule(NamedTuple):
    """number: its place in the file. caller, actions: whom and what it is for, None for any. place: the resource that it is
    for, by type and id. None for any, or where that cannot be told."""

    number: int
    body: Json
    caller: str | None
    actions: frozenset[str] | None
    place: tuple[str, str] | None
    looks: Looks

    @property
    def name(self) -> str:
        """As Cedar gives them, to rules without one."""
        return f"policy{self.number}"


def rule_of(number: int, body: Json) -> Rule:
    """body: a rule in Cedar's JSON form."""
    (place, looks), conditions = _place_of(body["resource"]), body["conditions"]
    return Rule(number, body, _caller_of(body["principal"]), _actions_of(body["action"]), place, looks | looks_of(conditions))


def _caller_of(scope: Json) -> str | None:
    entity = scope.get("entity", {}) if scope["op"] in ("==", "in") else {}
    return entity.get("id") if entity.get("type") == "Caller" else None


def _actions_of(scope: Json) -> frozenset[str] | None:
    """There are no groups of actions, so that each is in itself alone."""
    if scope["op"] not in ("==", "in"):
        return None
    entities = scope.get("entities") or [scope.get("entity", {})]
    return frozenset(one["id"] for one in entities) if all(one.get("type") == "Action" for one in entities) else None


def _place_of(scope: Json) -> tuple[tuple[str, str] | None, Looks]:
    """The resource, and how much of it that makes count."""
    op, entity = scope["op"], scope.get("entity") or scope.get("in", {}).get("entity")
    if op == "All" or (op == "is" and "in" not in scope):
        return None, Looks()
    match op, entity:
        case ("in" | "is", {"type": "Tenant", "id": str(name)}):
            return ("Tenant", name), Looks(TENANT)
        case ("in" | "==", {"type": "Policy", "id": str(name)}):
            return ("Policy", name), Looks(POLICY)
        case _:
            return None, Looks(POLICY)


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


@dataclass(eq=False)
class _Scope:
    """What can apply to a caller and an action. placed: rules for one tenant or one policy, by that. slices: that were asked
    for, by the places that count."""

    anywhere: Sequence[Rule]
    placed: Mapping[tuple[str, str], Sequence[Rule]]
    slices: dict[tuple[str | None, str | None], Slice] = field(default_factory=dict)


class Slices:
    """Of some rules, which have to be all in `whole`, under their names."""

    def __init__(self, rules: Sequence[Rule], whole: cedarpy.PolicySet) -> None:
        self._whole = whole
        self._by_caller: dict[str | None, list[Rule]] = defaultdict(list)
        for rule in rules:
            self._by_caller[rule.caller].append(rule)
        self._scopes: dict[tuple[str | None, str], _Scope] = {}
        self._made: dict[tuple[int, ...], Slice] = {}
        self._weight = 0

    def of(self, caller: str, action: str, tenant: str, policy: str) -> Slice:
        """For questions of this caller, action and place."""
        who = caller if caller in self._by_caller else None
        scope = self._scopes.get((who, action)) or self._scope(who, action)
        resource = f"{tenant}/{policy}"
        place = (
            tenant if ("Tenant", tenant) in scope.placed else None,
            resource if ("Policy", resource) in scope.placed else None,
        )
        found = scope.slices.get(place)
        if found is None:
            placed = (scope.placed.get(key, ()) for key in (("Tenant", tenant), ("Policy", resource)))
            rules = sorted((*scope.anywhere, *(rule for some in placed for rule in some)), key=lambda rule: rule.number)
            found = scope.slices[place] = self._slice(rules)
        return found

    def apart(self, caller: str, tenants: Collection[str]) -> Collection[str]:
        """The tenants that rules for the caller distinguish, and two that stand for all others."""
        rules = self._for(caller if caller in self._by_caller else None)
        if any(rule.looks.place == POLICY and rule.place is None for rule in rules):
            return tenants
        named = {rule.place[1].partition("/")[0] for rule in rules if rule.place}
        return [*(one for one in tenants if one in named), *itertools.islice((one for one in tenants if one not in named), 2)]

    def _for(self, who: str | None) -> list[Rule]:
        own = self._by_caller.get(who, []) if who is not None else []
        return [*own, *self._by_caller.get(None, [])]

    def _scope(self, who: str | None, action: str) -> _Scope:
        anywhere: list[Rule] = []
        placed: dict[tuple[str, str], list[Rule]] = defaultdict(list)
        for rule in self._for(who):
            if rule.actions is None or action in rule.actions:
                (placed[rule.place] if rule.place else anywhere).append(rule)
        while len(self._scopes) >= SCOPES_KEPT:
            del self._scopes[next(iter(self._scopes))]
        self._scopes[who, action] = scope = _Scope(anywhere, dict(placed))
        return scope

    def _slice(self, rules: Sequence[Rule]) -> Slice:
        numbers = tuple(rule.number for rule in rules)
        found = self._made.get(numbers)
        if found is None:
            looks = reduce(Looks.__or__, (rule.looks for rule in rules), Looks())
            few = len(rules) <= MOST_RULES  # all rules have some for other places, too
            found = Slice(policy_set(rules), looks) if few else Slice(self._whole, looks | Looks(POLICY))
            self._made[numbers] = found
            self._weight += len(numbers)
            while self._weight > RULES_KEPT and len(self._made) > 1:
                oldest = next(iter(self._made))
                del self._made[oldest]
                self._weight -= len(oldest)
        return found


def policy_set(rules: Sequence[Rule], *, release_gil: bool = False) -> cedarpy.PolicySet:
    """The rules under their names. release_gil: see cedarpy; for who has the time."""
    bodies = {rule.name: rule.body for rule in rules}
    text = json.dumps({"staticPolicies": bodies, "templates": {}, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text, release_gil=release_gil)
