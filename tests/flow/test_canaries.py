"""Every secret contains a canary; then all output of the gateway is searched for it."""

import asyncio
import gc
import json
import traceback
from pathlib import Path

import aiohttp
import pytest
import tomli_w
from attacks import CLIENT, CREATE, bearer, sections, signed
from certificates import new_pair, token
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rig import Failure, gateway, logged
from test_callers import over_tls
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.emulator import config_for, tenant_of
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.pipeline.authenticators.static_tokens import hash_token

CANARY = "canary-9f8e7d"
STATIC = f"{CANARY}-static-token-of-a-caller"
PAIR = new_pair()
KEY_TEXT = PAIR.key_pem.decode().split("\n")[3]


def everything(live: Emulator, folder: Path) -> tuple[dict, list[dict]]:
    """The configuration with credentials of every kind, of which Entra accepts only the last one. Also returns the
    credentials."""
    (folder / "secret").write_text(f"{CANARY}-secret")
    (folder / "passphrase").write_text(f"{CANARY}-passphrase")
    (folder / "federated").write_text(token(PAIR.key, iss=CANARY, sub=CANARY, aud=CANARY))
    (folder / "ledger-password").write_text(f"{CANARY}-ledger-password")
    PAIR.write(folder / "app.pfx", f"{CANARY}-passphrase", pfx=True)
    credentials = [
        {"kind": "secret", "file": str(folder / "secret")},
        {"kind": "certificate", "file": str(folder / "app.pfx"), "passphrase_file": str(folder / "passphrase"), "x5c": True},
        {"kind": "federated", "file": str(folder / "federated")},
        {"kind": "command", "command": ["sh", "-c", f"echo {CANARY}-assertion; echo {CANARY}-stderr >&2"]},
        {"kind": "command", "command": ["sh", "-c", f"echo {CANARY}-assertion; exit 3"]},
        {"kind": "managed_identity"},
        {"kind": "secret", "file": str(live.folder / "secret")},
    ]
    values = sections(folder)
    values["callers"]["static"] = {"ops": hash_token(STATIC)}
    values["ledger"] = {"password_file": str(folder / "ledger-password")}
    values["tenants"] = {"emulator": tenant_of(live, *credentials)}
    return values, credentials


def secrets_of(live: Emulator, folder: Path) -> list[str]:
    """The texts that no output may contain."""
    federated = (folder / "federated").read_text().split(".")[2]
    return [
        f"{CANARY}-",
        federated,
        KEY_TEXT,
        live.world.entra.app.secret,
        live.world.entra.app.identity_header,
        "eyJ",
        "PRIVATE KEY",
    ]


async def admin(address: str) -> str:
    """The answers of the admin door."""
    async with aiohttp.ClientSession(f"http://{address}") as session:

        async def get(path: str) -> str:
            async with session.get(path) as answer:
                assert answer.status == 200
                return await answer.text()

        seen = [await get(path) for path in ("/metrics", "/healthz", "/readyz", "/channelz/GetTopChannels")]
        seen.append(await get("/channelz/GetServers"))
        for server in json.loads(seen[-1])["server"]:
            seen.append(await get(f"/channelz/GetServerSockets?server_id={server['ref']['serverId']}"))
            for ref in json.loads(seen[-1]).get("socketRef", []):
                seen.append(await get(f"/channelz/GetSocket?socket_id={ref['socketId']}"))
    return "\n".join(seen)


def reprs() -> str:
    """The representations of all living objects of the gateway's classes, except the emulator's and gateway.testing's."""
    texts = []
    for thing in gc.get_objects():
        module = str(getattr(type(thing), "__module__", ""))
        if module.startswith("gateway.") and not module.startswith(("gateway.emulator", "gateway.testing")):
            texts.append(repr(thing))
    return "\n".join(texts)


async def test_no_canary_sings(live: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{live.control}/msi/none")
    monkeypatch.setenv("IDENTITY_HEADER", live.world.entra.app.identity_header)
    values, _ = everything(live, tmp_path)
    jwt, foreign = signed(), signed(PAIR.key)
    seen: list[str] = []
    with logged() as lines:
        async with gateway(live, **values) as rig, over_tls(rig) as caller, over_tls(rig, CLIENT) as by_certificate:
            for text in (STATIC, jwt, foreign, f"{CANARY}-wrong-token"):
                answer, trailers = await caller.exchange("CreateComplianceAssignment", CREATE, metadata=bearer(text))
                seen += [answer.seen if isinstance(answer, Failure) else str(answer), repr(trailers)]
            seen.append(str(await by_certificate.call("CreateComplianceAssignment", CREATE, metadata=())))
            for fault in ({"status": 401}, {"status": 500, "body": f"{CANARY}-body"}, {"cut": "before"}):
                live.world.faults.order([Fault(path="/assign", times=99, **fault)])
                request = {"deviceCompliancePolicyId": CREATE["deviceCompliancePolicyId"]}
                seen.append((await caller.call("ListComplianceAssignments", request, metadata=bearer(STATIC), timeout=2)).seen)
                live.world.faults.clear()
            seen.append(await admin(rig.admin_address))
            health = await health_pb2_grpc.HealthStub(caller.channel).Check(health_pb2.HealthCheckRequest())
            seen += [str(health), reprs(), *map(repr, rig.entries())]
            frames = [frame for task in asyncio.all_tasks() for frame in task.get_stack()]
            seen += ["".join(traceback.format_stack(frame)) for frame in frames]
    config = config_for(live, hash_token(STATIC)) | {
        name: values[name] for name in ("tenants", "callers", "server", "authorization")
    }
    parsed = parse(config)
    seen += [repr(parsed), str(parsed), parsed.model_dump_json(), json.dumps(parsed.model_dump(mode="json"))]
    (tmp_path / "gateway.toml").write_text(tomli_w.dumps(config))
    for more in ((), ("--json",)):
        check = ["check", "--config", str(tmp_path / "gateway.toml"), *more]
        result = await asyncio.to_thread(CliRunner().invoke, app, check)
        assert result.exit_code == 1
        seen.append(result.output)
    out, err = capfd.readouterr()
    # The command is the operator's own text and stands in the configuration; its output does not.
    everything_seen = "\n".join([*seen, *lines, out, err])
    for text in ("assertion", "stderr"):
        everything_seen = everything_seen.replace(f"echo {CANARY}-{text}", "")
    for secret in [*secrets_of(live, tmp_path), STATIC, jwt, foreign]:
        at = everything_seen.find(secret)
        assert at < 0, everything_seen[max(0, at - 300) : at + 40]
    assert len(lines) > 10
    assert len(everything_seen) > 10_000
    assert "Caller(name=" in everything_seen, "objects were looked at"
