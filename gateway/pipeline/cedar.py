"""Cedar decides: deny by default, rules (Cedar calls them policies) from a file (see rules.py).

Principal `Caller::"name"`, action = the operation, resource `Policy::"tenant/id"` in `Tenant::"name"`. context: what is
touched, as sets, because Cedar has no "for all": `["group"].containsAll(context.kinds)` permits groups only. Whoever touches
all users or all devices, by a pseudo group too, needs a permit for the action `TouchEveryone` as well, and whoever touches a
target of a type that the gateway does not know, one for `TouchUnknown`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cedarpy

from gateway.files import version_of
from gateway.metrics import RELOADS
from gateway.pipeline.rules import SETS, TOUCHES, Rules, RulesError, read_rules

log = logging.getLogger(__name__)

# Bytes that remembered answers may take, and what one takes, and each id in it (measured with tracemalloc, Python 3.11).
CACHE_BYTES = 16 << 20
OF_AN_ANSWER, OF_AN_ID = 1_500, 160


@dataclass(frozen=True)
class Question:
    """May `caller` carry out `operation`? kinds: of every target that is touched, as in the proto's oneof, and for a pseudo
    group also the broad one that it means. added_ids, removed_ids: of groups and collections, see judged_id. filter_types:
    `include`, `exclude`."""

    caller: str
    operation: str
    tenant: str
    policy: str
    kinds: frozenset[str] = frozenset()
    added_ids: frozenset[str] = frozenset()
    removed_ids: frozenset[str] = frozenset()
    filter_ids: frozenset[str] = frozenset()
    filter_types: frozenset[str] = frozenset()


class Decision(NamedTuple):
    """missing: the action that is not permitted, empty if all are. because: the rules that decided, by @id or number."""

    missing: str
    because: tuple[str, ...]


@dataclass(eq=False)
class _Answers:
    """What some rules have answered; the oldest is forgotten first. most, weight: bytes."""

    rules: Rules
    most: int
    weight: int = 0
    found: dict[Question, Decision] = field(default_factory=dict)

    def keep(self, question: Question, answer: Decision) -> None:
        self.found[question] = answer
        self.weight += _weight(question)
        while self.weight > self.most:
            oldest = next(iter(self.found))
            del self.found[oldest]
            self.weight -= _weight(oldest)


class Cedar:
    """Answers from the file's rules; reads it anew on `reload`, and keeps the old ones where the new are wrong."""

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES) -> None:
        """cache_bytes: bytes for answers. Raises RulesError."""
        self._path, self._most = path, cache_bytes
        self._seen = version_of(self._path)
        self._fault = ""
        # The rules with the answers that they gave: `reload` runs in another thread, and puts both in place at once.
        self._current = _Answers(read_rules(path), cache_bytes)

    def ask(self, question: Question) -> Decision:
        """Under 100 µs, or 1 for a question that was asked before: the answer depends on nothing but the rules."""
        current = self._current
        found = current.found.get(question)
        if found is None:
            found = _decide(current.rules.whole, question)
            current.keep(question, found)
        return found

    def may_ever(self, caller: str, operation: str) -> bool:
        """As fast, by the principals and actions of the permits alone."""
        current, question = self._current, Question(caller, operation, "", "")
        found = current.found.get(question)
        if found is None:
            found = _decide(current.rules.scopes, question)
            current.keep(question, found)
        return not found.missing

    def reload(self) -> None:
        """Takes the file's rules if it has changed and they are fit."""
        seen = version_of(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._current = _Answers(read_rules(self._path), self._most)
        except RulesError as exc:
            self._fault = f"the new rules are wrong, and the old ones count: {exc}"
            RELOADS.labels("rules", "refused").inc()
            log.error("the new rules are wrong; the old ones stay", extra={"why": str(exc)})  # noqa: TRY400
        else:
            self._fault = ""
            RELOADS.labels("rules", "ok").inc()
            log.info("rules loaded", extra={"file": str(self._path)})

    def health(self) -> Mapping[str, str]:
        return {"authorization.rules_file": self._fault}


def _weight(question: Question) -> int:
    return OF_AN_ANSWER + len(question.policy) + OF_AN_ID * sum(len(getattr(question, name)) for name in SETS)


def _decide(rules: cedarpy.PolicySet, question: Question) -> Decision:
    actions = (question.operation, *(touch for touch, kinds in TOUCHES.items() if question.kinds & kinds))
    because: list[str] = []
    resource = {"type": "Policy", "id": f"{question.tenant}/{question.policy}"}
    context = {name: sorted(getattr(question, name)) for name in SETS}
    for action in actions:
        result = cedarpy.is_authorized(
            {
                "principal": {"type": "Caller", "id": question.caller},
                "action": {"type": "Action", "id": action},
                "resource": resource,
                "context": context,
            },
            rules,
            _entities(question.tenant, resource["id"]),
        )
        named = result.diagnostics.id_annotations_by_reason
        reasons = tuple(str(named.get(reason) or reason) for reason in result.diagnostics.reasons)
        if not result.allowed:
            return Decision(action, reasons)
        because += reasons
    return Decision("", tuple(because))


@lru_cache(maxsize=10_000)
def _entities(tenant: str, resource: str) -> cedarpy.Entities:
    uid, parent = {"type": "Policy", "id": resource}, {"type": "Tenant", "id": tenant}
    entities = [{"uid": uid, "attrs": {}, "parents": [parent]}, {"uid": parent, "attrs": {}, "parents": []}]
    return cedarpy.Entities.from_json_str(json.dumps(entities))
