"""Health, metrics, the API's description, its documentation in a real browser."""

import asyncio
import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import grpc
import pytest
from edits_over_the_wire import MERGE
from fake_ledger import NoLedger
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from rest_caller import rest
from rest_mistakes import POLICIES, SET, group
from rig import Rig

from gateway import bootstrap, metrics
from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS
from gateway.errors import Reason
from gateway.operations import OPERATIONS

SAMPLE = re.compile(r"^(compliance_gateway_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


UP = {"ledger": "up", "writes": "up", "authorization.rules_file": "up", "clock": "up"}


async def test_health_says_how_it_is(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    ledger = NoLedger()

    async def started(_: object, *, shared: bool) -> NoLedger:
        return ledger

    monkeypatch.setattr(bootstrap, "started_ledger", started)
    monkeypatch.setattr(bootstrap, "MAINTENANCE_S", 0.02)
    async with rest(live) as (rig, caller):
        assert (await caller.send("GET", "/healthz")).json == {"well": True}
        ready = await caller.send("GET", "/readyz")
        assert (ready.status, ready.json) == (200, {"ready": True, **UP})
        assert ready.headers["request-id"]
        ledger.up, ledger.fault = False, "it is gone"
        await asyncio.sleep(0.1)
        ready = await caller.send("GET", "/readyz")
        assert (ready.status, ready.json) == (200, {"ready": True, **UP, "ledger": "down", "writes": "down"}), "reads go on"
        assert "compliance_gateway_ledger_up 0.0" in await metrics_of(rig)


async def metrics_of(rig: Rig) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{rig.admin_address}/metrics") as answer:
        return await answer.text()


def samples(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for name, labels, value in SAMPLE.findall(text):
        found.setdefault(name, []).append((dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)))
    return found


async def test_metrics(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        before = samples(await metrics_of(rig))
        headers, url = {"content-type": "application/json"}, f"{POLICIES}/{WINDOWS}/assignments"
        items = [{"id": str(n), "method": "POST", "url": url, "headers": headers, "body": group(n)} for n in range(5)]
        await caller.send("POST", "/beta/$batch", {"requests": items})
        await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})
        await caller.send("GET", SET, headers={"Authorization": "Bearer " + "x" * 40})
        text = await metrics_of(rig)
    found = samples(text)

    def grown(name: str, **labels: str) -> float:
        def total(values: dict) -> float:
            return sum(v for have, v in values.get(name, []) if labels.items() <= have.items())

        return total(found) - total(before)

    created = {"operation": "CreateComplianceAssignment", "door": "rest", "caller": "demo", "outcome": "OK"}
    assert grown("compliance_gateway_calls_total", **created) == 5
    assert grown("compliance_gateway_calls_total", operation="ListComplianceAssignments", door="grpc", outcome="OK") == 1
    assert grown("compliance_gateway_calls_total", door="rest", caller="", outcome="CALLER_UNAUTHENTICATED") == 1
    assert grown("compliance_gateway_call_seconds_count", door="rest") == 7, "the batch too"
    writes = len([w for w in rig.writes() if w["status"] in (200, 204)])
    assert grown("compliance_gateway_writes_saved_total", tenant="emulator") == 5 - writes
    posts = sum(grown("compliance_gateway_graph_requests_total", method="POST", status=s) for s in ("200", "204"))
    assert posts == writes
    ours = {"tenant": "emulator"}
    assert (ours, 0.0) in found["compliance_gateway_edits_waiting"]
    [issued] = [v for have, v in found["compliance_gateway_token_issued_timestamp_seconds"] if have == ours]
    [expires] = [v for have, v in found["compliance_gateway_token_expires_timestamp_seconds"] if have == ours]
    assert 3000 < expires - issued < 3700
    assert found["compliance_gateway_ledger_up"] == [({}, 1.0)]
    outcomes = {"OK", "CANCELLED", *(reason.name for reason in Reason)}
    earlier = before.get("compliance_gateway_calls_total", [])  # by no door, as `audit undo` calls
    for labels, _ in (sample for sample in found["compliance_gateway_calls_total"] if sample not in earlier):
        assert labels["operation"] in (*OPERATIONS, "Batch")
        assert labels["door"] in ("grpc", "rest")
        assert labels["outcome"] in outcomes
    assert caller.token not in text


async def test_the_labels_of_callers_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(metrics, "_callers", set())
    labels = {metrics.caller_label(f"main:{n}") for n in range(1000)}
    assert len(labels) == metrics.MOST_CALLERS + 1
    assert metrics.caller_label("main:0") == "main:0"
    assert metrics.caller_label("main:999") == metrics.OTHERS
    assert metrics.caller_label("") == ""


async def test_metrics_and_channelz_are_at_no_door_for_callers(live: Emulator):
    async with rest(live) as (rig, caller):
        for path in ("/metrics", "/channelz/GetServers"):
            assert (await caller.send("GET", path)).json["error"]["code"] == "ROUTE_UNKNOWN"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channelz_pb2_grpc.ChannelzStub(rig.channel).GetServers(channelz_pb2.GetServersRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


ADMIN_MISTAKES = {"GetSocket?socket_id=999999": 404, "GetSocket?socket_id=x": 400, "Get": 404, "GetServer?x=1": 400}


async def test_the_admin_door_says_how_it_is(live: Emulator):
    async with rest(live) as (rig, caller):
        await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": WINDOWS})
        admin = replace(caller, root=f"http://{rig.admin_address}")
        assert (await admin.send("GET", "/healthz")).json == {"well": True, **UP}
        assert (await admin.send("GET", "/readyz")).json == {"ready": True, **UP}
        server = (await admin.send("GET", "/channelz/GetServers")).json["server"][-1]
        assert int(server["data"]["callsStarted"]) > 0
        sockets = await admin.send("GET", f"/channelz/GetServerSockets?server_id={server['ref']['serverId']}")
        assert sockets.json["socketRef"]
        assert rig.token not in f"{server} {sockets}"
        for path, status in ADMIN_MISTAKES.items():
            refused = await admin.send("GET", f"/channelz/{path}")
            assert (refused.status, list(refused.json)) == (status, ["error"])


@pytest.mark.needs("openapi_spec_validator")
async def test_the_description_is_valid(live: Emulator):
    async with rest(live) as (_, caller):
        described = (await caller.send("GET", "/openapi.json")).json
    importlib.import_module("openapi_spec_validator").validate(described)


async def test_the_description_is_complete(live: Emulator):
    async with rest(live) as (_, caller):
        described = (await caller.send("GET", "/openapi.json")).json
    assert described["openapi"].startswith("3.1.")
    operations = [one for path in described["paths"].values() for one in path.values() if isinstance(one, dict)]
    names = {operation["operationId"] for operation in operations if "reads" not in operation["tags"]}
    of_policies = [name for name, operation in OPERATIONS.items() if operation.of_policy and operation.http]
    of_both = {f"{name}.{version}" for name in (*of_policies, "batch", "GetMetadata") for version in ("v1.0", "beta")}
    assert names == of_both | {"GetQuota.v1.0", "healthz", "readyz", "openapi.json"}
    assert {"v1.0.quota", "v1.0.complianceAssignmentRevision"} <= described["components"]["schemas"].keys()
    target = described["components"]["schemas"]["beta.deviceAndAppManagementAssignmentTarget"]
    assert len(target["discriminator"]["mapping"]) == 6
    assert "deviceAndAppManagementAssignmentFilterId" in target["properties"]
    assert "deviceAndAppManagementAssignmentFilterId" not in json.dumps(
        described["components"]["schemas"]["v1.0.deviceAndAppManagementAssignmentTarget"]
    )
    for reason in Reason:
        told = [r for r in described["components"]["responses"].values() if f"`{reason.name}`" in r["description"]]
        assert bool(told) == (reason.name not in {"ROUTE_UNKNOWN", "METHOD_NOT_ALLOWED", "DEPENDENCY_FAILED", "CALLER_GONE"})


async def test_the_description_has_no_words_of_grpc(live: Emulator):
    """No field, status or method is spelt as in the protos."""
    async with rest(live) as (_, caller):
        described = (await caller.send("GET", "/openapi.json")).json
    del described["components"]["responses"]  # reasons, which both doors have in common
    texts = re.findall(r'"(?:description|summary)": "((?:[^"\\]|\\.)*)"', json.dumps(described, ensure_ascii=False))
    assert len(texts) > 300
    of_grpc = "|".join([*(status.name for status in grpc.StatusCode), *OPERATIONS, "AIP-", "oneof", "trailer", "metadata"])
    found = [text for text in texts if re.search(rf"(?<!`)\b(?:{of_grpc})\b|`[a-z]+_[a-z_]+`", text)]
    assert found == []


@pytest.mark.needs("swagger_ui")
async def test_no_page_is_shown_in_a_frame_of_another(live: Emulator):
    async with rest(live) as (_, caller):
        assert "frame-ancestors 'none'" in (await caller.send("GET", "/docs")).headers["content-security-policy"]


@pytest.mark.needs("chromium", "swagger_ui")
async def test_the_documentation_in_a_browser(live: Emulator, tmp_path: Path):
    """The page shows every operation, and loads nothing from other hosts."""
    async with rest(live) as (_, caller):
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
        quiet = ("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=10000")
        profile, pipe = f"--user-data-dir={tmp_path}", asyncio.subprocess.PIPE
        look = (*flags, *quiet, profile, "--enable-logging=stderr", "--dump-dom", f"{caller.root}/docs")
        browser = await asyncio.create_subprocess_exec("chromium", *look, stdout=pipe, stderr=pipe)
        shown, log = await asyncio.wait_for(browser.communicate(), 60)
        html = (await caller.send("GET", "/docs")).json.decode()
    page = shown.decode()
    assert page.count("opblock-summary-path") >= 11, page[-2000:]
    assert "/v1.0/deviceManagement/" in re.sub(r"<[^>]*>|\u200b", "", page)
    assert "Assigns a policy to one more target" in page
    assert "CONSOLE" not in log.decode(), log.decode()
    assert not re.search(r'(src|href)="(https?:)?//', html)


async def test_edits_that_wait_are_told(live: Emulator):
    async with rest(live, **MERGE) as (_, caller):
        most, task = 0.0, asyncio.create_task(caller.send("POST", SET, group(1)))
        while not task.done():
            most = max(most, metrics.EDITS_WAITING.labels("emulator")._value.get())
            await asyncio.sleep(0)
        assert most == 1.0


@pytest.mark.parametrize(
    ("host", "status"), [("evil.example", 421), ("evil.example:9464", 421), ("", 421), ("localhost", 200), ("[::1]:1", 200)]
)
async def test_the_admin_door_on_loopback_has_no_other_name(live: Emulator, host: str, status: int):
    async with rest(live) as (rig, caller):
        admin = replace(caller, root=f"http://{rig.admin_address}")
        answer = await admin.send("GET", "/metrics", headers={"Host": host})
        assert (answer.status, b"compliance_gateway" in (answer.json if status == 200 else b"")) == (status, status == 200)
