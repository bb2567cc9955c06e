"""What the Python client has besides: awaited calls, and a gateway for other people's tests."""

import asyncio
from typing import Any

import pytest
from compliance_gateway import GatewayError, all_devices, assignment, connect, connect_async, group, including
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from edits_over_the_wire import guid

from gateway.emulator.seeds import EMPTY, FILTER, WINDOWS

pytest_plugins = ["compliance_gateway.testing"]
CREATE = pb.CreateComplianceAssignmentRequest(device_compliance_policy_id=EMPTY, assignment=assignment(group(guid(1))))


def test_a_gateway_for_other_peoples_tests_by_both_clients(compliance_gateway):
    with connect(compliance_gateway.address, compliance_gateway.token, plain_text=True) as gateway:
        created = gateway.CreateComplianceAssignment(CREATE)
    assert [row["id"] for row in compliance_gateway.state()["policies"][EMPTY]["assignments"]] == [created.id]
    compliance_gateway.reset()
    assert compliance_gateway.state()["policies"][EMPTY]["assignments"] == []
    assert compliance_gateway.token not in repr(compliance_gateway)
    asyncio.run(awaited(compliance_gateway))


async def awaited(running: Any) -> None:
    create = pb.CreateComplianceAssignmentRequest(device_compliance_policy_id=WINDOWS, assignment=assignment(group(guid(1))))
    async with connect_async(running.address, running.token, plain_text=True) as gateway:
        created = await gateway.CreateComplianceAssignment(create)
        assert created.target.group.group_id == guid(1)
        with pytest.raises(GatewayError) as caught:
            await gateway.CreateComplianceAssignment(create)
        assert caught.value.reason == "ALREADY_ASSIGNED"
        more = pb.CreateComplianceAssignmentRequest(
            device_compliance_policy_id=WINDOWS, assignment=assignment(all_devices(including(FILTER)))
        )
        await gateway.CreateComplianceAssignment(more)
    async with connect_async(running.address, "x" * 40, plain_text=True, timeout=5) as stranger:
        with pytest.raises(GatewayError) as caught:
            await stranger.CreateComplianceAssignment(create)
        assert (caught.value.reason, caught.value.retry_after) == ("CALLER_UNAUTHENTICATED", None)


async def test_a_token_that_never_comes_or_is_none():
    async def never() -> str:
        return await asyncio.Future()

    async def sealed() -> str:
        raise LookupError("the vault is sealed")

    for token, code in ((never, "DEADLINE_EXCEEDED"), (sealed, "UNAUTHENTICATED"), (lambda: None, "UNAUTHENTICATED")):
        async with connect_async("127.0.0.1:1", token, plain_text=True, timeout=0.1) as gateway:
            with pytest.raises(GatewayError) as caught:
                await gateway.CreateComplianceAssignment(CREATE)
        assert caught.value.code().name == code
        if token is sealed:
            assert isinstance(caught.value.__cause__, LookupError)


def test_a_certificate_without_its_key():
    with pytest.raises(ValueError, match="needs both"), connect("127.0.0.1:1", certificate=b"pem"):
        pass
