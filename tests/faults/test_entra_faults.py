"""Entra's faults through the whole gateway, and what a token source has to survive with a real MSAL and a real endpoint."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msal
import pytest
from rig import gateway, logged

from gateway.cli.emulator import config_for
from gateway.config import parse
from gateway.credentials.entra_session import EntraSession
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token
from gateway.plugins import token_source

GOOD = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}
DOCUMENTED = {"graph": {"create_route": "documented"}}
TOKEN, DISCOVERY = "/oauth2/v2.0/token$", "/openid-configuration$"


def aadsts(code: int, error: str, status: int = 400) -> dict:
    return {
        "status": status,
        "body": {"error": error, "error_description": f"AADSTS{code}: canary-body", "error_codes": [code]},
    }


FAULTS = {
    "wrong secret": (TOKEN, aadsts(7000215, "invalid_client", 401), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "expired secret": (TOKEN, aadsts(7000222, "invalid_client", 401), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "no such app": (TOKEN, aadsts(700016, "unauthorized_client"), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "no such tenant": (DISCOVERY, aadsts(90002, "invalid_request"), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "no such resource": (TOKEN, aadsts(500011, "invalid_resource"), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "bad scope": (TOKEN, aadsts(1002012, "invalid_scope"), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "a code nobody knows": (TOKEN, aadsts(999999, "invalid_grant"), "FAILED_PRECONDITION", "CREDENTIAL_REFUSED"),
    "a transient fault": (TOKEN, aadsts(90033, "temporarily_unavailable", 503), "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "too many requests": (TOKEN, aadsts(50196, "invalid_grant", 429), "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "429 with an error word": (TOKEN, {"status": 429, "body": {"error": "canary-body"}}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "500 with HTML": (TOKEN, {"status": 500, "body": "<html>canary-body"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "200 with HTML": (TOKEN, {"status": 200, "body": "<html>canary-body"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "200 with an array": (TOKEN, {"status": 200, "body": ["canary-body"]}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "200 without a token": (TOKEN, {"status": 200, "body": {"token_type": "Bearer"}}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "200 with an odd lifetime": (
        TOKEN,
        {"status": 200, "body": {"access_token": "canary-token", "expires_in": "soon", "token_type": "Bearer"}},
        "UNAVAILABLE",
        "ENTRA_UNAVAILABLE",
    ),
    "discovery 500": (DISCOVERY, {"status": 500, "body": "canary-body"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "discovery with HTML": (DISCOVERY, {"status": 200, "body": "<html>canary-body"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "discovery redirects": (DISCOVERY, {"status": 302, "body": "canary-body"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "discovery is cut": (DISCOVERY, {"cut": "before"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
    "the token request is cut": (TOKEN, {"cut": "before"}, "UNAVAILABLE", "ENTRA_UNAVAILABLE"),
}


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
async def test_each_kind_of_error(documented: Emulator, case: tuple):
    path, fault, status, reason = case
    documented.world.faults.order([Fault(path=path, times=99, **fault)])
    secret = documented.world.entra.app.secret
    with logged() as lines:
        async with gateway(documented, **DOCUMENTED) as rig:
            failure = await rig.call("CreateComplianceAssignment", GOOD)
    assert (failure.status, failure.reason) == (status, reason)
    assert (failure.retry_after is not None) == (status == "UNAVAILABLE")
    everything = failure.seen + "".join(lines)
    assert "canary" not in everything
    assert secret not in everything
    assert not documented.world.requests


async def test_a_slow_entra_is_bounded_by_the_deadline(documented: Emulator):
    released = asyncio.Event()
    documented.world.faults.order([Fault(path=TOKEN, until=released)])
    async with gateway(documented, **DOCUMENTED) as rig:
        failure = await rig.call("CreateComplianceAssignment", GOOD, timeout=0.5)
        assert failure.status == "DEADLINE_EXCEEDED"
        released.set()  # the fetch went on for whoever comes next
        assert (await rig.call("CreateComplianceAssignment", GOOD)).id
    assert documented.world.entra.token_requests == 1


async def test_a_failing_entra_is_not_asked_by_every_call(documented: Emulator):
    documented.world.faults.order([Fault(path=TOKEN, times=99, **aadsts(7000215, "invalid_client", 401))])
    async with gateway(documented, **DOCUMENTED) as rig:
        await asyncio.gather(*(rig.call("CreateComplianceAssignment", GOOD) for _ in range(50)))
    assert documented.world.faults.waiting == 98


async def test_fifty_cold_calls_send_one_token_request_where_msal_alone_sends_fifty(documented: Emulator):
    async with gateway(documented, **DOCUMENTED) as rig:
        targets = [{"group": {"groupId": f"{i:08x}-0000-4000-8000-000000000000"}} for i in range(50)]
        calls = (rig.call("CreateComplianceAssignment", GOOD | {"assignment": {"target": t}}) for t in targets)
        assert all(answer.id for answer in await asyncio.gather(*calls))
    ours, documented.world.entra.token_requests = documented.world.entra.token_requests, 0
    all_have_asked = asyncio.Event()
    documented.world.faults.order([Fault(path=TOKEN, times=50, until=all_have_asked)])
    alone = asyncio.create_task(asyncio.to_thread(fifty_calls_of_msal_alone, documented))
    while documented.world.faults.waiting and not alone.done():
        await asyncio.sleep(0.01)
    all_have_asked.set()
    await alone
    assert (ours, documented.world.entra.token_requests) == (1, 50)


def fifty_calls_of_msal_alone(emulator: Emulator) -> None:
    with EntraSession(emulator.folder / "ca.pem") as session, ThreadPoolExecutor(50) as threads:
        app = msal.ConfidentialClientApplication(
            emulator.world.entra.app.client_id,
            client_credential=emulator.world.entra.app.secret,
            authority=f"{emulator.root}/{emulator.world.entra.tenant_id}",
            http_client=session,
            instance_discovery=False,
        )
        results = list(threads.map(lambda _: app.acquire_token_for_client([f"{emulator.root}/.default"]), range(50)))
    assert all("access_token" in result for result in results)


async def test_entra_down_for_ten_minutes_inside_a_tokens_life_fails_no_call(documented: Emulator):
    """The gateway uses the emulator's clock. Every call of the ten minutes is answered, and renewal resumes after."""
    clock = documented.world.clock.now
    config = parse(config_for(documented, hash_token("x" * 20)))

    async def sleep(seconds: float) -> None:
        wake_at = clock() + seconds
        while clock() < wake_at:
            await asyncio.sleep(0.005)

    with ThreadPoolExecutor(1) as threads:
        tokens = token_source("emulator", config.tenants["emulator"], threads, clock, sleep)
        first = await tokens.token()
        documented.world.faults.order([Fault(path=TOKEN, times=10_000, status=503)])
        served = set()
        documented.world.clock.advance(3599 * 0.5 - 60)  # close to the renewal
        for _ in range(120):
            documented.world.clock.advance(5)
            await asyncio.sleep(0.01)
            served.add(await tokens.token())
            assert documented.world.entra.check(await tokens.token())
        assert served == {first}
        assert 10_000 - documented.world.faults.waiting > 3, "renewal was tried while Entra was down"
        documented.world.faults.clear()
        for _ in range(200):
            documented.world.clock.advance(5)
            await asyncio.sleep(0.01)
            if await tokens.token() != first:
                break
        assert await tokens.token() != first
        assert documented.world.entra.check(await tokens.token())
        await tokens.close()
