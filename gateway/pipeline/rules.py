"""Reads the rules file: parses it, checks it against a schema made from the operations, and refuses rules that can never match,
so that nobody relies on a rule without effect."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cedarpy

from gateway.ids import canonical_guid, judged_id
from gateway.odata.targets import EVERYONE, KINDS, UNKNOWN
from gateway.operations import PERMITTED
from gateway.pipeline.conditions import SETS
from gateway.pipeline.slices import WORDS as READ
from gateway.pipeline.slices import Rule, Slices, policy_set, rule_of

# Actions that need a permit in addition to the operation's, if one of these kinds is touched.
TOUCHES = {"TouchEveryone": EVERYONE, "TouchUnknown": frozenset({UNKNOWN})}
# The action that permits display names; `context.kinds` has one of these.
READ_NAMES, NAMED = "ReadNames", ("policy", "group", "filter")
ACTIONS = (*PERMITTED, *TOUCHES, READ_NAMES)
FILTER_TYPES = ("include", "exclude")
SCHEMA = cedarpy.Schema.from_str(f"""
entity Caller;
entity Tenant;
entity Policy in [Tenant];
action {", ".join(f'"{name}"' for name in ACTIONS)} appliesTo {{
  principal: [Caller], resource: [Policy],
  context: {{ {", ".join(f"{name}: Set<String>" for name in SETS)}, {", ".join(f"{name}: String" for name in READ)} }}
}};
""")
# The strings that a condition can compare with, beside IDs.
WORDS = frozenset((*KINDS, *NAMED, *SETS, *FILTER_TYPES, *READ))
# A path that is read through, or the kind of its first resource.
READS = re.compile(r"[a-z*][A-Za-z0-9*]*(?:/(?:[A-Za-z0-9*]+|\{id\}\*?|\$count))*/?")
# The context of such a string: the text before it, or after it.
COMPARED = re.compile(r'context(?:\s*\.\s*|\s*\[\s*")(?:kind|path)(?:"\s*\])?\s*(?:==|!=|like)\s*$')
LISTED = re.compile(r'[\s,]*(?:"[^"]*"[\s,]*)*\]\s*\.\s*contains\s*\(\s*context\s*\.\s*(?:kind|path)\b')
NEAR = 200
# A comment, an annotation, or a string with the type of the entity that it names, if it does.
STRING = re.compile(r'//[^\n]*|@\w+\s*\(\s*"(?:\\.|[^"\\])*"|(?:(\w+)\s*::\s*)?"((?:\\.|[^"\\])*)"', re.DOTALL)
# What a rule is made of: comments, strings, the semicolon at its end, and the rest.
TOKEN = re.compile(r'(//[^\n]*)|(;)|"(?:\\.|[^"\\])*"|[^\s;"/]+|\S', re.DOTALL)
ACTION = re.compile(r' for Action::"\w+"')
NEWLINE = "\n"
ANYWHERE = {"resource": {"op": "All"}, "conditions": []}
# Rules that Cedar takes apart in one go; it keeps Python's lock meanwhile, about 5 ms.
AT_ONCE = 20


class RulesError(Exception):
    """The rules file cannot be used; the message says where and why."""


class Rules(NamedTuple):
    """whole: the policies of the file. scopes: its permits reduced to principal and action: what these do not permit, the whole
    does not permit either, whatever the policy and the targets."""

    whole: Slices
    scopes: Slices


def read_rules(path: Path) -> Rules:
    """Raises RulesError. Cedar never keeps Python's lock for long."""
    try:
        text = path.read_text()
    except (OSError, ValueError) as exc:
        raise RulesError(f"{path}: {exc}") from exc
    starts = [*_starts(text)]
    mistakes = [*_unreadable(text, starts)] or [*_invalid(text, starts), *_never_matching(text)]
    rules = [] if mistakes else [*_taken_apart(text, starts, mistakes)]
    whole = None if mistakes else cedarpy.PolicySet.from_str(text, release_gil=True)
    if whole is None or len(rules) != len(whole):
        raise RulesError(f"{path}: " + ("; ".join(mistakes) or "cannot be split into its rules"))
    scopes = [rule_of(rule.number, {**rule.body, **ANYWHERE}) for rule in rules if rule.body["effect"] == "permit"]
    return Rules(Slices(rules, whole), Slices(scopes, policy_set(scopes, release_gil=True)))


def _starts(text: str) -> Iterator[int]:
    """Where each rule begins."""
    inside = False
    for token in TOKEN.finditer(text):
        comment, end = token.groups()
        if comment is None:
            if not inside:
                yield token.start()
            inside = end is None


def _unreadable(text: str, starts: list[int]) -> Iterator[str]:
    """Each rule that Cedar cannot read; it says why, and not where."""
    for start, end in pairwise([*starts, len(text)]):
        try:
            cedarpy.PolicySet.from_str(text[start:end])
        except ValueError as exc:
            yield f"{_place(text, start)}: {exc}"


def _invalid(text: str, starts: list[int]) -> Iterator[str]:
    """What does not fit the schema, once for each rule, whichever actions it is wrong for."""
    told = set()
    for error in cedarpy.validate_policies(text, SCHEMA, release_gil=True).errors:
        number = int(error.policy_id.removeprefix("policy"))
        why = error.error.removeprefix(f"for policy `{error.policy_id}`, ")
        if (number, ACTION.sub("", why)) not in told:
            told.add((number, ACTION.sub("", why)))
            yield f"{_place(text, starts[number])}: {why}"


def _taken_apart(text: str, starts: list[int], mistakes: list[str]) -> Iterator[Rule]:
    """The rules in Cedar's JSON form, but for templates. mistakes: more of them, to add to."""
    ends = [*starts[AT_ONCE::AT_ONCE], len(text)]
    for first, end in zip(range(0, len(starts), AT_ONCE), ends, strict=False):
        try:
            bodies = json.loads(cedarpy.policies_to_json_str(text[starts[first] : end]))["staticPolicies"]
        except RecursionError:
            place = _place(text, starts[first])
            mistakes.append(
                f"{place} to {_place(text, end)}: a rule is nested too deeply; containsAny with a list can express the same"
            )
        else:
            yield from (rule_of(first + int(name.removeprefix("policy")), body) for name, body in bodies.items())


def _place(text: str, offset: int) -> str:
    return f"line {text.count(NEWLINE, 0, offset) + 1}, column {offset - text.rfind(NEWLINE, 0, offset)}"


def _never_matching(text: str) -> Iterator[str]:
    for found in STRING.finditer(text):
        entity, value = found.groups()
        if value is None or (entity not in (None, "Policy")) or value in WORDS:
            continue
        if entity is None and READS.fullmatch(value) and ("/" in value or _of_a_read(text, found.start(), found.end())):
            continue
        tenant, slash, policy = value.partition("/")
        judged = judged_id(value) if entity is None else f"{tenant}{slash}{canonical_guid(policy)}"
        if judged != value:
            place = _place(text, found.start(2) - 1)
            why = "it is not a kind of target, and an ID" if entity is None else "it"
            yield f'{place}: "{value}" can never match: {why} is compared as "{judged}"'


def _of_a_read(text: str, start: int, end: int) -> bool:
    """Whether the word between these is compared with what is read through."""
    return bool(COMPARED.search(text[max(0, start - NEAR) : start]) or LISTED.match(text[end : end + NEAR]))
