"""What Cedar answers by a slice of the rules, and what is remembered of it, is what it answers by the whole file."""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pipeline import slices
from gateway.pipeline.cedar import Cedar, Question
from gateway.pipeline.conditions import SETS
from gateway.pipeline.rules import TOUCHES, RulesError

CALLERS, TENANTS, POLICIES = ("ops", "help", ""), ("t", "u", ""), ("p", "q", "")
OPERATIONS = ("CreateComplianceAssignment", "ListComplianceAssignments")
ACTIONS = (*OPERATIONS, *TOUCHES)
MEMBERS = {
    "kinds": ("group", "all_users", "unknown", "exclusion_group"),
    "added_ids": ("A", "B", "C", "SOME*", "\\0"),
    "removed_ids": ("A", "B", "D"),
    "filter_ids": ("A", "E"),
    "filter_types": ("include", "exclude"),
}


def some(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


def entity(kind: str, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return some(*(f'{kind}::"{name}"' for name in names))


CALLER, TENANT = entity("Caller", CALLERS), entity("Tenant", TENANTS)
POLICY = entity("Policy", tuple(f"{tenant}/{policy}" for tenant in TENANTS for policy in POLICIES))
ACTION = entity("Action", ACTIONS)
PRINCIPALS = st.one_of(
    st.just("principal"),
    st.just("principal is Caller"),
    CALLER.map("principal == {}".format),
    CALLER.map("principal in {}".format),
    CALLER.map("principal is Caller in {}".format),
)
OF_ACTIONS = st.one_of(
    st.just("action"),
    ACTION.map("action == {}".format),
    ACTION.map("action in {}".format),
    st.lists(ACTION, min_size=1, max_size=3).map(lambda some: f"action in [{', '.join(some)}]"),
)
RESOURCES = st.one_of(
    st.just("resource"),
    st.just("resource is Policy"),
    TENANT.map("resource in {}".format),
    POLICY.map("resource == {}".format),
    POLICY.map("resource in {}".format),
    TENANT.map("resource is Policy in {}".format),
    POLICY.map("resource is Policy in {}".format),
)


@st.composite
def comparison(draw: st.DrawFn) -> str:
    """What looks at a set."""
    name = draw(some(*SETS))
    literal = some(*MEMBERS[name]).map('"{}"'.format)
    several = st.lists(literal, min_size=1, max_size=3).map(lambda some: f"[{', '.join(some)}]")
    a = draw(some(f"context.{name}", f'context["{name}"]'))
    b = draw(some(*(f"context.{other}" for other in SETS)))
    return draw(
        st.one_of(
            literal.map(lambda one: f"{a}.contains({one})"),
            several.map(lambda all_: f"{a}.containsAll({all_})"),
            several.map(lambda all_: f"{all_}.containsAll({a})"),
            several.map(lambda any_: f"{a}.containsAny({any_})"),
            several.map(lambda same: f"{a} == {same}"),
            several.map(lambda other: f"{other} != {a}"),
            some(f"{a}.containsAny({b})", f"{a} == {b}", f"{b}.containsAll({a})", f"[{a}].contains({b})"),
            some(
                f"{a}.isEmpty()",
                f"context has {name}",
                f'{{"x": {a}}}.x.isEmpty()',
                f"(if {a}.isEmpty() then {a} else {b}) == {b}",
            ),
            literal.map(lambda one: f'{{"Var": {one}, "contains": 1}}.Var like "*"'),
        )
    )


LOOKS = st.one_of(
    comparison(),
    TENANT.map("resource in {}".format),
    POLICY.map("resource == {}".format),
    POLICY.map("[resource].contains({})".format),
    CALLER.map("principal == {}".format),
    ACTION.map("action == {}".format),
    some(
        '"A*" like "A\\*"',
        "true",
        "resource is Policy",
        'ip("10.0.0.1").isLoopback()',
        "context has kinds && !context.kinds.isEmpty()",
    ),
)
CONDITIONS = st.recursive(
    LOOKS,
    lambda inner: st.one_of(
        st.tuples(inner, some("&&", "||"), inner).map(lambda both: "({} {} {})".format(*both)),
        inner.map("!({})".format),
        st.tuples(inner, inner, inner).map(lambda all_: "(if {} then {} else {})".format(*all_)),
    ),
    max_leaves=4,
)
CLAUSES = st.lists(st.tuples(some("when", "unless"), CONDITIONS).map(lambda it: "{} {{ {} }}".format(*it)), max_size=2)
RULES = st.tuples(some("", '@id("said") '), some("permit", "permit", "forbid"), PRINCIPALS, OF_ACTIONS, RESOURCES, CLAUSES).map(
    lambda it: f"{it[0]}{it[1]}({it[2]}, {it[3]}, {it[4]}) {' '.join(it[5])};"
)
FILES = st.lists(RULES, min_size=1, max_size=8).map("\n".join)
QUESTIONS = st.builds(
    Question,
    some(*CALLERS, "nobody"),
    some(*OPERATIONS),
    some(*TENANTS, "v"),
    some(*POLICIES, "r"),
    **{name: st.frozensets(some(*members, "X", "\0", "group")) for name, members in MEMBERS.items()},
)


def whole_answer(rules: str, question: Question) -> tuple[str, tuple[str, ...]]:
    """By all rules, with all of the question: as Cedar alone has it."""
    resource, tenant = (
        {"type": "Policy", "id": f"{question.tenant}/{question.policy}"},
        {"type": "Tenant", "id": question.tenant},
    )
    entities = [{"uid": resource, "attrs": {}, "parents": [tenant]}, {"uid": tenant, "attrs": {}, "parents": []}]
    touched = [touch for touch, kinds in TOUCHES.items() if kinds & question.kinds]
    because: list[str] = []
    for action in (question.operation, *touched):
        request = {
            "principal": {"type": "Caller", "id": question.caller},
            "action": {"type": "Action", "id": action},
            "resource": resource,
            "context": {name: sorted(getattr(question, name)) for name in SETS},
        }
        result = cedarpy.is_authorized(request, rules, json.dumps(entities))
        names = result.diagnostics.id_annotations_by_reason
        reasons = [str(names.get(reason) or reason) for reason in result.diagnostics.reasons]
        if not result.allowed:
            return action, tuple(sorted(reasons))
        because += reasons
    return "", tuple(sorted(because))


def opened(rules: str) -> Cedar | None:
    """None where the schema refuses the file."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "rules.cedar").write_text(rules)
        try:
            return Cedar(Path(folder) / "rules.cedar")
        except RulesError:
            return None


def asked(cedar: Cedar, question: Question) -> tuple[str, tuple[str, ...]]:
    found = cedar.ask(question)
    return found.missing, tuple(sorted(found.because))


@given(
    rules=FILES,
    questions=st.lists(QUESTIONS, min_size=1, max_size=12),
    most=some("0", "2", "100"),
    few=some("0", "0", "4", "20"),
)
def test_every_answer_is_that_of_the_whole_file(rules: str, questions: list[Question], most: str, few: str):
    """most: rules in a slice, above which all are asked. few: of which what they need is not looked up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "MOST_RULES", int(most))
        patch.setattr(slices, "FEW_RULES", int(few))
        cedar = opened(rules)
        for question in questions if cedar else ():
            assert asked(cedar, question) == whole_answer(rules, question), (rules, question)


@given(rules=FILES, question=QUESTIONS, tenants=st.permutations([*TENANTS, "v", "w", "x"]))
def test_the_tenants_that_are_told_apart_say_whether_there_is_one(rules: str, question: Question, tenants: list[str]):
    cedar = opened(rules)
    if cedar is None:
        return
    may = {tenant for tenant in tenants if not cedar.ask(replace(question, tenant=tenant)).missing}
    some = {tenant for tenant in cedar.where(question.caller, question.operation, tenants) if tenant in may}
    assert len(some) == len(may) or len(some) >= 2
    assert some <= may


def test_a_question_is_asked_once_for_all_that_no_rule_tells_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "rules.cedar").write_text(MANY)
    cedar, requests = Cedar(tmp_path / "rules.cedar"), []
    once = cedarpy.is_authorized
    monkeypatch.setattr(cedarpy, "is_authorized", lambda *asked: requests.append(asked[0]) or once(*asked))
    for number in range(50):
        asked = Question("c1", OPERATIONS[0], "t1", f"p{number}", frozenset({"group"}), frozenset({f"G{number}"}))
        assert cedar.ask(asked).missing == ("" if number in (3, 4) else OPERATIONS[0])
    assert len(requests) == 3, "for G3, for G4, and for all groups that no rule names"
    assert len(cedar.where("c1", OPERATIONS[0], [f"t{number}" for number in range(500)])) == 3


@pytest.mark.parametrize(
    ("condition", "most"),
    [
        ('context.added_ids.contains("G{n}")', 1),
        ('context.kinds == ["group"] && context.added_ids.containsAny(["G{n}", "H{n}"])', 1),
        ('["G{n}", "H{n}"].containsAll(context.added_ids) && ["group"].containsAll(context.kinds)', 1),
        ('context.added_ids.containsAll(["G{n}"]) && !context.added_ids.isEmpty()', 1),
        ('resource == Policy::"t/p{n}"', 1),
        ('resource in Tenant::"t{n}" && context.added_ids.contains("G7")', 1),
        ('!context.added_ids.contains("G{n}")', 1000),
    ],
)
def test_cedar_is_asked_about_rules_that_can_apply(tmp_path: Path, condition: str, most: int):
    """Of many that are for the same caller, operation and resource."""
    rules = [f"permit(principal, action, resource) when {{ {condition} }};".replace("{n}", str(n)) for n in range(1000)]
    (tmp_path / "rules.cedar").write_text("\n".join(rules))
    cedar = Cedar(tmp_path / "rules.cedar")
    asked = Question("c", OPERATIONS[0], "t7", "p7", frozenset({"group"}), frozenset({"G7"}))
    for one in (asked, replace(asked, tenant="t")):
        assert len(cedar._current.whole.rules.of(one.caller, one.operation, one).rules) <= most
    assert not cedar.ask(asked).missing or not cedar.ask(replace(asked, tenant="t")).missing


MANY = "".join(
    f'permit(principal == Caller::"c{n}", action == Action::"{OPERATIONS[0]}", resource in Tenant::"t{n}")'
    ' when { ["G3", "G4"].containsAll(context.added_ids) };'
    for n in range(200)
)
