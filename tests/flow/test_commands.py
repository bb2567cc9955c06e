"""The commands as processes: their output, their exit status, and what they refuse."""

import asyncio
import json
import re
import signal
import time
import tomllib
from importlib.metadata import version
from pathlib import Path

import grpc
import pytest
import tomli_w
from compliance_gateway import connect
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processes import Process
from rig import command, failure, outcome

from gateway.config import Callers
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token

DEVICES = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}


async def end(process: Process, number: int = signal.SIGTERM) -> tuple[int, str]:
    process.send_signal(number)
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode or 0, stderr.decode()


async def emulated(path: Path, *more: str) -> tuple[Process, dict]:
    """An emulator and its configuration at `path`. It uses any free ports, because tests run side by side."""
    emulator, ready = await command("emulator", *more, "--write-config", str(path))
    values = tomllib.loads(path.read_text())
    values["server"] = dict.fromkeys(values["server"], "127.0.0.1:0")
    path.write_text(tomli_w.dumps(values))
    return emulator, ready


def create(address: str, token: str) -> str:
    with connect(address, token, plain_text=True) as stub:
        return stub.CreateComplianceAssignment(json_format.ParseDict(DEVICES, CreateComplianceAssignmentRequest())).id


async def test_demo_shows_the_main_job_and_ends_well(tmp_path: Path):
    code, out, err = await outcome("demo", "--ledger", str(tmp_path / "ledger.db"))
    assert code == 0, out + err
    assert "201" in out
    assert "Every answer was right." in out
    assert not re.search(r"eyJ[\w-]{10}", out + err), "no token is shown"


async def test_emulator_and_serve_and_check(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, ready = await emulated(path, "--routes", "documented")
    assert {
        "ready",
        "graph",
        "authority",
        "ca_file",
        "control",
        "tenant_id",
        "client_id",
        "caller_token",
        "caller_tokens",
    } == set(ready)
    secret = tmp_path / tomllib.loads(path.read_text())["tenants"]["emulator"]["credentials"][0]["file"]
    secret = secret.read_text()
    assert secret not in path.read_text() + json.dumps(ready)

    code, out, err = await outcome("check", "--config", str(path))
    assert (code, "ok" in out) == (0, True), out + err
    code, out, _ = await outcome("check", "--config", str(path), "--json")
    roles = "DeviceManagementConfiguration.Read.All DeviceManagementConfiguration.ReadWrite.All GroupMember.Read.All"
    about = {"tenant": "emulator", "credential": "secret", "expires": "-", "roles": roles}
    credential, *parts = map(json.loads, out.splitlines())
    names = "GroupMember.Read.All is granted"
    assert credential == {**about, "token": "ok", "permission": "ok", "read": "ok", "names": names, "verdict": "ok"}
    assert parts == [{"part": part, "found": "ok", "verdict": "ok"} for part in ("ledger", "authorization.rules_file", "clock")]

    server, serving = await command("serve", "--config", str(path))
    assert set(serving) == {"ready", "grpc", "rest", "admin"}
    assert serving["ready"] is True
    assert await asyncio.to_thread(create, serving["grpc"], ready["caller_token"])
    with pytest.raises(grpc.RpcError) as caught:
        await asyncio.to_thread(create, serving["grpc"], "x" * 40)
    assert failure(caught.value).status == "UNAUTHENTICATED"

    code, log = await end(server)
    assert code == 0, log
    events = [json.loads(line) for line in log.splitlines()]
    assert not [e for e in events if not e["logger"].startswith("gateway")]
    assert [e["outcome"] for e in events if e["message"] == "call"] == ["OK", "CALLER_UNAUTHENTICATED"]
    code, log = await end(emulator)
    assert (code, log) == (0, "")


async def test_check_says_what_is_wrong_with_a_tenant(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, _ = await emulated(path)
    secret = tmp_path / tomllib.loads(path.read_text())["tenants"]["emulator"]["credentials"][0]["file"]
    secret.write_text("canary-wrong-secret")
    code, out, err = await outcome("check", "--config", str(path), "--json")
    await end(emulator)
    assert code == 1
    assert json.loads(out.splitlines()[0])["token"].startswith("CREDENTIAL_REFUSED: Entra rejects the client secret")
    assert "canary" not in out + err


async def test_a_secret_that_others_can_read_is_told_at_the_start_and_by_check_or_refused(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, _ = await emulated(path)
    values = tomllib.loads(path.read_text())
    secret = tmp_path / values["tenants"]["emulator"]["credentials"][0]["file"]
    line = f"tenants.emulator.credentials.0.file: {secret} can be read by others"
    assert "by others" not in (await outcome("check", "--config", str(path)))[2]
    secret.chmod(0o644)
    code, _, err = await outcome("check", "--config", str(path))
    assert (code, err) == (0, f"warning: {line}\n")
    server, _ = await command("serve", "--config", str(path))
    assert line in (await end(server))[1]
    values["server"]["strict_files"] = True
    path.write_text(tomli_w.dumps(values))
    refused = [await outcome(name, "--config", str(path)) for name in ("serve", "check")]
    await end(emulator)
    assert refused == [(1, "", f"config: {line}\n")] * 2


async def test_every_fault_of_a_config_is_printed_and_nothing_starts(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    path.write_text('[server]\ngrpc = "0.0.0.0:1"\n[graph]\ncolour = 1\n')
    for name in ("serve", "check"):
        code, out, err = await outcome(name, "--config", str(path))
        assert (code, out) == (1, "")
        assert all(
            text in err for text in ("insecure = true", "graph.colour: unknown key", "callers: is required", "tenants: ")
        )


async def test_a_transport_that_is_not_installed_and_an_address_in_use_stop_the_start(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, ready = await emulated(path)
    text = path.read_text()
    path.write_text(text.replace("[graph]\n", '[graph]\ntransport = "pigeon"\n'))
    code, _, err = await outcome("serve", "--config", str(path))
    assert (code, "'pigeon' is not installed; installed are aiohttp, httptools, requests" in err) == (1, True)
    taken = ready["control"].removeprefix("http://")
    path.write_text(text.replace('grpc = "127.0.0.1:0"', f'grpc = "{taken}"'))
    code, _, err = await outcome("serve", "--config", str(path))
    assert (code, "cannot bind" in err) == (1, True), err
    await end(emulator)


async def test_sigterm_drains_says_not_serving_and_ends_with_0(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, ready = await emulated(path, "--routes", "documented")
    fault = {"method": "POST", "path": "/assignments$", "delay_s": 2}
    await control(ready["control"], "POST", "/faults", [fault])
    server, serving = await command("serve", "--config", str(path))
    async with grpc.aio.insecure_channel(serving["grpc"]) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        running = asyncio.create_task(asyncio.to_thread(create, serving["grpc"], ready["caller_token"]))
        while not await control(ready["control"], "GET", "/requests"):
            await asyncio.sleep(0.05)
        server.send_signal(signal.SIGTERM)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert (await control(f"http://{serving['rest']}", "GET", "/readyz"))["ready"] is False
        assert await running, "the running call ends well"
    started = time.monotonic()
    assert (await end(server))[0] == 0
    assert time.monotonic() - started < 10
    await end(emulator)


async def control(root: str, method: str, path: str, body: object = None) -> object:
    """A request to the control port, in plain HTTP and JSON."""
    host, port = root.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    data = json.dumps(body).encode() if body is not None else b""
    writer.write(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data
    )
    answer = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    return json.loads(answer) if answer else None


async def test_the_control_port(tmp_path: Path):
    emulator, ready = await command("emulator", "--port", "0")
    root = ready["control"]
    state = await control(root, "GET", "/state")
    assert set(state) == {"policies", "token_requests", "now", "late"}
    kinds = {r["target"]["@odata.type"] for p in state["policies"].values() for r in p["assignments"]}
    assert "#microsoft.graph.scopeTagGroupAssignmentTarget" in kinds
    row = {"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}
    await control(root, "POST", "/policies", {"id": "p1", "displayName": "P", "assignments": [row]})
    await control(root, "PUT", "/policies/p1/assignments", [])
    await control(root, "POST", "/clock", {"advance_s": 600})
    await control(root, "POST", "/lag", {"seconds": 1})
    changed = await control(root, "GET", "/state")
    assert changed["policies"]["p1"] == {"displayName": "P", "assignments": []}
    assert changed["now"] - state["now"] >= 600
    assert "error" in await control(root, "POST", "/faults", [{"colour": 1}])
    assert "error" in await control(root, "PUT", "/policies/none/assignments", [])
    await control(root, "POST", "/reset")
    assert (await control(root, "GET", "/state"))["policies"].keys() == state["policies"].keys()
    assert (await end(emulator, signal.SIGINT))[0] == 0


async def test_a_written_configuration_is_kept_unless_forced_and_works_with_the_next_emulator(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    emulator, ready = await emulated(path)
    assert (await end(emulator))[0] == 0
    before = path.read_text()
    assert str(tmp_path) not in before, "the folder can be moved"
    for name in ("secret", "ca-key.pem", "tokens.json"):
        assert (tmp_path / "emulator" / name).stat().st_mode & 0o077 == 0

    code, out, err = await outcome("emulator", "--write-config", str(path))
    assert (code, out, path.read_text()) == (2, "", before)
    assert "--force" in err

    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    path = moved / "gateway.toml"
    emulator, again = await command("emulator", "--state", str(moved / "emulator"))
    changing = {"control", "ca_file"}
    assert {k: v for k, v in again.items() if k not in changing} == {k: v for k, v in ready.items() if k not in changing}
    server, serving = await command("serve", "--config", str(path))
    assert await asyncio.to_thread(create, serving["grpc"], ready["caller_token"])
    await end(server)
    await end(emulator)

    path.write_text(f"{before}# by hand\n")
    emulator, _ = await command("emulator", "--write-config", str(path), "--force")
    await end(emulator)
    assert "by hand" not in path.read_text()


async def test_a_written_configuration_has_the_readmes_ports_where_they_are_free(tmp_path: Path):
    taken = asyncio.start_server(lambda *_: None, "127.0.0.1", 50051)
    try:
        listening = await taken
    except OSError:  # somebody else's, which serves as well
        listening = None
    emulator, _ = await command("emulator", "--write-config", str(tmp_path / "gateway.toml"))
    await end(emulator)
    server = tomllib.loads((tmp_path / "gateway.toml").read_text())["server"]
    assert server.pop("grpc") == "127.0.0.1:0"
    assert server == {door: server[door] for door in ("rest", "admin")}
    assert server["rest"] in ("127.0.0.1:8080", "127.0.0.1:0")
    assert server["admin"] in ("127.0.0.1:9464", "127.0.0.1:0")
    if listening is not None:
        listening.close()


@pytest.mark.parametrize("name", ["reporting", "hr.payroll", "0-9_x", "7"])
async def test_token_makes_a_token_and_a_line_that_the_configuration_takes(name: str):
    code, out, err = await outcome("token", name)
    assert code == 0
    [secret] = re.findall(r"token \(shown once\): (\S{43})\n", err)
    assert load_line(out) == {name: hash_token(secret)}
    assert Callers(static=load_line(out)).static == {name: hash_token(secret)}


def load_line(text: str) -> dict[str, str]:
    return tomllib.loads(f"[callers.static]\n{text}")["callers"]["static"]


@pytest.mark.parametrize("name", ["Reporting", "a b", 'x" = 1', "", "a" * 64, "ops\n"])
async def test_token_refuses_a_name_that_the_configuration_would(name: str):
    code, out, err = await outcome("token", name)
    assert (code, out) == (2, "")
    assert "lower-case letters" in err
    with pytest.raises(ValueError, match="lower-case letters"):
        Callers(static={name: hash_token("x" * 43)})


async def test_the_help_shows_names_of_sections():
    assert "[callers.static]" in (await outcome("token", "--help"))[1]
    assert "[ledger]" in (await outcome("audit", "verify", "--help"))[1]


async def test_the_version_is_told():
    assert await outcome("--version") == (0, f"compliance-gateway {version('compliance-gateway')}\n", "")
