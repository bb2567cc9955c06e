"""Authorises with Cedar: deny by default, rules (Cedar calls them policies) from a file (see rules.py).

Principal `Caller::"name"`, action = the operation, resource `Policy::"tenant/id"` in `Tenant::"name"`. context: what is
touched, as sets, because Cedar has no "for all": `["group"].containsAll(context.kinds)` permits only groups. Touching all users
or all devices, also by a pseudo group, needs a permit for the action `TouchEveryone` as well; touching a target of a type that
the gateway does not know needs one for `TouchUnknown`. `ReadNames` permits display names of the kinds in `context.kinds`:
`policy`, `group` or `filter`. For a read that is passed on (`ReadThrough`) the context has the `path`, with `{id}` for keys,
and the `kind` of its first resource; for other actions both are empty.
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cedarpy

from gateway.files import version_of
from gateway.metrics import RELOADS
from gateway.pipeline.conditions import SETS
from gateway.pipeline.rules import TOUCHES, RulesError, read_rules
from gateway.pipeline.slices import Asked, Seen, Slices

log = logging.getLogger(__name__)

# Bytes that remembered answers may take, and what one takes, and each id in it (measured with tracemalloc, Python 3.11).
CACHE_BYTES = 16 << 20
OF_AN_ANSWER, OF_AN_ID = 1_500, 160
MOST_CALLERS = 10_000


@dataclass(frozen=True)
class Question:
    """May `caller` carry out `operation`? kinds: of every touched target, as in the proto's oneof; for a pseudo group also the
    broad kind that it means. added_ids, removed_ids: of groups and collections, see judged_id. filter_types: `include`,
    `exclude`. path, kind: of a read that is passed on."""

    caller: str
    operation: str
    tenant: str
    policy: str
    kinds: frozenset[str] = frozenset()
    added_ids: frozenset[str] = frozenset()
    removed_ids: frozenset[str] = frozenset()
    filter_ids: frozenset[str] = frozenset()
    filter_types: frozenset[str] = frozenset()
    path: str = ""
    kind: str = ""


ANYWHERE = Question("", "", "", "")


class Decision(NamedTuple):
    """missing: the action that is not permitted; empty if all are. because: the rules that decided, by @id or number."""

    missing: str
    because: tuple[str, ...]


@dataclass(eq=False)
class _Answers:
    """What some rules have answered, by caller, action and what they look at; the oldest is forgotten first. most, weight:
    bytes."""

    rules: Slices
    most: int
    weight: int = 0
    found: dict[tuple[str, str, Seen], Decision] = field(default_factory=dict)

    def of(self, caller: str, action: str, question: Asked) -> Decision:
        """By all the rules; remembered."""
        sliced = self.rules.of(caller, action, question)
        seen = sliced.seen(question)
        key = (caller, action, seen)
        found = self.found.get(key)
        if found is None:
            found = self.found[key] = _decide(sliced.rules, caller, action, seen)
            self.weight += _weight(seen)
            while self.weight > self.most:
                _, _, oldest = next(iter(self.found))
                del self.found[next(iter(self.found))]
                self.weight -= _weight(oldest)
        return found


class _Current(NamedTuple):
    """Of one state of the file. where: see Authorizer; by caller and operation, with the tenants that were asked of."""

    whole: _Answers
    scopes: _Answers
    where: dict[tuple[str, str], tuple[Collection[str], Collection[str]]]


class Cedar:
    """Answers by the file's rules. `reload` takes a changed file, and keeps the old rules if the new ones are wrong."""

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES) -> None:
        """cache_bytes: bytes for answers. Raises RulesError."""
        self._path, self._most = path, cache_bytes
        self._seen = version_of(self._path)
        self._fault = ""
        # The rules with the answers that they gave: `reload` runs in another thread, and puts all in place at once.
        self._current = self._read()

    def ask(self, question: Question) -> Decision:
        """Takes under 100 µs, or a few for a cached answer. Answers are cached by what the rules look at, since they depend on
        nothing else."""
        whole = self._current.whole
        found = whole.of(question.caller, question.operation, question)
        for touch, kinds in TOUCHES.items():
            if not (found.missing or kinds.isdisjoint(question.kinds)):
                more = whole.of(question.caller, touch, question)
                found = more if more.missing else Decision("", found.because + more.because)
        return found

    def where(self, caller: str, operation: str, tenants: Collection[str]) -> Collection[str]:
        """By the principals and actions of the permits, and the tenants that rules name. Remembered."""
        current = self._current
        asked_of, found = current.where.get((caller, operation), ((), ()))
        if asked_of is not tenants:
            may = not current.scopes.of(caller, operation, ANYWHERE).missing
            found = current.whole.rules.apart(caller, tenants) if may else ()
            if len(current.where) >= MOST_CALLERS:
                current.where.clear()
            current.where[caller, operation] = tenants, found
        return found

    def _read(self) -> _Current:
        rules = read_rules(self._path)
        return _Current(_Answers(rules.whole, self._most), _Answers(rules.scopes, self._most), {})

    def reload(self) -> None:
        """Takes the file's rules if it has changed and they are fit."""
        seen = version_of(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._current = self._read()
        except RulesError as exc:
            self._fault = f"the new rules are wrong, and the previous ones stay in use: {exc}"
            RELOADS.labels("rules", "refused").inc()
            log.error("the new rules are wrong; the old ones stay", extra={"why": str(exc)})  # noqa: TRY400
        else:
            self._fault = ""
            RELOADS.labels("rules", "ok").inc()
            log.info("rules loaded", extra={"file": str(self._path)})

    def health(self) -> Mapping[str, str]:
        return {"authorization.rules_file": self._fault}


def _weight(seen: Seen) -> int:
    return OF_AN_ANSWER + len(seen.policy) + len(seen.path) + OF_AN_ID * sum(map(len, seen.sets))


def _decide(rules: cedarpy.PolicySet, caller: str, action: str, seen: Seen) -> Decision:
    resource = f"{seen.tenant}/{seen.policy}"
    result = cedarpy.is_authorized(
        {
            "principal": {"type": "Caller", "id": caller},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Policy", "id": resource},
            "context": {
                **{name: sorted(members) for name, members in zip(SETS, seen.sets, strict=True)},
                "path": seen.path,
                "kind": seen.kind,
            },
        },
        rules,
        _entities(seen.tenant, resource),
    )
    named = result.diagnostics.id_annotations_by_reason
    reasons = tuple(str(named.get(reason) or reason) for reason in result.diagnostics.reasons)
    return Decision("" if result.allowed else action, reasons)


@lru_cache(maxsize=10_000)
def _entities(tenant: str, resource: str) -> cedarpy.Entities:
    uid, parent = {"type": "Policy", "id": resource}, {"type": "Tenant", "id": tenant}
    entities = [{"uid": uid, "attrs": {}, "parents": [parent]}, {"uid": parent, "attrs": {}, "parents": []}]
    return cedarpy.Entities.from_json_str(json.dumps(entities))
