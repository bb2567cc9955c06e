"""Every client, through its own helper, against a real gateway over TLS: the cases of tests/cases, deadlines, retries,
errors."""

import asyncio
import base64
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from attacks import CLIENT, STATIC, sections
from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from driver import LANGUAGES, built, driving, environment, over_tls, place
from edits_over_the_wire import MERGE, guid
from google.protobuf import json_format
from rig import QUICK, Failure, gateway
from test_both_doors import CASES

from gateway.cli.emulator import GROUPS_ONLY, RULES
from gateway.emulator import Emulator
from gateway.emulator.control import reset
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, FILTER, MACOS, WINDOWS
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

TOOLS = {name: pytest.mark.needs(language.tool) if language.tool else () for name, language in LANGUAGES.items()}
pytestmark = pytest.mark.parametrize("language", [pytest.param(name, marks=tool) for name, tool in TOOLS.items()])
OF_EMPTY = service_pb.ListComplianceAssignmentsRequest(device_compliance_policy_id=EMPTY)
LIST = service_pb.ListComplianceAssignmentsRequest(device_compliance_policy_id=WINDOWS)
CREATE = service_pb.CreateComplianceAssignmentRequest(
    device_compliance_policy_id=EMPTY, assignment=pb.DeviceCompliancePolicyAssignment(target={"group": {"group_id": guid(1)}})
)


async def test_the_cases(live: Emulator, language: str, tmp_path: Path):
    """One gateway and one client for all; the emulator is as new for each."""
    cases = [case for case in CASES if "fault" not in case]
    async with over_tls(live, tmp_path, **MERGE) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        for case in cases:
            reset(live.world)
            request = json_format.ParseDict(case["request"], OPERATIONS[case["operation"]].request())
            answer = await client.call(case["operation"], request)
            if case["grpc"] == "OK":
                assert not isinstance(answer, Failure), (case["name"], answer)
            else:
                assert (answer.status, answer.reason) == (case["grpc"], case["reason"]), case["name"]
                assert answer.fields == case.get("fields", answer.fields)
    print(f"{language}: {len(cases)} cases")


async def test_errors_of_graph_and_when_to_try_again(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path, **MERGE) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        live.world.faults.order([Fault(method="POST", path="/assign$", status=429, retry_after="31", times=9)])
        failure = await client.call("CreateComplianceAssignment", CREATE)
        assert (failure.status, failure.reason) == ("RESOURCE_EXHAUSTED", "GRAPH_THROTTLED")
        assert 30 < failure.retry_after <= 31
        missing = service_pb.ListComplianceAssignmentsRequest(device_compliance_policy_id="nothing")
        failure = await client.call("ListComplianceAssignments", missing)
        assert (failure.reason, bool(failure.metadata["graph_request_id"])) == ("NOT_FOUND", True)


async def test_a_page_after_a_page(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        request, ids, pages = service_pb.ListComplianceAssignmentsRequest(), [], 0
        request.CopyFrom(LIST)
        request.page_size = 2
        while pages == 0 or request.page_token:
            page = await client.call("ListComplianceAssignments", request)
            ids += [row.id for row in page.assignments]
            request.page_token, pages = page.next_page_token, pages + 1
        assert (ids, pages) == ([row["id"] for row in rig.rows(WINDOWS)], 3)


async def test_the_deadline(live: Emulator, language: str, tmp_path: Path):
    released = asyncio.Event()
    live.world.faults.order([Fault(method="GET", path="/assignments", until=released, times=9)])
    async with over_tls(live, tmp_path) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        assert (await client.call("ListComplianceAssignments", LIST, timeout=0.4)).status == "DEADLINE_EXCEEDED"
        released.set()


async def test_retries_wait_as_they_are_told_and_keep_the_request_id(live: Emulator, language: str, tmp_path: Path):
    """Graph is throttled for longer than the gateway waits for it: the client tries again, when the push-back says."""
    down = Fault(method="POST", path="/assign$", status=503, retry_after="1.2", times=2)
    async with over_tls(live, tmp_path, graph={"create_route": "assign", "max_attempts": 1}) as rig:
        async with driving(language, environment(rig, tmp_path, rig.token)) as client:
            live.world.faults.order([down])
            assert not isinstance(await client.call("CreateComplianceAssignment", CREATE), Failure)
        attempts = [w["status"] for w in rig.writes()]
        assert attempts[:2] == [503, 503]
        assert len(attempts) == 3
        times = [w["at"] for w in rig.writes()]
        assert all(later - earlier >= 1.2 for earlier, later in pairwise(times)), "as it was told"
        entries = rig.entries()
        assert [entry.outcome for entry in entries] == ["GRAPH_UNAVAILABLE", "GRAPH_UNAVAILABLE", "OK"]
        assert len({entry.request_id for entry in entries}) == 1, "the same on every attempt"


async def test_it_comes_back_when_it_was_told_to(live: Emulator, language: str, tmp_path: Path):
    """Later than the deadline, so that gRPC's own retries give up: the same request and id, as long as it has patience."""
    patient = {"GATEWAY_TIMEOUT": "3", "GATEWAY_PATIENCE": "60"}
    async with over_tls(live, tmp_path, graph={"create_route": "assign", "max_attempts": 1}) as rig:
        live.world.faults.order([Fault(method="POST", path="/assign$", status=503, retry_after="4", times=1)])
        async with driving(language, environment(rig, tmp_path, rig.token, **patient)) as client:
            await client.call("ListComplianceAssignments", OF_EMPTY)  # a machine that is slow to start is no part of this
            answer = await client.call("CreateComplianceAssignment", CREATE, timeout=0)
            assert not isinstance(answer, Failure), answer
        assert [entry.outcome for entry in rig.entries()] == ["GRAPH_UNAVAILABLE", "OK"]
        assert len({entry.request_id for entry in rig.entries()}) == 1
        first, second = [w["at"] for w in rig.writes()]
        assert second - first >= 4, "as it was told"


async def test_what_the_gateway_says_besides(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path, **MERGE) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        sent = base64.b64encode(CREATE.SerializeToString()).decode()
        said = (await client.ask(method="CreateComplianceAssignment", request=sent))["answer"]
        entry, listed = rig.entries()[-1], await client.call("ListComplianceAssignments", OF_EMPTY)
        assert (said["method"], said["request_id"], said["etag"]) == (
            "CreateComplianceAssignment",
            entry.id,
            listed.etag,
        )
        limit = said["rate_limit"]
        assert (limit["name"], limit["window"], limit["remaining"] <= limit["quota"]) == ("writes", 20, True)
        refused = await client.ask(method="CreateComplianceAssignment", request=sent)
        assert (refused["error"]["reserved"], len(refused["error"]["request_id"]) >= 26) == (False, True)
        assert refused["answer"]["request_id"] not in ("", said["request_id"]), "of refused calls too"


async def test_a_fresh_request_id_for_each_write(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path, **MERGE) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        for number in range(3):
            request = service_pb.CreateComplianceAssignmentRequest()
            request.CopyFrom(CREATE)
            request.assignment.target.group.group_id = guid(number)
            await client.call("CreateComplianceAssignment", request)
        request.request_id = "mine"
        await client.call("CreateComplianceAssignment", request)
        ids = [entry.request_id for entry in rig.entries()]
        assert len(set(ids)) == 4
        assert ids[3] == "mine"


async def test_the_token_is_read_anew_and_the_tenant_is_named(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path) as rig:
        env = environment(rig, tmp_path, "x" * 40, GATEWAY_TENANT="emulator")
        async with driving(language, env) as client:
            assert (await client.call("ListComplianceAssignments", LIST)).status == "UNAUTHENTICATED"
            (tmp_path / "token").write_text(rig.token)
            assert not isinstance(await client.call("ListComplianceAssignments", LIST), Failure)
        async with driving(language, {**env, "GATEWAY_TENANT": "other"}) as client:
            assert (await client.call("ListComplianceAssignments", LIST)).reason == "TENANT_UNKNOWN"


async def test_a_client_certificate(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path, **sections(tmp_path)) as rig:
        env = environment(rig, tmp_path, STATIC)
        del env["GATEWAY_TOKEN_FILE"]
        own = {"GATEWAY_ADDRESS": rig.mtls_address, "GATEWAY_CERTIFICATE": str(CLIENT.write(tmp_path / "client.pem"))}
        async with driving(language, {**env, **own}) as client:
            assert not isinstance(await client.call("ListComplianceAssignments", LIST), Failure)


async def test_plain_text_on_loopback(live: Emulator, language: str, tmp_path: Path):
    async with gateway(live) as rig:
        env = environment(rig, tmp_path, rig.token)
        del env["GATEWAY_CA"]
        async with driving(language, env) as client:
            assert not isinstance(await client.call("ListComplianceAssignments", LIST), Failure)


async def test_an_outcome_that_nobody_knows(live: Emulator, language: str, tmp_path: Path):
    live.world.faults.order([Fault(method="POST", path="/assign$", status=500, times=99)])
    blind = {"create_route": "assign", "max_attempts": 1, "doubt_s": 0, "read_back_s": 0.1}
    async with over_tls(live, tmp_path, graph=blind) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        failure = await client.call("CreateComplianceAssignment", CREATE)
        assert (failure.status, failure.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
        assert 0 < failure.retry_after <= QUICK["lag_s"] + QUICK["late_s"], "then it can be known"


async def test_another_authority_is_not_trusted(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path) as rig:
        env = environment(rig, tmp_path, rig.token)
        (tmp_path / "ca.pem").write_text(CLIENT.pem)
        async with driving(language, env) as client:
            assert (await client.call("ListComplianceAssignments", LIST, timeout=3)).status in (
                "UNAVAILABLE",
                "DEADLINE_EXCEEDED",
            )


TARGETS = {
    "group": {"group": {"group_id": guid(1)}},
    "exclusion": {"exclusion_group": {"group_id": guid(1)}},
    "all_users": {"all_licensed_users": {}},
    "all_devices": {"all_devices": {}},
    "collection": {"configuration_manager_collection": {"collection_id": guid(1)}},
}


async def test_targets_in_a_line(live: Emulator, language: str, tmp_path: Path):
    async with over_tls(live, tmp_path) as rig, driving(language, environment(rig, tmp_path, rig.token)) as client:
        for kind, fields in TARGETS.items():
            for filter_id, include in (("", False), (FILTER, True), (FILTER, False)):
                wanted = json_format.ParseDict(fields, pb.DeviceAndAppManagementAssignmentTarget())
                if filter_id and kind != "exclusion":
                    wanted.device_and_app_management_assignment_filter_id = filter_id
                    wanted.device_and_app_management_assignment_filter_type = 2 if include else 3
                answer = await client.ask(target=kind, id=guid(1), filter=filter_id, include=include)
                found = pb.DeviceAndAppManagementAssignmentTarget.FromString(base64.b64decode(answer["response"]))
                assert found == wanted, kind


EXAMPLE = f"""created {MACOS}_{guid(1)}
already assigned
listed 2
updated, filter {FILTER}
deleted
not allowed
try again in 31 s
"""


async def test_the_example_prints_what_all_print(live: Emulator, language: str, tmp_path: Path):
    token = new_token()
    delete = 'Action::"DeleteComplianceAssignment"'
    reading_too = RULES.replace(f"{delete}]", f'{delete}, Action::"ListComplianceAssignments"]')
    (tmp_path / "rules.cedar").write_text(reading_too)
    may = {
        "callers": {"static": {GROUPS_ONLY: hash_token(token)}},
        "authorization": {"rules_file": str(tmp_path / "rules.cedar")},
    }
    language_ = await asyncio.to_thread(built, language)
    async with over_tls(live, tmp_path, **MERGE, **may) as rig:
        live.world.faults.order([Fault(method="POST", path=f"{EMPTY}/assign$", status=429, retry_after="31", times=9)])
        command = (*language_.example, MACOS, EMPTY, guid(1), FILTER)
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, env=environment(rig, tmp_path, token), stdout=pipe, stderr=pipe
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, out.decode()) == (0, EXAMPLE), err.decode()


async def test_its_documentation_renders_without_a_warning(language: str):
    language_ = await asyncio.to_thread(built, language)
    result = await asyncio.to_thread(
        subprocess.run, language_.documented, cwd=place(language) / "client", capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
