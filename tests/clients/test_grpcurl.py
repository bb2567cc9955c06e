"""grpcurl knows nothing of the protos: it asks by reflection."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from driver import BUILT
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY
from gateway.operations import OPERATIONS

VERSION = "v1.9.3"
SERVICE = "compliance_gateway.v1.ComplianceAssignmentService"


def installed() -> str:
    program = BUILT / "grpcurl"
    if not program.exists():
        BUILT.mkdir(exist_ok=True)
        command = ("go", "install", f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{VERSION}")
        subprocess.run(command, check=True, env={**os.environ, "GOBIN": str(BUILT)}, cwd=Path("/"))
    return str(program)


@pytest.mark.needs("go")
async def test_describe_create_and_error_details(live: Emulator):
    grpcurl = await asyncio.to_thread(installed)
    async with gateway(live, graph={"create_route": "assign"}) as rig:

        async def run(*arguments: str) -> tuple[int, str]:
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(grpcurl, "-plaintext", *arguments, stdout=pipe, stderr=pipe)
            out, err = await asyncio.wait_for(process.communicate(), 30)
            return process.returncode or 0, out.decode() + err.decode()

        code, described = await run(rig.address, "describe", SERVICE)
        assert (code, described.count("rpc ")) == (0, [one.service for one in OPERATIONS.values()].count(SERVICE))
        request = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}
        create = ("-H", f"authorization: Bearer {rig.token}", "-d", json.dumps(request), rig.address)
        code, created = await run(*create, f"{SERVICE}/CreateComplianceAssignment")
        assert (code, json.loads(created)["id"]) == (0, rig.rows(EMPTY)[0]["id"])
        code, refused = await run(*create, f"{SERVICE}/CreateComplianceAssignment")
        assert code != 0
        words = ("AlreadyExists", "google.rpc.ErrorInfo", "ALREADY_ASSIGNED", "google.rpc.ResourceInfo")
        assert all(word in refused for word in words)
