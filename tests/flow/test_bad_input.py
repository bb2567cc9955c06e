"""Invalid requests over a real channel: the status of the table, the named field, and nothing sent to Graph."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from conftest import as_new
from rig import Rig, gateway

from gateway.cli.emulator import config_for
from gateway.emulator import Emulator

CASES = json.loads((Path(__file__).parents[1] / "cases/bad_input.json").read_text())
GOOD = {"deviceCompliancePolicyId": "p", "assignment": {"target": {"allDevices": {}}}}


def expand(value):
    if isinstance(value, dict) and "repeat" in value:
        text, times = value["repeat"]
        return text * times
    return {k: expand(v) for k, v in value.items()} if isinstance(value, dict) else value


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def rig(live_emulator: Emulator) -> AsyncIterator[Rig]:
    """One gateway for all requests: none reaches Graph."""
    async with gateway(as_new(live_emulator)) as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=[c["name"] for c in CASES])
async def test_a_broken_rule_is_named(rig: Rig, live: Emulator, case: dict):
    failure = await rig.call("CreateComplianceAssignment", expand(case["request"]))
    assert (failure.status, failure.reason, failure.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", case["fields"])
    assert all(field in failure.message for field in case["fields"])
    assert len(failure.message) < 1000
    assert not live.world.requests


METADATA = {
    "no token": ((), "UNAUTHENTICATED", "CALLER_UNAUTHENTICATED", []),
    "a wrong token": ((("authorization", "Bearer " + "x" * 43),), "UNAUTHENTICATED", "CALLER_UNAUTHENTICATED", []),
    "another scheme": ((("authorization", "Basic TOKEN"),), "UNAUTHENTICATED", "CALLER_UNAUTHENTICATED", []),
    "an empty token": ((("authorization", "Bearer "),), "UNAUTHENTICATED", "CALLER_UNAUTHENTICATED", []),
    "two tokens": (
        (("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")),
        "UNAUTHENTICATED",
        "CALLER_UNAUTHENTICATED",
        [],
    ),
    "a tenant that is not configured": (
        (("authorization", "Bearer TOKEN"), ("x-graph-tenant", "other")),
        "INVALID_ARGUMENT",
        "TENANT_UNKNOWN",
        ["x-graph-tenant"],
    ),
    "two tenants": (
        (("authorization", "Bearer TOKEN"), ("x-graph-tenant", "emulator"), ("x-graph-tenant", "emulator")),
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        ["x-graph-tenant"],
    ),
}


@pytest.mark.parametrize("case", METADATA.values(), ids=METADATA)
async def test_metadata(rig: Rig, live: Emulator, case: tuple):
    metadata, status, reason, fields = case
    pairs = tuple((key, value.replace("TOKEN", rig.token)) for key, value in metadata)
    failure = await rig.call("CreateComplianceAssignment", GOOD, metadata=pairs)
    assert (failure.status, failure.reason, failure.fields) == (status, reason, fields)
    assert not live.world.requests


async def test_several_tenants_and_none_named(live: Emulator):

    tenant = config_for(live, "")["tenants"]["emulator"]
    async with gateway(live, tenants={"second": tenant}) as rig:
        failure = await rig.call("CreateComplianceAssignment", GOOD)
        assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", "TENANT_REQUIRED")


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"\xff\xff\xff", "INVALID_ARGUMENT", "MESSAGE_MALFORMED"),
        (b"\x0a\x04\xff\xfe\xfd\xfc", "INVALID_ARGUMENT", "MESSAGE_MALFORMED"),  # a string that is no UTF-8
        (b"", "INVALID_ARGUMENT", "INVALID_FIELD"),
        (b"\x0a" + b"\xff\xff\x5f" + b"a" * 0x17FFFF, "INVALID_ARGUMENT", "MESSAGE_TOO_LARGE"),
        (b"\x0a" + b"\xff\xff\xff\x03" + b"a" * 0x7FFFFF, "RESOURCE_EXHAUSTED", ""),  # gRPC's own hard limit
    ],
    ids=["no protobuf", "no UTF-8", "empty", "over the limit", "far over the limit"],
)
async def test_raw_messages(rig: Rig, live: Emulator, data: bytes, status: str, reason: str):
    failure = await rig.call("CreateComplianceAssignment", data)
    assert (failure.status, failure.reason) == (status, reason)
    assert not live.world.requests


async def test_a_stranger_learns_nothing_about_its_message(rig: Rig):
    failure = await rig.call("CreateComplianceAssignment", b"\xff", metadata=())
    assert failure.status == "UNAUTHENTICATED"
