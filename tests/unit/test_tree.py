"""No path and no query, however it is spelt, leads outside the tree of what is read through."""

import re
from urllib.parse import unquote, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.graph.tree import OPTIONS, RELATIONS_OF_GROUPS, Tree

GUID = "5d6ad2a4-24ee-4c6e-8f5e-3a4c0a5d6e10"
TREE = Tree(["users/{id}"])
# An oracle of its own: what may be asked of Graph, as a grammar of whole paths, without the gateway's tables.
KEY = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(_[\w-]+)?|\d+"
BELOW = "assignments|scheduledActionsForRule|deviceStatuses|userStatuses|deviceSettingStateSummaries"
INSIDE = re.compile(
    rf"""/(deviceManagement/deviceCompliancePolicies(/\$count|/({KEY})(/(deviceStatusOverview|userStatusOverview|({BELOW})(/({KEY})
    (/scheduledActionConfigurations(/({KEY}))?)?)?))?)?|deviceManagement/assignmentFilters(/({KEY}))?
    |deviceManagement/deviceCompliancePolicySettingStateSummaries|groups(/({KEY})|/\$count)?|users/({KEY}))""",
    re.VERBOSE | re.IGNORECASE,
)
EXPANDED = {"assignments", "scheduledActionsForRule", "scheduledActionConfigurations", "deviceStatuses", "userStatuses"}
EXPANDED |= {"deviceSettingStateSummaries", "deviceStatusOverview", "userStatusOverview"}


def as_graph_sees(path: str) -> str:
    """The path as a server takes it apart that decodes as often as it can, takes backslashes for slashes, resolves dots, and
    knows both spellings of a key: the most that any front of Graph's may do."""
    before = None
    while before != path:
        before, path = path, unquote(path).replace("\\", "/")
    path = re.sub(r"\('([^']*)'\)", r"/\1", path.partition("?")[0].partition("#")[0])
    resolved: list[str] = []
    for segment in re.sub(r"/+", "/", path).lstrip("/").split("/"):
        if segment == "..":
            resolved = resolved[:-1]
        elif segment not in (".", ""):
            resolved.append(segment.partition(";")[0])
    return "/" + "/".join(resolved)


STARTS = [
    "/deviceManagement/deviceCompliancePolicies",
    f"/deviceManagement/deviceCompliancePolicies/{GUID}",
    f"/deviceManagement/deviceCompliancePolicies('{GUID}')/assignments",
    f"/deviceManagement/deviceCompliancePolicies/{GUID}/assignments/{GUID}_{GUID}",
    "/deviceManagement/assignmentFilters",
    f"/groups/{GUID}",
    f"/groups('{GUID}')",
    "/groups",
    f"/users/{GUID}",
]
PIECES = [
    *(
        "..",
        ".",
        "/",
        "//",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        "%2e%2e",
        "%252e%252e",
        "%252f",
        "..%2f",
        "%00",
        ";x=1",
        "%3b",
        "#",
        "%23",
    ),
    *(
        "$value",
        "$ref",
        "$batch",
        "$count",
        "%24value",
        "$metadata",
        "$entity",
        "microsoft.graph.user",
        "microsoft.graph.delta()",
    ),
    *(
        "members",
        "owners",
        "delta",
        "delta()",
        "users",
        "('x')",
        f"('{GUID}')",
        "(mailNickname='x')",
        "%27",
        "%28",
        "('a%2fb')",
    ),
    *(
        "https://elsewhere.example/v1.0/groups",
        "//elsewhere.example",
        "/../../users",
        "getByIds",
        "assign",
        "x",
        "é",
        "%ff",
        "+",
    ),
]
PATHS = st.builds(
    lambda start, pieces, at: start[:at] + "".join(pieces) + start[at:],
    st.sampled_from(STARTS),
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from([f"/{piece}" for piece in PIECES])), max_size=4),
    st.integers(0, 60),
)
NAMES = [*OPTIONS, "$Expand", "expand", "%24expand", "$apply", "$deltatoken", "$format", "x", ""]
TEXTS = [
    *("assignments", "members", "owners", "members($select=id)", "assignments,members", "assignments($expand=members)", "*"),
    *(
        "assignments;$expand=members",
        "assignments%2cmembers",
        "%6dembers",
        "%256dembers",
        "assignments/members",
        "$ref",
        "members/$ref",
    ),
    *(
        "id",
        "5",
        "true",
        "x&$expand=members",
        "displayName eq 'a'",
        "'",
        "%",
        "%zz",
        "scheduledActionsForRule($expand=x)",
        "\r\nX: y",
    ),
]
QUERIES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), max_size=3).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)
)


@pytest.mark.parametrize("path", STARTS)
def test_what_is_in_the_tree_is_found(path: str):
    found = TREE.find(path, "")
    assert found is not None
    assert INSIDE.fullmatch(found.path)


@settings(max_examples=1000)
@given(PATHS, QUERIES)
def test_nothing_leads_out(path: str, query: str):
    try:
        found = TREE.find(path, query)
    except GatewayError:
        return
    if found is None:
        return
    assert INSIDE.fullmatch(as_graph_sees(found.path)), "what Graph would see is inside"
    assert as_graph_sees(found.path) == found.path, "and is what was judged"
    assert re.fullmatch(r"[!-~]*", found.path + found.query), "nothing breaks a line"
    for option in filter(None, found.query.split("&")):
        name, _, value = option.partition("=")
        assert name in OPTIONS
        if name == "$expand":
            text = re.sub(r"\$\w+=(?!.*\$expand)[^;)]*", "", unquote_plus(value))
            assert set(re.findall(r"[A-Za-z]\w*", text)) <= EXPANDED | {"select", "expand"}
            assert ";" not in value or "(" in unquote_plus(value)


@settings(max_examples=300)
@given(PATHS)
def test_what_is_judged_is_what_is_sent(path: str):
    """The pattern that rules see is that of the path that Graph gets."""
    found = TREE.find(path, "")
    if found is not None:
        keys = re.compile(f"/(?:{KEY})(?=/|$)", re.IGNORECASE)
        assert keys.sub("/{id}", found.path) == f"/{found.pattern}"


ONE = f"/deviceManagement/deviceCompliancePolicies/{GUID}"
SHOWS = {
    "$expand=assignments": True,
    "$expand=scheduledActionsForRule,Assignments($select=id)": True,
    "$expand=deviceStatuses($filter=status eq 'it''s'),assignments": True,
    "$filter=assignments/any(a:a/id eq 'x')": True,
    "$filter=displayName eq 'it''s' or assignments/$count gt 1": True,
    "$orderby=assignments/$count": True,
    """$filter=id in ["'"] and assignments/any() or id eq ''""": True,
    "$filter=displayName eq 'All assignments'": False,
    "$search=assignments": False,
    "$expand=scheduledActionsForRule($expand=scheduledActionConfigurations)": False,
    "$filter=x/reassignments eq 1": False,
}


@pytest.mark.parametrize(("query", "shows"), SHOWS.items(), ids=SHOWS)
def test_what_depends_on_assignments_needs_the_right_to_list_them(query: str, shows: bool):
    found = TREE.find(ONE, query)
    assert found is not None
    assert found.shows is shows


AMBIGUOUS = [
    """$expand=members($search="'"),owners($select=id)""",
    "$expand=members($top=1)),owners(()",
    "$expand=members($top=1)),owners",
    "$expand=members($filter=id eq 'x),owners",
    "$expand=members(",
    "$expand=members($expand=a(b)",
    "$expand=members($select=id)$select=id)",
]


@pytest.mark.parametrize("query", AMBIGUOUS)
def test_an_expand_that_may_be_divided_otherwise_is_refused(query: str):
    with pytest.raises(GatewayError, match="expand"):
        Tree(["groups/{id}/members"]).find("/groups", query)


OF_PEOPLE = [
    "$filter=members/any(m:m/id eq 'x')",
    "$filter=owners/$count eq 0",
    "$filter=displayName eq 'x' and Transitivemembers /any(m:true)",
    "$filter=not(memberOf/any(a:a/displayName eq 'it''s'))",
    "$orderby=transitiveMemberOf/$count",
    "$filter=acceptedSenders%2Fany(a:true)",
]


@pytest.mark.parametrize("query", OF_PEOPLE)
def test_a_filter_of_groups_looks_at_no_relation_that_cannot_be_read(query: str):
    with pytest.raises(GatewayError, match="cannot be read through"):
        TREE.find("/groups", query)
    assert Tree([f"groups/{{id}}/{name}" for name in RELATIONS_OF_GROUPS]).find("/groups", query), "unless it is configured"


@pytest.mark.parametrize(
    "query",
    [
        "$filter=groupTypes/any(t:t eq 'Unified')",
        "$filter=displayName eq 'members/any'",
        "$filter=onPremisesExtensionAttributes/extensionAttribute1 eq 'members'",
        '$search="description:members/any"',
    ],
)
def test_a_filter_of_groups_looks_at_their_properties(query: str):
    assert TREE.find("/groups", query)
