"""A caller that may not do an operation at all is refused before its message is read, over both doors."""

from pathlib import Path

import aiohttp
import pytest
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS
from gateway.operations import OPERATIONS

RULES = 'permit(principal, action == Action::"GetComplianceAssignment", resource);'


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "GetComplianceAssignment"])
async def test_nothing_of_a_message_is_read(live: Emulator, tmp_path: Path, operation: str):
    (tmp_path / "rules.cedar").write_text(RULES)
    async with gateway(live, authorization={"rules_file": str(tmp_path / "rules.cedar")}) as rig:
        bad = {"deviceCompliancePolicyId": "bad id!"} if OPERATIONS[operation].of_policy else {}
        for message in (b"\xff no message", bad):
            failure = await rig.call(operation, message)
            assert isinstance(failure, Failure)
            assert (failure.status, failure.metadata["permission"]) == ("PERMISSION_DENIED", operation)
        entries = rig.entries()
    assert {(entry.outcome, entry.operation) for entry in entries} == {("CALLER_NOT_PERMITTED", operation)}


async def test_nor_over_rest(live: Emulator, tmp_path: Path):
    (tmp_path / "rules.cedar").write_text(RULES)
    async with (
        gateway(live, authorization={"rules_file": str(tmp_path / "rules.cedar")}) as rig,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {rig.token}"}) as session,
    ):
        path = f"http://{rig.rest_address}/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS.upper()}/assign"
        async with session.post(path, data=b"{", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 403
        assert [(entry.outcome, entry.policy) for entry in rig.entries()] == [("CALLER_NOT_PERMITTED", WINDOWS)]
