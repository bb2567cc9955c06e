"""`check`, the ready line and the doors' health report everything that the gateway depends on, with the cause of a fault."""

import asyncio
import json
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import aiohttp
import grpc
import pytest
import sqlalchemy as sa
import tomli_w
from certificates import new_pair
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from rig import Rig, at_once, command, gateway, outcome

from gateway.cli.emulator import config_for
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
NOWHERE = "postgresql://gateway@127.0.0.1:1/none"
DOOR, SOON, OLD = new_pair("door"), new_pair("door", days=3), new_pair("door", days=-1)


def written(emulator: Emulator, folder: Path, **sections: object) -> Path:
    values = config_for(emulator, hash_token(new_token())) | sections
    values["server"] |= {"drain_notice_s": 0}
    values.setdefault("ledger", {"url": f"sqlite:///{folder}/ledger.db"})
    path = folder / "gateway.toml"
    path.write_text(tomli_w.dumps(values))
    return path


async def checked(path: Path, part: str) -> tuple[int, dict]:
    """The exit status of `check`, and its result for this part."""
    code, out, err = await outcome("check", "--json", "--config", str(path))
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines, err
    return code, next(line for line in lines if line.get("part") == part)


@pytest.mark.parametrize(
    ("url", "why"),
    [(NOWHERE, "Connection refused"), ("sqlite:///no-folder/ledger.db", "is not there, or may not be written to")],
)
async def test_check_fails_with_the_cause_where_the_ledger_cannot_be_opened(live: Emulator, tmp_path: Path, url: str, why: str):
    code, ledger = await checked(written(live, tmp_path, ledger={"url": url}), "ledger")
    assert (code, ledger["verdict"]) == (1, "wrong")
    assert why in ledger["found"]


async def test_check_fails_with_the_cause_where_there_is_no_such_database(live: Emulator, tmp_path: Path, postgres):
    url = sa.make_url(postgres.new_database()).set(database="nothing_here").render_as_string(hide_password=False)
    code, ledger = await checked(written(live, tmp_path, ledger={"url": url}), "ledger")
    assert (code, ledger["verdict"]) == (1, "wrong")
    assert 'database "nothing_here" does not exist' in ledger["found"]


async def test_check_leaves_a_ledger_alone(live: Emulator, tmp_path: Path):
    async with gateway(live) as rig:
        path = written(live, tmp_path, ledger={"url": rig.ledger.url})
        assert await checked(path, "ledger") == (0, {"part": "ledger", "found": "ok", "verdict": "ok"})
    assert (await checked(written(live, tmp_path), "ledger"))[0] == 0
    assert not (tmp_path / "ledger.db").exists()


async def test_a_gateway_without_its_ledger_says_that_it_is_ready_for_reads(live: Emulator, tmp_path: Path):
    server, serving = await command("serve", "--config", str(written(live, tmp_path, ledger={"url": NOWHERE})))
    assert serving["ready"] == "reads"
    async with grpc.aio.insecure_channel(serving["grpc"]) as channel:
        assert [await health(channel, name) for name in ("", "ledger", "writes", "clock")] == [
            SERVING, NOT_SERVING, NOT_SERVING, SERVING,
        ]  # fmt: skip
    admin, public = await page(serving["admin"], "/readyz"), await page(serving["rest"], "/readyz")
    assert admin["ready"] is public["ready"] is True
    assert (public["ledger"], public["writes"]) == ("down", "down")
    assert admin["ledger"].startswith("down: ")
    assert "Connection refused" in admin["ledger"]
    assert admin["writes"] == "down: the ledger is down"
    server.terminate()
    await server.communicate()
    assert server.returncode == 0


async def health(channel: grpc.aio.Channel, name: str) -> int:
    return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))).status


async def page(address: str, path: str) -> dict:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return json.loads(await answer.text())


@pytest.mark.parametrize(
    ("pair", "code", "verdict", "said"),
    [(DOOR, 0, "ok", ""), (SOON, 0, "warning", "expires on"), (OLD, 1, "wrong", "has expired")],
)
async def test_the_end_of_the_doors_certificate_is_told(
    live: Emulator, tmp_path: Path, pair, code: int, verdict: str, said: str
):
    door = str(pair.write(tmp_path / "door.pem"))
    tls = {"cert_file": door, "key_file": door}
    server = {"grpc": "127.0.0.1:0", "admin": "127.0.0.1:0", "tls": tls}
    found = await checked(written(live, tmp_path, server=server), "server.tls")
    assert (found[0], found[1]["verdict"]) == (code, verdict)
    assert said in found[1].get("warning", "") + found[1]["found"]
    async with gateway(live, server={"tls": tls}) as rig:
        told = (await page(rig.admin_address, "/readyz"))["server.tls"]
    assert told == "up" if not code else told.startswith("down: the certificate has expired")
    expires = REGISTRY.get_sample_value("compliance_gateway_certificate_expires_timestamp_seconds")
    assert expires == pair.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize(("ahead", "which"), [(3600, "behind"), (-3600, "ahead of")])
async def test_a_clock_that_is_off_is_told(live: Emulator, tmp_path: Path, ahead: int, which: str):
    live.world.graph.page_size = 100  # one request for each read
    off, right = ({"Date": formatdate(time.time() + seconds, usegmt=True)} for seconds in (ahead, 0))
    live.world.faults.order([Fault(path="deviceCompliancePolicies", headers=off)])
    code, clock = await checked(written(live, tmp_path), "clock")
    assert (code, clock["verdict"]) == (1, "wrong")
    async with gateway(live) as rig:
        assert (await page(rig.admin_address, "/readyz"))["clock"] == "up"
        live.world.faults.order([Fault(path="/assignments", headers=headers) for headers in (off, right)])
        await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})
        await until_admin(rig, "clock", lambda text: f"s {which} Graph's" in text)
        skew = REGISTRY.get_sample_value("compliance_gateway_clock_skew_seconds", {"tenant": "emulator"})
        assert abs(skew - ahead) < 120
        await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})
        await until_admin(rig, "clock", lambda text: text == "up")


async def test_rules_that_become_wrong_and_right_again_are_told_and_counted(live: Emulator, tmp_path: Path):
    rules = tmp_path / "rules.cedar"
    rules.write_text("permit(principal, action, resource);")
    before = reloads()
    async with gateway(live, server={"reload_s": 0.05}, authorization={"rules_file": str(rules)}) as rig:
        at_once(rules, "permit(principal, action);")
        await until_admin(rig, "authorization.rules_file", lambda text: text.startswith("down: the new rules are wrong"))
        at_once(rules, "permit(principal, action, resource); // again")
        await until_admin(rig, "authorization.rules_file", lambda text: text == "up")
    assert reloads() == {outcome: count + 1 for outcome, count in before.items()}


def reloads() -> dict[str, float]:
    name = "compliance_gateway_reloads_total"
    return {one: REGISTRY.get_sample_value(name, {"what": "rules", "outcome": one}) or 0 for one in ("ok", "refused")}


async def until_admin(rig: Rig, name: str, fits: Callable[[str], bool]) -> None:
    async with asyncio.timeout(60):
        while not fits((await page(rig.admin_address, "/readyz"))[name]):
            await asyncio.sleep(0.05)
