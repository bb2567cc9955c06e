"""Cedar decides: deny by default, rules (Cedar calls them policies) from a file, checked against a schema made from operations.

Principal `Caller::"name"`, action = the operation, resource `Policy::"tenant/id"` in `Tenant::"name"`. context: what is
touched, as sets, because Cedar has no "for all": `["group"].containsAll(context.kinds)` permits groups only. Whoever touches
all users or all devices, by a pseudo group too, needs a permit for the action `TouchEveryone` as well.
"""

import json
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cedarpy

from gateway.files import version_of
from gateway.odata.targets import EVERYONE
from gateway.operations import OPERATIONS

log = logging.getLogger(__name__)

TOUCH_EVERYONE = "TouchEveryone"
MOST_REMEMBERED = 20_000
SETS = ("kinds", "added_ids", "removed_ids", "filter_ids", "filter_types")
SCHEMA = f"""
entity Caller;
entity Tenant;
entity Policy in [Tenant];
action {", ".join(f'"{name}"' for name in (*OPERATIONS, TOUCH_EVERYONE))} appliesTo {{
  principal: [Caller], resource: [Policy],
  context: {{ {", ".join(f"{name}: Set<String>" for name in SETS)} }}
}};
"""


class RulesError(Exception):
    """The file of rules cannot be used; the text says where and why."""


@dataclass(frozen=True)
class Question:
    """May `caller` carry out `operation`? kinds: of every target that is touched, as in the proto's oneof, and for a pseudo
    group also the broad one that it means. added_ids, removed_ids: of groups (lower case) and collections. filter_types:
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


class Answer(NamedTuple):
    """missing: the action that is not permitted, empty if all are. because: the rules that decided, by @id or number."""

    missing: str
    because: tuple[str, ...]


class Cedar:
    """Answers from the file's rules; reads it anew on `look`, and keeps the old ones where the new are wrong."""

    def __init__(self, path: Path) -> None:
        """Raises RulesError."""
        self._path = path
        self._schema = cedarpy.Schema.from_str(SCHEMA)
        self._seen = version_of(self._path)
        # The rules with the answers that they gave: `look` runs in another thread, and puts both in place at once.
        self._current: tuple[cedarpy.PolicySet, dict[Question, Answer]] = self._load(), {}

    def ask(self, question: Question) -> Answer:
        """Under 100 µs, or 1 for a question that was asked before: the answer depends on nothing but the rules."""
        rules, remembered = self._current
        found = remembered.get(question)
        if found is None:
            if len(remembered) >= MOST_REMEMBERED:
                remembered.clear()
            found = remembered[question] = _decide(rules, question)
        return found

    def look(self) -> None:
        """Takes the file's rules if it has changed and they are fit."""
        seen = version_of(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._current = self._load(), {}
        except RulesError as exc:
            log.error("the new rules are wrong; the old ones stay", extra={"why": str(exc)})  # noqa: TRY400
        else:
            log.info("rules loaded", extra={"file": str(self._path)})

    def _load(self) -> cedarpy.PolicySet:
        try:
            text = self._path.read_text()
            rules = cedarpy.PolicySet.from_str(text)
            checked = cedarpy.validate_policies(text, self._schema)
        except (OSError, ValueError) as exc:
            raise RulesError(f"{self._path}: {exc}") from exc
        if not checked.validation_passed:
            raise RulesError(f"{self._path}: " + "; ".join(str(error) for error in checked.errors))
        return rules


def _decide(rules: cedarpy.PolicySet, question: Question) -> Answer:
    actions = (question.operation, *((TOUCH_EVERYONE,) if question.kinds & EVERYONE else ()))
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
            return Answer(action, reasons)
        because += reasons
    return Answer("", tuple(because))


@lru_cache(maxsize=10_000)
def _entities(tenant: str, resource: str) -> cedarpy.Entities:
    uid, parent = {"type": "Policy", "id": resource}, {"type": "Tenant", "id": tenant}
    entities = [{"uid": uid, "attrs": {}, "parents": [parent]}, {"uid": parent, "attrs": {}, "parents": []}]
    return cedarpy.Entities.from_json_str(json.dumps(entities))
