"""Cedar's rules and answers: what can never match is refused; what is remembered has an end."""

import tracemalloc
import uuid
from pathlib import Path

import pytest

from gateway.pipeline.cedar import Cedar, Question
from gateway.pipeline.rules import RulesError

OPS = 'permit(principal == Caller::"ops", action, resource);'
LOOKS = """forbid(principal, action, resource == Policy::"none/none");
permit(principal, action, resource) when { context.added_ids == context.removed_ids && resource in Tenant::"none" };"""
MIB = 1 << 20


def cedar(folder: Path, rules: str = OPS, most: int = MIB) -> Cedar:
    (folder / "rules.cedar").write_text(rules)
    return Cedar(folder / "rules.cedar", most)


def question(ids: int, caller: str = "nobody") -> Question:
    added = frozenset(str(uuid.uuid4()) for _ in range(ids))
    return Question(caller, "ReplaceComplianceAssignments", "tenant", str(uuid.uuid4()), frozenset({"group"}), added)


@pytest.mark.parametrize(("ids", "asked"), [(1_000, 5), (0, 250)])
def test_what_is_remembered_of_answers_is_bounded_by_its_weight(tmp_path: Path, ids: int, asked: int):
    rules = cedar(tmp_path, f"{OPS} {LOOKS}", most=MIB // 8)
    rules.ask(question(0))
    tracemalloc.start()
    try:
        for _ in range(asked):
            assert rules.ask(question(ids)).missing
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < MIB // 4


def test_an_answer_is_remembered(tmp_path: Path):
    rules, asked = cedar(tmp_path), question(10, "ops")
    assert rules.ask(asked) is rules.ask(asked)
    assert rules.ask(asked).missing == ""


def test_an_answer_that_is_over_the_bound_is_given_all_the_same(tmp_path: Path):
    rules, asked = cedar(tmp_path, most=100), question(10, "ops")
    assert [rules.ask(asked).missing for _ in range(2)] == ["", ""]


GUID = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
FORBID = "// Nobody.\nforbid(principal, action, resource)\nwhen {{ {} }};"
NEVER = {
    "a group in capitals": (f'context.added_ids.contains("{GUID.upper()}")', GUID),
    "a group in some capitals": (f'["{GUID.title()}"].containsAny(context.removed_ids)', GUID),
    "a group without hyphens": (f'context.added_ids.contains("{GUID.replace("-", "")}")', GUID),
    "a filter in capitals": (f'context.filter_ids.contains("{GUID.upper()}")', GUID),
    "a policy in capitals": (f'resource == Policy::"t/{GUID.upper()}"', f"t/{GUID}"),
    "a policy in capitals, in a list": (f'resource in [Policy :: "t/{GUID.upper()}"]', f"t/{GUID}"),
    "a collection in small letters": ('context.added_ids.contains("sms00001")', "SMS00001"),
    "a collection with a blank at its end": ('context.added_ids.contains("SMS00001 ")', "SMS00001"),
    "a kind that there is not": ('context.kinds.contains("groups")', "not a kind of target"),
}


def test_a_rule_that_is_nested_too_deeply_is_refused_with_its_line(tmp_path: Path):
    many = " || ".join(f'context.added_ids.contains("G{number}")' for number in range(900))
    with pytest.raises(RulesError, match=r"rules\.cedar: line 1, column 1 to .*: a rule is nested too deeply"):
        cedar(tmp_path, f"{OPS}\npermit(principal, action, resource) when {{ {many} }};")


UNREADABLE = """// Not a rule; a comment.
@id("a; b") permit(principal, action, resource); // permit(
  permit(principal, acton, resource);
forbid(principal, action, resource) when { context.kinds.contain("group") };
permit(principal, action, resource"""
INVALID = """permit(principal, action, resource);
permit(principal, action == Action::"Nope", resource);
  permit(principal, action, resource) when { context.foo == 1 };"""
PLACES = {
    "what cannot be read": (
        UNREADABLE,
        {"line 3, column 3": "acton", "line 4, column 1": "contain", "line 5, column 1": "end of"},
    ),
    "what does not fit": (INVALID, {"line 2, column 1": 'Action::"Nope"', "line 3, column 3": "`foo`"}),
}


@pytest.mark.parametrize("name", PLACES)
def test_every_mistake_in_the_rules_is_told_with_its_place(tmp_path: Path, name: str):
    text, places = PLACES[name]
    with pytest.raises(RulesError) as caught:
        cedar(tmp_path, text)
    told = str(caught.value).split("; ")
    assert {place for line in told for place in places if place in line} == {*places}
    for place, why in places.items():
        assert any(f"{place}: " in line and why in line for line in told), told
    assert len(told) <= len(places) + 1, "once for each rule, whichever actions it is wrong for"


@pytest.mark.parametrize("name", NEVER)
def test_a_rule_that_can_never_match_is_refused_with_its_line(tmp_path: Path, name: str):
    condition, told = NEVER[name]
    with pytest.raises(RulesError, match=r'rules\.cedar: line 3, column \d+: ".*" can never match') as caught:
        cedar(tmp_path, FORBID.format(condition))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "rules",
    [
        f'@id("not {GUID.upper()}") @advice("x") forbid(principal, action, resource); // "{GUID.upper()}"',
        f'permit(principal == Caller::"{GUID.upper()}", action, resource in Tenant::"{GUID.upper()}");',
        f'permit(principal, action, resource == Policy::"Tenant/{GUID}");',
        'permit(principal, action, resource == Policy::"t/Not-A-Guid");',
        f'permit(principal, action, resource) when {{ ["{GUID}", "SMS00001"].containsAll(context["added_ids"]) }};',
        'permit(principal, action, resource) when { ["group", "unknown", "exclude"].containsAll(context.kinds) };',
        *(
            f'permit(principal, action == Action::"ReadThrough", resource) when {{ context.path like "{pattern}" }};'
            for pattern in ("*/assignments", "*assignments", "deviceManagement/*/{id}", "groups/{id}*", "groups*", "*")
        ),
    ],
)
def test_a_rule_that_can_match_is_taken(tmp_path: Path, rules: str):
    cedar(tmp_path, rules)


MAY = [
    ('permit(principal == Caller::"x", action == Action::"GetComplianceAssignment", resource == Policy::"t/p");', True),
    ('permit(principal, action, resource) when { context.kinds.contains("group") };', True),
    ("permit(principal, action, resource) unless { context.kinds.isEmpty() };", True),
    ('permit(principal, action, resource in Tenant::"t"); forbid(principal, action, resource);', True),
    ('permit(principal == Caller::"y", action, resource);', False),
    ('permit(principal, action == Action::"ListComplianceAssignments", resource);', False),
    ("forbid(principal, action, resource);", False),
    ("", False),
]


@pytest.mark.parametrize(("rules", "may"), MAY)
def test_an_operation_is_refused_at_once_only_where_no_permit_is_for_it(tmp_path: Path, rules: str, may: bool):
    assert bool(cedar(tmp_path, rules).where("x", "GetComplianceAssignment", ("t",))) is may
