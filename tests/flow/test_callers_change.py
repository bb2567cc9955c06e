"""Callers that change while the gateway runs: tokens that are removed, keys that are revoked or cannot be read."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import grpc
import pytest
import tomli_w
from attacks import CA, KEY_2, bearer, jwk, sections, signed
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rig import Failure, Rig, at_once, gateway, outcome

from gateway import bootstrap
from gateway.bootstrap import running
from gateway.call import Call
from gateway.cli.emulator import config_for
from gateway.config import load
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token
from gateway.plugins import authenticators

LIST = {"deviceCompliancePolicyId": EMPTY}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until the condition holds."""
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


class Hanging:
    """An authenticator that knows no caller, and whose reload never returns."""

    async def caller_of(self, call: Call) -> None:
        return None

    async def reload(self) -> None:
        await asyncio.Event().wait()

    def health(self) -> dict[str, str]:
        return {"hanging": "no answer"}


def write(live: Emulator, path: Path, **callers: str) -> None:
    values = config_for(live, "") | {"callers": {"static": {name: hash_token(token) for name, token in callers.items()}}}
    rules = path.parent / "rules.cedar"
    rules.write_text("permit(principal, action, resource);")
    values["authorization"] = {"rules_file": str(rules)}
    values["server"] |= {"reload_s": 0.05, "drain_notice_s": 0}
    path.write_text(tomli_w.dumps(values))


@pytest.mark.parametrize("beside", [[], [Hanging()]], ids=["alone", "beside one whose reload hangs"])
async def test_a_static_token_ends_when_it_is_taken_out_of_the_configuration(
    live: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: list[Hanging]
):
    monkeypatch.setattr(bootstrap, "authenticators", lambda *given: [*authenticators(*given), *beside])
    monkeypatch.setattr(bootstrap, "FIRST_RELOAD_S", 0.2)
    path, one, two = tmp_path / "gateway.toml", new_token(), new_token()
    write(live, path, one=one)
    config = load(path)
    async with running(config, source=path) as doors, grpc.aio.insecure_channel(doors.grpc) as channel:
        rig = Rig(live, channel, doors.grpc, one, config.ledger)

        async def is_known(token: str) -> bool:
            answer = await rig.call("ListComplianceAssignments", LIST, metadata=bearer(token))
            assert not isinstance(answer, Failure) or answer.status == "UNAUTHENTICATED", answer
            return not isinstance(answer, Failure)

        async def is_unknown(token: str) -> bool:
            return not await is_known(token)

        assert await is_known(one)
        assert await is_unknown(two)
        write(live, path, two=two)
        await until(lambda: is_unknown(one))
        assert await is_known(two)


def sections_of_an_issuer(live: Emulator, folder: Path, **issuer: str) -> dict:
    """A configuration with the emulator's Entra as the issuer; the admin door's `/readyz` then shows the health."""
    entra = live.world.entra
    about = {"issuer": f"{live.root}/{entra.tenant_id}/", "audience": live.root, "name_claim": "appid", **issuer}
    keys = {"jwks_url": f"{live.root}/{entra.tenant_id}/discovery/v2.0/keys"} if "jwks_url" not in issuer else {}
    return {"callers": {"jwt": {"entra": {**about, **keys}}}, "server": {"reload_s": 0.05}}


async def page(rig: Rig, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{rig.admin_address}{path}") as answer:
        return await answer.text()


CAUSES = {
    "certificate": ({}, "down: the issuer's certificate is not trusted: "),
    "dns": ({"jwks_url": "https://issuer.invalid/keys"}, "down: the issuer's name cannot be resolved"),
    "connection": ({"jwks_url": "https://127.0.0.1:1/keys"}, "down: no connection to the issuer"),
    "status": ({"jwks_url": "{root}/nowhere"}, "down: the issuer answers 40"),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_keys_that_cannot_be_read_show_with_the_cause(live: Emulator, tmp_path: Path, cause: str):
    issuer, words = CAUSES[cause]
    issuer = {name: value.format(root=live.root) for name, value in issuer.items()}
    if cause == "status":
        issuer["ca_file"] = str(live.folder / "ca.pem")
    async with gateway(live, **sections_of_an_issuer(live, tmp_path, **issuer)) as rig:
        ready = json.loads(await page(rig, "/readyz"))
        assert ready["ready"] is True, "other callers are served"
        assert ready["callers.jwt.entra"].startswith(words)
        health = health_pb2_grpc.HealthStub(rig.channel)
        asked = health_pb2.HealthCheckRequest(service="callers.jwt.entra")
        assert (await health.Check(asked)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        metrics = await page(rig, "/metrics")
        assert 'compliance_gateway_jwks_up{issuer="entra"} 0.0' in metrics
        assert f'compliance_gateway_jwks_failed_total{{cause="{cause}",issuer="entra"}}' in metrics


async def test_keys_that_can_be_read_are_up(live: Emulator, tmp_path: Path):
    sections = sections_of_an_issuer(live, tmp_path, ca_file=str(live.folder / "ca.pem"))
    async with gateway(live, **sections) as rig:
        assert json.loads(await page(rig, "/readyz"))["callers.jwt.entra"] == "up"
        assert 'compliance_gateway_jwks_up{issuer="entra"} 1.0' in await page(rig, "/metrics")


async def test_a_revoked_key_ends_its_tokens_within_the_reload(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        credentials = grpc.ssl_channel_credentials(CA.pem.encode())
        async with grpc.aio.secure_channel(rig.address, credentials) as channel:
            caller, token = Rig(live, channel, rig.address, "", rig.ledger), signed()

            async def is_known() -> bool:
                answer = await caller.call("ListComplianceAssignments", LIST, metadata=bearer(token))
                return not isinstance(answer, Failure)

            async def is_unknown() -> bool:
                return not await is_known()

            assert await is_known()
            at_once(tmp_path / "jwks.json", json.dumps({"keys": [jwk(KEY_2, "two")]}))
            await until(is_unknown)


@pytest.mark.parametrize(
    ("url", "found"), [("", "ok"), ("https://issuer.invalid/keys", "the issuer's name cannot be resolved")]
)
async def test_check_tries_the_keys_of_each_issuer(live: Emulator, tmp_path: Path, url: str, found: str):
    path = tmp_path / "gateway.toml"
    issuer = {"jwks_url": url} if url else {}
    values = config_for(live, "") | sections_of_an_issuer(live, tmp_path, ca_file=str(live.folder / "ca.pem"), **issuer)
    path.write_text(tomli_w.dumps(values))
    code, out, err = await outcome("check", "--json", "--config", str(path))
    lines = [json.loads(line) for line in out.splitlines()]
    verdict = "ok" if found == "ok" else "wrong"
    assert {"part": "callers.jwt.entra", "found": found, "verdict": verdict} in lines, out + err
    assert code == (found != "ok")
    code, out, _ = await outcome("check", "--config", str(path))
    assert f"callers.jwt.entra: {found}" in out
