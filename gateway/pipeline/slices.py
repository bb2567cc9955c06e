"""Which rules can apply to a question, and what they look at. Cedar evaluates every rule that it is given, so it gets only
those whose scope can match; and what none of these looks at is left out of the question, so that one cached answer serves many.

Nothing is guessed: both are read from Cedar's own JSON form of the rules. A rule of an unknown form belongs to every slice, and
counts as looking at everything. tests/unit/test_slices.py checks the answers against the whole file.
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple, Protocol

import cedarpy

from gateway.pipeline.conditions import POLICY, SETS, TENANT, Looks, Need, Place, looks_of, needs_of, place_of

WORDS = ("path", "kind")  # of a read that is passed on; empty otherwise
# Stands for every member of a set that no rule names.
OTHER = "\0"
# A slice of more rules is not made: the time it takes (80 µs a rule) would be the loop's. All rules are asked instead.
MOST_RULES = 100
# Of no more rules, it is not looked up what they need of sets: one slice serves all.
FEW_RULES = 20
# Rules in all slices that are kept, and how many callers' scopes are.
RULES_KEPT, SCOPES_KEPT, SLICES_KEPT = 10_000, 1_000, 1_000

Json = Any
Key = tuple[str, str | None]


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
    for. None for any, or where that cannot be told. needs: of sets."""

    number: int
    body: Json
    caller: str | None
    actions: frozenset[str] | None
    place: Place | None
    needs: Sequence[Need]
    looks: Looks

    @property
    def name(self) -> str:
        """As Cedar gives them, to rules without one."""
        return f"policy{self.number}"


def rule_of(number: int, body: Json) -> Rule:
    """body: a rule in Cedar's JSON form."""
    (place, looks), conditions = _place_of(body["resource"]), body["conditions"]
    place, needs, looks = place or place_of(conditions), needs_of(conditions), looks | looks_of(conditions)
    return Rule(number, body, _caller_of(body["principal"]), _actions_of(body["action"]), place, needs, looks)


def _caller_of(scope: Json) -> str | None:
    entity = scope.get("entity", {}) if scope["op"] in ("==", "in") else {}
    return entity.get("id") if entity.get("type") == "Caller" else None


def _actions_of(scope: Json) -> frozenset[str] | None:
    """There are no groups of actions, so that each is in itself alone."""
    if scope["op"] not in ("==", "in"):
        return None
    entities = scope.get("entities") or [scope.get("entity", {})]
    return frozenset(one["id"] for one in entities) if all(one.get("type") == "Action" for one in entities) else None


def _place_of(scope: Json) -> tuple[Place | None, Looks]:
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


@dataclass(eq=False)
class _Scope:
    """What can apply to a caller and an action. apart: rules for one tenant or policy, or for one member of a set, or for that
    to be empty, by that. sets: those that count here. whole: all rules of the file, with what these look at. slices: that were
    asked for, by what of `apart` applies."""

    anywhere: Sequence[Rule]
    apart: Mapping[Key, Sequence[Rule]]
    sets: Collection[str]
    whole: Slice
    slices: dict[tuple[Key, ...], Slice] = field(default_factory=dict)


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

    def of(self, caller: str, action: str, question: Asked) -> Slice:
        """For questions of this caller and action that are like this one."""
        who = caller if caller in self._by_caller else None
        scope = self._scopes.get((who, action)) or self._scope(who, action)
        places = ("Tenant", question.tenant), ("Policy", f"{question.tenant}/{question.policy}")
        applying: list[Key] = [place for place in places if place in scope.apart]
        for name in scope.sets:
            named = [(name, member) for member in sorted(getattr(question, name))] or [(name, None)]
            applying += [key for key in named if key in scope.apart]
        keys = tuple(applying)
        found = scope.slices.get(keys)
        if found is None:
            rules = {rule.number: rule for some in (scope.anywhere, *(scope.apart[key] for key in keys)) for rule in some}
            if len(scope.slices) >= SLICES_KEPT:
                scope.slices.clear()
            few = len(rules) <= MOST_RULES
            found = scope.slices[keys] = self._slice([rules[number] for number in sorted(rules)]) if few else scope.whole
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
        rules = [rule for rule in self._for(who) if rule.actions is None or action in rule.actions]
        ways = [_ways(rule, by_need=len(rules) > FEW_RULES) for rule in rules]
        often = Counter(key for some in ways for keys in some for key in keys)
        anywhere: list[Rule] = []
        apart: dict[Key, list[Rule]] = defaultdict(list)
        for rule, some in zip(rules, ways, strict=True):
            if not some:
                anywhere.append(rule)
            for key in min(some, key=lambda keys: max(often[key] for key in keys), default=()):
                apart[key].append(rule)
        while len(self._scopes) >= SCOPES_KEPT:
            del self._scopes[next(iter(self._scopes))]
        sets = [name for name in SETS if any(name == key[0] for key in apart)]
        # All rules have some for other places, too.
        whole = Slice(self._whole, reduce(Looks.__or__, (rule.looks for rule in rules), Looks(POLICY)))
        self._scopes[who, action] = scope = _Scope(anywhere, dict(apart), sets, whole)
        return scope

    def _slice(self, rules: Sequence[Rule]) -> Slice:
        numbers = tuple(rule.number for rule in rules)
        found = self._made.get(numbers)
        if found is None:
            looks = reduce(Looks.__or__, (rule.looks for rule in rules), Looks())
            found = self._made[numbers] = Slice(policy_set(rules), looks)
            self._weight += len(numbers)
            while self._weight > RULES_KEPT and len(self._made) > 1:
                oldest = next(iter(self._made))
                del self._made[oldest]
                self._weight -= len(oldest)
        return found


def _ways(rule: Rule, *, by_need: bool) -> list[Sequence[Key]]:
    """How it can be kept apart from others."""
    return [*([[rule.place]] if rule.place else []), *(need.keys for need in rule.needs if by_need)]


def policy_set(rules: Sequence[Rule], *, release_gil: bool = False) -> cedarpy.PolicySet:
    """The rules under their names. release_gil: see cedarpy; for who has the time."""
    bodies = {rule.name: rule.body for rule in rules}
    text = json.dumps({"staticPolicies": bodies, "templates": {}, "templateLinks": []})
    return cedarpy.PolicySet.from_json_str(text, release_gil=release_gil)
