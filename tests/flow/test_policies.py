"""Reading policies over gRPC: Graph's properties, filters, pages, masks and permissions."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy as Policy
from rig import Failure, Rig, gateway, logged

from gateway.emulator import Emulator, policies
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, MACOS, WINDOWS

LIST, GET, ROWS = "ListCompliancePolicies", "GetCompliancePolicy", "ListComplianceAssignments"
UNKNOWN = "0a0b0c0d-1111-4222-8333-444455556666"
# What Graph may say, and a gateway of today does not know.
NEW_TYPE = {
    "@odata.type": "#microsoft.graph.visionOSCompliancePolicy",
    "id": UNKNOWN,
    "displayName": "visionOS \u202e\x1b[31m",
    "description": None,
    "version": 3,
    "createdDateTime": "2026-01-31T12:00:00.1234567Z",
    "lastModifiedDateTime": "2026-02-01T12:00:00Z",
    "roleScopeTagIds": ["0", "7"],
    "platform": "a property of this name is theirs",
    "spatialAudioRequired": True,
    "weights": [1.10],
    "assignments@odata.context": "https://graph/$metadata#x",
    "assignments": [{"id": "1"}],
    "assignments@odata.nextLink": "https://graph/next",
}


def shows(body: Any, status: int = 200, path: str = "/deviceCompliancePolicies") -> Fault:
    return Fault(method="GET", path=path, times=9, status=status, body=json.dumps(body))


async def listed(rig: Rig, **request: Any) -> Any:
    return await rig.call(LIST, request)


def reads(rig: Rig) -> list[str]:
    return [r["path"] for r in rig.emulator.world.requests if r["method"] == "GET"]


async def test_a_list_tells_what_graph_says(live: Emulator):
    async with gateway(live) as rig:
        answer = await listed(rig)
        assert [(p.id, Policy.Platform.Name(p.platform), p.is_assigned, p.assignment_count) for p in answer.policies] == [
            (WINDOWS, "PLATFORM_WINDOWS_10", True, len(rig.rows(WINDOWS))),
            (MACOS, "PLATFORM_MACOS", True, 1),
            (EMPTY, "PLATFORM_IOS", False, 0),
        ]
        first = answer.policies[0]
        assert first.HasField("assignment_count")
        assert (first.display_name, first.odata_type, first.version, list(first.role_scope_tag_ids)) == (
            "Windows: BitLocker and Secure Boot", "#microsoft.graph.windows10CompliancePolicy", 1, ["0"],
        )  # fmt: skip
        assert first.created_date_time.seconds > 0
        others = json.loads(first.other_properties)
        assert others["bitLockerEnabled"] is False
        assert not {"id", "displayName", "assignments", "platform", "odataType"} & others.keys()
        one = await rig.call(GET, {"deviceCompliancePolicyId": WINDOWS.upper()})
        assert one == first
        assert reads(rig)[-1].endswith(f"/deviceCompliancePolicies/{WINDOWS}?$expand=assignments")


async def test_what_nobody_knows_yet_is_kept_and_what_is_cut_is_not_counted(live: Emulator):
    live.world.faults.order([shows({"value": [NEW_TYPE, {"id": "x"}]})])
    async with gateway(live) as rig:
        new, bare = (await listed(rig)).policies
        assert (new.platform, new.odata_type, new.display_name) == (0, NEW_TYPE["@odata.type"], NEW_TYPE["displayName"])
        assert (new.is_assigned, new.HasField("assignment_count")) == (True, False)
        assert new.other_properties == '{"spatialAudioRequired":true,"weights":[1.1]}'
        assert bare == Policy(id="x"), "nothing is said of what is not shown"
        assert not bare.HasField("is_assigned")


async def test_a_mask_tells_less_and_asks_less(live: Emulator):
    async with gateway(live) as rig:
        answer = await listed(rig, readMask="displayName,platform")
        assert answer.policies[0] == Policy(display_name="Windows: BitLocker and Secure Boot", platform=1)
        assert "expand" not in reads(rig)[-1]
        one = await rig.call(GET, {"deviceCompliancePolicyId": WINDOWS, "readMask": "assignmentCount"})
        assert one == Policy(assignment_count=len(rig.rows(WINDOWS)))
        for operation, more in ((LIST, {}), (GET, {"deviceCompliancePolicyId": WINDOWS})):
            failure = await rig.call(operation, {**more, "readMask": "name"})
            assert (failure.reason, failure.fields) == ("INVALID_FIELD", ["read_mask"])


async def test_filters(live: Emulator):
    async with gateway(live) as rig:
        for text, ids in {
            'display_name = "macOS: FileVault"': [MACOS],
            'display_name:"bitlocker" AND platform = WINDOWS_10': [WINDOWS],
            "platform != WINDOWS_10": [MACOS, EMPTY],
            'display_name = "It\'s \\"x\\""': [],
        }.items():
            # The name is not in the mask, and is compared all the same.
            assert [p.id for p in (await listed(rig, filter=text, readMask="id")).policies] == ids, text
        before = len(reads(rig))
        failure = await listed(rig, filter="name = x")
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["filter"])
        assert len(reads(rig)) == before, "nothing is asked for what cannot be answered"


async def test_pages(live: Emulator):
    live.world.graph.page_size = 3
    for number in range(7):
        live.world.intune.add_policy(f"p{number}", f"more {number}", [], policies.IOS)
    async with gateway(live) as rig:
        for text, expected in (("", [WINDOWS, MACOS, EMPTY, *(f"p{n}" for n in range(7))]), ('display_name="more*"', 7)):
            found, token, pages = [], "", 0
            while not pages or token:
                page = await listed(rig, pageSize=2, pageToken=token, filter=text)
                assert 0 < len(page.policies) <= 2
                found, token, pages = found + [p.id for p in page.policies], page.next_page_token, pages + 1
            assert found == (expected if isinstance(expected, list) else [f"p{n}" for n in range(expected)])
        before = len(reads(rig))
        token = (await listed(rig, pageSize=1)).next_page_token
        assert len(reads(rig)) == before + 1, "no more of Graph's pages than the page needs"
        for wrong in ({"filter": "platform = IOS"}, {"pageToken": token[:-1] + "A"}, {"pageToken": "x"}):
            failure = await listed(rig, **{"pageToken": token, **wrong})
            assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["page_token"])
        assert (await listed(rig, pageSize=201)).fields == ["page_size"]


async def test_a_page_of_large_policies_fits_a_client(live: Emulator):
    large = [{**NEW_TYPE, "id": f"p{n}", "script": "x" * 900_000} for n in range(7)]
    live.world.faults.order([shows({"value": large})])
    async with gateway(live) as rig:
        found, token = [], ""
        while not found or token:
            page = await listed(rig, pageToken=token)
            assert not isinstance(page, Failure), page
            found, token = found + [p.id for p in page.policies], page.next_page_token
        assert found == [f"p{n}" for n in range(7)]


UNREADABLE: list[Any] = [
    {"value": {}},
    {"value": ["x"]},
    {"value": [{**NEW_TYPE, "version": "3"}]},
    {"value": [{**NEW_TYPE, "createdDateTime": "today"}]},
    {"value": [], "@odata.nextLink": "http://elsewhere"},
    {"value": [], "@odata.nextLink": "https://elsewhere/beta"},
    [],
]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_what_cannot_be_read(live: Emulator, body: Any):
    live.world.faults.order([shows(body)])
    async with gateway(live) as rig:
        assert (await listed(rig)).reason == "GRAPH_ANSWER_UNREADABLE"
        assert (await rig.call(GET, {"deviceCompliancePolicyId": "p"})).reason == "GRAPH_ANSWER_UNREADABLE"


async def test_no_such_policy(live: Emulator):
    async with gateway(live) as rig:
        failure = await rig.call(GET, {"deviceCompliancePolicyId": "none"})
        assert (failure.status, failure.resource) == ("NOT_FOUND", "none")
        assert (await rig.call(GET, {"deviceCompliancePolicyId": "a/b"})).fields == ["device_compliance_policy_id"]


async def test_who_may(live: Emulator, tmp_path: Path):
    rules = tmp_path / "rules.cedar"
    rules.write_text(f'permit(principal, action == Action::"{GET}", resource == Policy::"emulator/{MACOS}");')
    async with gateway(live, authorization={"rules_file": str(rules)}) as rig:
        assert (await rig.call(GET, {"deviceCompliancePolicyId": MACOS})).id == MACOS
        refused = await rig.call(GET, {"deviceCompliancePolicyId": WINDOWS})
        assert (refused.status, refused.metadata["permission"]) == ("PERMISSION_DENIED", GET)
        assert (await listed(rig)).metadata["permission"] == LIST
        entries = [(e.operation, e.policy, e.outcome) for e in rig.entries()]
        assert entries == [(GET, WINDOWS, "CALLER_NOT_PERMITTED"), (LIST, "", "CALLER_NOT_PERMITTED")]


async def test_to_read_a_policy_is_not_to_read_its_assignments(live: Emulator, tmp_path: Path):
    """A caller that may write but not read rows gets no row, whatever else it may read."""
    rules = tmp_path / "rules.cedar"
    actions = ", ".join(f'Action::"{name}"' for name in (GET, LIST, "CreateComplianceAssignment"))
    rules.write_text(f"permit(principal, action in [{actions}], resource);")
    row = next(row for row in live.world.intune.policies[WINDOWS].rows if row["target"].get("groupId"))
    request = {
        "deviceCompliancePolicyId": WINDOWS,
        "assignment": {"target": {"group": {"groupId": row["target"]["groupId"]}}},
    }
    async with gateway(live, authorization={"rules_file": str(rules)}) as rig:
        failure = await rig.call("CreateComplianceAssignment", request)
        assert (failure.reason, failure.resource) == ("ALREADY_ASSIGNED", "")
        told = [await rig.call(GET, {"deviceCompliancePolicyId": WINDOWS}), *(await listed(rig)).policies]
        assert [one.display_name != "" for one in told] == [True] * 4
        assert not any(one.HasField(name) for one in told for name in ("is_assigned", "assignment_count"))
        rules.write_text(
            rules.read_text() + f'permit(principal, action == Action::"{ROWS}", resource == Policy::"emulator/{MACOS}");'
        )
    async with gateway(live, authorization={"rules_file": str(rules)}) as rig:
        found = [await rig.call(GET, {"deviceCompliancePolicyId": one}) for one in (WINDOWS, MACOS)]
        assert [one.assignment_count for one in found] == [0, 1]


async def test_each_is_counted_logged_and_told_its_share(live: Emulator):
    async with gateway(live) as rig, aiohttp.ClientSession() as session:
        with logged() as lines:
            _, trailers = await rig.exchange(LIST, {})
        assert trailers["ratelimit"].startswith('"requests"')
        assert trailers["request-id"]
        [line] = [json.loads(line) for line in lines if json.loads(line).get("operation")]
        assert (line["operation"], line["outcome"], line["graph_requests"]) == (LIST, "OK", 2)
        async with session.get(f"http://{rig.admin_address}/metrics") as answer:
            assert f'operation="{LIST}"' in await answer.text()
        assert rig.entries() == []
