"""The file of rules, read: parsed, checked against a schema made from the operations, and refused where it names what can
never match, so that nobody relies on a rule that does nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cedarpy

from gateway.ids import canonical_guid, judged_id
from gateway.odata.targets import EVERYONE, KINDS, UNKNOWN
from gateway.operations import OPERATIONS

# Actions that need a permit of their own, beside the operation's, where one of these kinds is touched.
TOUCHES = {"TouchEveryone": EVERYONE, "TouchUnknown": frozenset({UNKNOWN})}
SETS = ("kinds", "added_ids", "removed_ids", "filter_ids", "filter_types")
FILTER_TYPES = ("include", "exclude")
SCHEMA = cedarpy.Schema.from_str(f"""
entity Caller;
entity Tenant;
entity Policy in [Tenant];
action {", ".join(f'"{name}"' for name in (*OPERATIONS, *TOUCHES))} appliesTo {{
  principal: [Caller], resource: [Policy],
  context: {{ {", ".join(f"{name}: Set<String>" for name in SETS)} }}
}};
""")
# What a string in a condition can be, beside an id.
WORDS = frozenset((*KINDS, *SETS, *FILTER_TYPES))
# A comment, an annotation, or a string with the type of the entity that it names, if it does.
STRING = re.compile(r'//[^\n]*|@\w+\s*\(\s*"(?:\\.|[^"\\])*"|(?:(\w+)\s*::\s*)?"((?:\\.|[^"\\])*)"', re.DOTALL)


class RulesError(Exception):
    """The file of rules cannot be used; the text says where and why."""


class Rules(NamedTuple):
    """whole: as in the file. scopes: its permits with the principal and the action that they are for, and nothing else: what
    these do not permit, the whole does not either, whatever the policy and the targets."""

    whole: cedarpy.PolicySet
    scopes: cedarpy.PolicySet


def read_rules(path: Path) -> Rules:
    """Raises RulesError."""
    try:
        text = path.read_text()
        rules = cedarpy.PolicySet.from_str(text)
        checked = cedarpy.validate_policies(text, SCHEMA)
        scopes = cedarpy.PolicySet.from_json_str(_scopes(cedarpy.policies_to_json_str(text)))
    except (OSError, ValueError) as exc:
        raise RulesError(f"{path}: {exc}") from exc
    faults = [*(str(error) for error in checked.errors), *_never_matching(text)]
    if faults:
        raise RulesError(f"{path}: " + "; ".join(faults))
    return Rules(rules, scopes)


def _scopes(rules: str) -> str:
    permits = {
        name: {**rule, "resource": {"op": "All"}, "conditions": []}
        for name, rule in json.loads(rules)["staticPolicies"].items()
        if rule["effect"] == "permit"
    }
    return json.dumps({"staticPolicies": permits, "templates": {}, "templateLinks": []})


def _never_matching(text: str) -> Iterator[str]:
    for found in STRING.finditer(text):
        entity, value = found.groups()
        if value is None or (entity not in (None, "Policy")) or value in WORDS:
            continue
        tenant, slash, policy = value.partition("/")
        judged = judged_id(value) if entity is None else f"{tenant}{slash}{canonical_guid(policy)}"
        if judged != value:
            line = text.count("\n", 0, found.start(2)) + 1
            why = "it is no kind of target, and as an id" if entity is None else "it"
            yield f'line {line}: "{value}" can never match: {why} is judged as "{judged}"'
