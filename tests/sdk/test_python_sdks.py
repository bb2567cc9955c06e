"""Graph's own SDKs for Python, v1.0 and beta, as they come from PyPI: only their base URL and token are the gateway's."""

import importlib
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import machine
import pytest
from attacks import CA, DOOR, guid
from edits_over_the_wire import MERGE
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, EXCLUDED, FILTER, FILTERED, GROUP, POLICY_SET_GROUP, WINDOWS

pytest.importorskip("msgraph", reason=machine.missing("msgraph"))
import httpx
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph_core import GraphClientFactory
from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
from msgraph_core.requests.batch_request_content import BatchRequestContent
from msgraph_core.requests.batch_request_item import BatchRequestItem
from msgraph_core.tasks.page_iterator import PageIterator

pytestmark = [
    pytest.mark.needs("msgraph"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::RuntimeWarning"),
]
SDKS = {"v1.0": "msgraph", "beta": "msgraph_beta"}


class Token(AccessTokenProvider):
    """The caller's token of the gateway."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_authorization_token(self, uri: str, additional_authentication_context: object = None) -> str:
        return self._token

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


def sdk(version: str) -> SimpleNamespace:
    """The names that the tests use, of the SDK of this version."""
    root = SDKS[version]

    def get(module: str, name: str) -> type:
        return getattr(importlib.import_module(f"{root}.{module}"), name)

    def model(name: str) -> type:
        module = "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
        return get(f"generated.models.{module}", name)

    builders = "generated.device_management.device_compliance_policies.item"
    return SimpleNamespace(
        Client=get("graph_service_client", "GraphServiceClient"),
        Adapter=get("graph_request_adapter", "GraphRequestAdapter"),
        Assignment=model("DeviceCompliancePolicyAssignment"),
        Group=model("GroupAssignmentTarget"),
        Exclusion=model("ExclusionGroupAssignmentTarget"),
        AllDevices=model("AllDevicesAssignmentTarget"),
        ODataError=get("generated.models.o_data_errors.o_data_error", "ODataError"),
        AssignBody=get(f"{builders}.assign.assign_post_request_body", "AssignPostRequestBody"),
        Assignments=get(f"{builders}.assignments.assignments_request_builder", "AssignmentsRequestBuilder"),
        CollectionResponse=model("DeviceCompliancePolicyAssignmentCollectionResponse"),
        model=model,
    )


@asynccontextmanager
async def using(emulator: Emulator, version: str, folder: Path, policies: str = ""):
    """A gateway over TLS, and the SDK in front of it."""
    DOOR.write(folder / "door.pem")
    tls = {"cert_file": str(folder / "door.pem"), "key_file": str(folder / "door.pem")}
    more = {}
    if policies:
        (folder / "rules.cedar").write_text(policies)
        more = {"authorization": {"rules_file": str(folder / "rules.cedar")}}
    async with gateway(emulator, server={"tls": tls}, **MERGE, **more) as rig:
        names = sdk(version)
        trusted = ssl.create_default_context(cadata=CA.pem)
        client = GraphClientFactory.create_with_default_middleware(client=httpx.AsyncClient(verify=trusted, http2=False))
        adapter = names.Adapter(BaseBearerTokenAuthenticationProvider(Token(rig.token)), client)
        adapter.base_url = f"https://{rig.rest_address}/{version}"
        yield names, names.Client(request_adapter=adapter), rig
        await client.aclose()


def assignments(client, policy: str = WINDOWS):
    return client.device_management.device_compliance_policies.by_device_compliance_policy_id(policy).assignments


@pytest.mark.parametrize("version", SDKS)
async def test_the_six_operations(live: Emulator, version: str, tmp_path: Path):
    async with using(live, version, tmp_path) as (names, client, rig):
        of_policy = assignments(client)
        created = await of_policy.post(names.Assignment(target=names.Group(group_id=guid(1))))
        assert created.id == f"{WINDOWS}_{guid(1)}"
        assert isinstance(created.target, names.Group)
        assert created.target.group_id == guid(1)

        one = of_policy.by_device_compliance_policy_assignment_id(created.id)
        assert (await one.get()).target.group_id == guid(1)
        changed = await one.patch(names.Assignment(target=names.Exclusion(group_id=guid(1))))
        assert isinstance(changed.target, names.Exclusion)
        await one.delete()
        assert len(rig.rows(WINDOWS)) == 5

        everything = names.AssignBody(assignments=[names.Assignment(target=names.AllDevices())])
        policy = client.device_management.device_compliance_policies.by_device_compliance_policy_id(EMPTY)
        replaced = await policy.assign.post(everything)
        assert [type(row.target) for row in replaced.value] == [names.AllDevices]
        assert len(rig.rows(EMPTY)) == 1


@pytest.mark.parametrize("version", SDKS)
async def test_a_list_page_by_page(live: Emulator, version: str, tmp_path: Path):
    async with using(live, version, tmp_path) as (names, client, rig):
        query = names.Assignments.AssignmentsRequestBuilderGetQueryParameters(top=2)
        first = await assignments(client).get(RequestConfiguration(query_parameters=query))
        assert (len(first.value), bool(first.odata_next_link)) == (2, True)
        found = []
        iterator = PageIterator(first, client.request_adapter)
        await iterator.iterate(lambda row: found.append(row) or True)
        assert [row.id for row in found] == [row["id"] for row in rig.rows(WINDOWS)]
        assert {row.target.group_id for row in found if isinstance(row.target, names.Group)} >= {GROUP, EXCLUDED}
        if version == "beta":
            [filtered] = [row for row in found if row.id.endswith(FILTERED)]
            assert filtered.target.device_and_app_management_assignment_filter_id == FILTER
            assert filtered.target.device_and_app_management_assignment_filter_type.value == "include"
            assert {row.source.value for row in found} == {"direct", "policySets"}
        unknown = found[4]
        assert unknown.target.odata_type == "#microsoft.graph.scopeTagGroupAssignmentTarget"
        assert unknown.additional_data["note"] == "a property that no client knows"


async def test_a_set_that_the_v1_sdk_sends_back_loses_nothing(live: Emulator, tmp_path: Path):
    async with using(live, "v1.0", tmp_path) as (names, client, rig):
        before = list(rig.rows(WINDOWS))
        rows = (await assignments(client).get()).value
        policy = client.device_management.device_compliance_policies.by_device_compliance_policy_id(WINDOWS)
        await policy.assign.post(names.AssignBody(assignments=[*rows, names.Assignment(target=names.AllDevices())]))
        assert all(row in rig.rows(WINDOWS) for row in before)
        assert len(rig.rows(WINDOWS)) == 6


async def test_filters_through_the_beta_sdk(live: Emulator, tmp_path: Path):
    async with using(live, "beta", tmp_path) as (names, client, rig):
        include = names.model("DeviceAndAppManagementAssignmentFilterType").Include
        target = names.Group(
            group_id=guid(1),
            device_and_app_management_assignment_filter_id=FILTER,
            device_and_app_management_assignment_filter_type=include,
        )
        created = await assignments(client).post(names.Assignment(target=target))
        assert created.target.device_and_app_management_assignment_filter_id == FILTER
        assert created.source.value == "direct"
        [row] = [row for row in rig.rows(WINDOWS) if row["id"] == created.id]
        assert row["target"]["deviceAndAppManagementAssignmentFilterType"] == "include"


@pytest.mark.parametrize("version", SDKS)
async def test_a_batch(live: Emulator, version: str, tmp_path: Path):
    async with using(live, version, tmp_path) as (names, client, rig):
        content = BatchRequestContent({})
        for number in range(5):
            body = names.Assignment(target=names.Group(group_id=guid(number)))
            request = assignments(client).to_post_request_information(body)
            content.add_request(str(number), BatchRequestItem(request, str(number)))
        content.add_request("get", BatchRequestItem(assignments(client, EMPTY).to_get_request_information(), "get"))
        answers = await BatchRequestBuilder(client.request_adapter).post(content)  # beta's client has no `batch`
        statuses = answers.get_response_status_codes()
        assert statuses == {**{str(number): 201 for number in range(5)}, "get": 200}
        assert len(rig.rows(WINDOWS)) == 10
        assert len(rig.writes()) < 5


NOBODY = 'permit(principal, action == Action::"GetComplianceAssignment", resource);'
ASSIGN = {"method": "POST", "path": "/assign$"}
FAILURES = {
    "already assigned": (GROUP, "", None, 409, "ALREADY_ASSIGNED"),
    "of a policy set": (POLICY_SET_GROUP, "", None, 409, "ALREADY_ASSIGNED"),
    "no group id": ("everyone", "", None, 400, "INVALID_FIELD"),
    "not permitted": (guid(1), NOBODY, None, 403, "CALLER_NOT_PERMITTED"),
    "unknown to Graph": (guid(1), "", Fault(method="GET", path="/assignments", status=404), 404, "NOT_FOUND"),
    "throttled": (guid(1), "", Fault(**ASSIGN, status=429, retry_after="31", times=9), 429, "GRAPH_THROTTLED"),
    "Graph has another mind": (guid(1), "", Fault(**ASSIGN, status=400), 400, "GRAPH_REFUSED_INPUT"),
}


@pytest.mark.parametrize("version", SDKS)
@pytest.mark.parametrize("name", FAILURES)
async def test_an_odata_error_with_our_reason(live: Emulator, version: str, name: str, tmp_path: Path, monkeypatch):
    group, policies, fault, status, reason = FAILURES[name]
    if fault:
        live.world.faults.order([replace(fault)])
    monkeypatch.setattr("kiota_http.middleware.RetryHandler.should_retry", lambda *_: False)  # it would wait 31 s
    async with using(live, version, tmp_path, policies) as (names, client, rig):
        with pytest.raises(names.ODataError) as caught:
            await assignments(client).post(names.Assignment(target=names.Group(group_id=group)))
        error = caught.value
        assert (error.response_status_code, error.error.code) == (status, reason)
        assert error.error.message
        assert error.error.inner_error.request_id
        assert error.error.inner_error.client_request_id
        if reason == "INVALID_FIELD":
            assert error.error.details[0].target == "target.groupId"
        assert rig.entries()[-1].outcome == reason
