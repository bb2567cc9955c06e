"""Callers that nobody here wrote: Graph's client for JavaScript; requests and curl with the documented example as it stands."""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
from attacks import CA, DOOR, guid
from edits_over_the_wire import MERGE
from node import installed
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS

SCRIPT = Path(__file__).parent / "javascript"
# The request and the answer of Microsoft's create page, to the letter. Its lines end as in HTTP: then they are the 172 bytes
# that its Content-length says.
PATH = "/deviceManagement/deviceCompliancePolicies/{deviceCompliancePolicyId}/assignments"
EXAMPLE = """{
  "@odata.type": "#microsoft.graph.deviceCompliancePolicyAssignment",
  "target": {
    "@odata.type": "microsoft.graph.deviceAndAppManagementAssignmentTarget"
  }
}""".replace("\n", "\r\n")
ANSWER = {
    "@odata.type": "#microsoft.graph.deviceCompliancePolicyAssignment",
    "target": {"@odata.type": "#microsoft.graph.deviceAndAppManagementAssignmentTarget"},
}


@asynccontextmanager
async def over_tls(emulator: Emulator, folder: Path, **sections: dict):
    DOOR.write(folder / "door.pem")
    (folder / "ca.pem").write_text(CA.pem)
    tls = {"cert_file": str(folder / "door.pem"), "key_file": str(folder / "door.pem")}
    async with gateway(emulator, server={"tls": tls}, **sections) as rig:
        yield rig, f"https://{rig.rest_address}"


def documented_object(status: int, answer: dict, rows: list) -> None:
    assert status == 201
    assert answer.pop("@odata.context").endswith("/assignments/$entity")
    assert answer.pop("id") == rows[-1]["id"]
    assert answer == ANSWER


async def test_requests_with_the_documented_example(documented: Emulator, tmp_path: Path):
    async with over_tls(documented, tmp_path) as (rig, root):
        url = root + "/v1.0" + PATH.format(deviceCompliancePolicyId=EMPTY)
        headers = {"Authorization": f"Bearer {rig.token}", "Content-type": "application/json", "Content-length": "172"}
        ca = str(tmp_path / "ca.pem")
        answer = await asyncio.to_thread(requests.post, url, data=EXAMPLE, headers=headers, verify=ca, timeout=20)
        documented_object(answer.status_code, answer.json(), rig.rows(EMPTY))


@pytest.mark.needs("curl")
async def test_curl_with_the_documented_example(documented: Emulator, tmp_path: Path):
    async with over_tls(documented, tmp_path) as (rig, root):
        url = root + "/v1.0" + PATH.format(deviceCompliancePolicyId=EMPTY)
        lines = (f"Authorization: Bearer {rig.token}", "Content-type: application/json", "Content-length: 172")
        headers = [word for line in lines for word in ("-H", line)]
        trust = ("--cacert", str(tmp_path / "ca.pem"))
        command = ("curl", "-sS", *trust, "-w", "\n%{http_code}", *headers, "--data-binary", EXAMPLE, url)
        curl = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        text, _, status = (await curl.communicate())[0].decode().rpartition("\n")
        documented_object(int(status), json.loads(text), rig.rows(EMPTY))


@pytest.mark.needs("npm")
async def test_the_client_for_javascript(live: Emulator, tmp_path: Path):
    assert await asyncio.to_thread(installed, SCRIPT)
    async with over_tls(live, tmp_path, **MERGE) as (rig, root):
        command = ("node", str(SCRIPT / "caller.mjs"), root, WINDOWS, EMPTY, GROUP, guid(9))
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(tmp_path / "ca.pem"), "GATEWAY_TOKEN": rig.token}
        pipe = asyncio.subprocess.PIPE
        node = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        out, err = await asyncio.wait_for(node.communicate(), 60)
        assert node.returncode == 0, err.decode()
        ids = [row["id"] for row in rig.rows(WINDOWS)]
    seen = json.loads(out)
    assert seen["created"]["target"]["groupId"] == seen["got"]["target"]["groupId"] == guid(9)
    assert seen["updated"]["target"]["@odata.type"] == "#microsoft.graph.exclusionGroupAssignmentTarget"
    assert len(seen["listed"]) == len(set(seen["listed"])) == 5
    assert set(seen["listed"]) < set(ids)
    assert "source" not in json.dumps(seen["v1"])
    assert [row["target"]["groupId"] for row in seen["assigned"]["value"]] == [guid(9)]
    assert seen["batch"] == {"1": 201, "2": 201, "3": 404}
    expected = {
        "taken": (409, "ALREADY_ASSIGNED"),
        "bad": (400, "INVALID_FIELD"),
        "missing": (404, "NOT_FOUND"),
        "query": (400, "INVALID_FIELD"),
        "path": (404, "ROUTE_UNKNOWN"),
        "token": (401, "CALLER_UNAUTHENTICATED"),
    }
    for name, (status, code) in expected.items():
        assert seen["failures"][name] == {"name": "GraphError", "status": status, "code": code, "requestId": True}, name
