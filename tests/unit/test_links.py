"""Links of Graph's in an answer lead here, however the answer is cut into pieces, and nothing else of it changes."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.graph.links import LONGEST_BYTES, Links

GRAPH, HERE = "https://graph.example", "https://gateway.example/at"
BODY = {
    "@odata.context": f"{GRAPH}/v1.0/$metadata#groups(id)",
    "@odata.nextLink": f"{GRAPH}/v1.0/groups?$top=1&$skiptoken=a%2Bb@x",
    "value": [
        {
            "id": "1",
            "displayName": f'"@odata.nextLink": "{GRAPH}/v1.0/x" @odata.',
            "assignments@odata.context": f"{GRAPH}/beta/$metadata#x",
        },
        {
            "description": f"see {GRAPH}/v1.0/groups",
            "@odata.type": "#microsoft.graph.group",
            "x": "@odata.nextLink",
            "y": "@odata",
        },
    ],
}
RIGHT = {
    "@odata.context": f"{HERE}/v1.0/$metadata#groups(id)",
    "@odata.nextLink": f"{HERE}/v1.0/groups?$top=1&$skiptoken=a%2Bb@x",
    "value": [{**BODY["value"][0], "assignments@odata.context": f"{HERE}/beta/$metadata#x"}, BODY["value"][1]],
}


def passed(data: bytes, cuts: list[int]) -> bytes:
    links, places = Links(GRAPH, HERE), sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return b"".join(links.fed(data[a:b]) for a, b in pairwise(places)) + links.end()


@given(st.lists(st.integers(0, 5000), max_size=30), st.sampled_from([None, 1]), st.booleans())
def test_links_lead_here_wherever_the_answer_is_cut(cuts: list[int], indent: int | None, ascii_: bool):
    data = json.dumps(BODY, indent=indent, ensure_ascii=ascii_).encode()
    assert json.loads(passed(data, cuts)) == RIGHT


def test_byte_by_byte():
    data = json.dumps(BODY).encode()
    assert json.loads(passed(data, [*range(len(data))])) == RIGHT


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/v1.0/groups",
        "https://graph.example.elsewhere.example/v1.0/groups",
        "https://graph.example@elsewhere.example/v1.0/groups",
        "http://graph.example/v1.0/groups",
        "//elsewhere.example/v1.0/groups",
        "https://graph.example/other/groups",
        "https://graph.example/v1.0/" + "x" * LONGEST_BYTES * 2,
    ],
    ids=lambda link: link[:50],
)
def test_a_link_that_leads_elsewhere_ends_the_answer(link: str):
    data = json.dumps({"@odata.nextLink": link, "value": []}).encode()
    with pytest.raises(GatewayError):
        passed(data, [*range(0, len(data), 1000)])


def test_little_is_held():
    links, rows = Links(GRAPH, HERE), json.dumps([{"id": number} for number in range(10_000)]).encode()
    assert len(links.fed(rows)) > len(rows) - 10


OBJECT = "/v2/84841066-274d-4ec0-a5c1-276be684bdd3/directoryObjects/1/Microsoft.DirectoryServices.User"


def test_what_identifies_a_directory_object_does_not_end_the_answer():
    """As in Microsoft's pages of members, owners and memberOf."""
    data = json.dumps({"value": [{"@odata.id": f"{GRAPH}{OBJECT}"}]}).encode()
    assert json.loads(passed(data, [*range(len(data))])) == {"value": [{"@odata.id": f"{HERE}{OBJECT}"}]}
    with pytest.raises(GatewayError):
        passed(data.replace(b"@odata.id", b"@odata.nextLink"), [])
    with pytest.raises(GatewayError):
        passed(data.replace(b"graph.example", b"elsewhere.example"), [])


ROWS = "/beta/deviceManagement/deviceCompliancePolicies/1/assignments"
AS_OURS = {"$skiptoken=x": True, "$top=1&$skiptoken=x": True, "%24skiptoken=x&%24top=1": True, "$skip=2": False}
AS_OURS |= {"$select=id&$skiptoken=x": False}


@pytest.mark.parametrize(("query", "is_marked"), AS_OURS.items(), ids=AS_OURS)
def test_the_rest_of_an_expanded_list_is_not_taken_for_a_page_of_ours(query: str, is_marked: bool):
    mark = "&$count=false" if is_marked else ""
    assert Links(GRAPH, HERE).rewritten(f"{GRAPH}{ROWS}?{query}") == f"{HERE}{ROWS}?{query}{mark}"
