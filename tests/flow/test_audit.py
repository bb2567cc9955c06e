"""The ledger's entries after calls, and the command that shows them."""

import asyncio
import csv
import io
import json
import sqlite3

import pytest
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from edits_over_the_wire import ASSIGN, MERGE, create, guid
from processes import Process
from rest_caller import rest
from rig import Rig, gateway
from typer.testing import CliRunner

from gateway.cli import app
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS
from gateway.ledger.chain import FACTS

GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ROW = f"{WINDOWS}_{GROUP}"
TARGET = {"target": {"group": {"groupId": guid(1)}}}
FILTER = {"target": {"deviceAndAppManagementAssignmentFilterId": guid(5), "deviceAndAppManagementAssignmentFilterType": 2}}
MASK = {"updateMask": "target.deviceAndAppManagementAssignmentFilterId"}
# operation, fields -> target, assignment
WRITES = [
    ("Create", {"assignment": TARGET}, f"group {guid(1)}", f"{WINDOWS}_{guid(1)}"),
    ("Create", {"assignment": {"target": {"allDevices": {}}}}, "all_devices", None),
    (
        "Create",
        {"assignment": {"target": {"unknown": {"odataType": "x.y", "json": '{"canary": 1}'}}}},
        "unknown x.y",
        "",
    ),
    ("Update", {"deviceCompliancePolicyAssignmentId": ROW, "assignment": FILTER, **MASK}, "", ROW),
    ("Delete", {"deviceCompliancePolicyAssignmentId": ROW}, "", ROW),
    (
        "Replace",
        {"assignments": [TARGET, {"target": {"allLicensedUsers": {}}}]},
        f"group {guid(1)}, all_licensed_users",
        "",
    ),
]


@pytest.mark.parametrize(("operation", "fields", "target", "assignment"), WRITES)
async def test_every_write_says_who_did_what(live: Emulator, operation: str, fields: dict, target: str, assignment: str | None):
    name = f"{operation}ComplianceAssignment{'s' if operation == 'Replace' else ''}"
    async with gateway(live, **MERGE) as rig:
        await rig.call(name, {"deviceCompliancePolicyId": WINDOWS, "requestId": "mine", **fields})
        [entry] = rig.entries()
    assert (entry.caller, entry.tenant, entry.operation, entry.policy) == ("demo", "emulator", name, WINDOWS)
    assert (entry.request_id, entry.target) == ("mine", target)
    assert assignment in (None, entry.assignment)
    write = rig.writes()[-1]
    assert (entry.graph_status, entry.client_request_id) == (write["status"], write["headers"]["client-request-id"])
    assert entry.graph_request_id
    assert (entry.route, entry.shared_by, entry.times) == ("assign", 1, 1)
    assert entry.began_at < entry.ended_at
    assert entry.duration_us > 1000
    assert (entry.request, entry.sent) == (None, None)
    assert "canary" not in repr(entry)
    if "unknown" not in target:
        assert entry.outcome == "OK"


BEARER = ("authorization", "Bearer wrong-wrong-wrong-wrong")
REFUSED = {
    "bad field": ({"deviceCompliancePolicyId": "a/b"}, None, "INVALID_FIELD", "demo"),
    "bad message": (b"\xff\xff", None, "MESSAGE_MALFORMED", "demo"),
    "no token": ({}, (), "CALLER_UNAUTHENTICATED", ""),
    "wrong token": ({}, (BEARER,), "CALLER_UNAUTHENTICATED", ""),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("operation", ["CreateComplianceAssignment", "GetComplianceAssignment"])
async def test_refusals_are_entries(live: Emulator, name: str, operation: str):
    request, metadata, reason, caller = REFUSED[name]
    async with gateway(live, **MERGE) as rig:
        assert (await rig.call(operation, request, metadata=metadata)).reason == reason
        [entry] = await rig.first_entries()
        assert (entry.outcome, entry.caller, entry.operation, entry.state) == (reason, caller, operation, "finished")
        assert (entry.request, entry.answer, entry.position) == (None, None, 1)


# Who may not at all, and who may not this; and what is known of it at either door without a look into a stranger's body.
FORBIDDEN = {
    'permit(principal, action == Action::"ListComplianceAssignments", resource);': {"grpc": ("", ""), "rest": (WINDOWS, "")},
    'permit(principal, action, resource) when { context.kinds.contains("all_devices") };': {
        "grpc": (WINDOWS, f"group {guid(1)}"),
        "rest": (WINDOWS, f"group {guid(1)}"),
    },
}


@pytest.mark.parametrize("door", ["grpc", "rest"])
@pytest.mark.parametrize("rules", FORBIDDEN, ids=["never", "not this"])
async def test_what_is_not_permitted_is_found_by_policy_and_target(live: Emulator, rules: str, door: str):
    (live.folder / "audit.cedar").write_text(rules)
    request = CreateComplianceAssignmentRequest(device_compliance_policy_id=WINDOWS)
    request.assignment.target.group.group_id = guid(1)
    async with rest(live, authorization={"rules_file": str(live.folder / "audit.cedar")}, **MERGE) as (rig, caller):
        refused = await (caller if door == "rest" else rig).call("CreateComplianceAssignment", request)
        assert refused.reason == "CALLER_NOT_PERMITTED"
        [entry] = await rig.first_entries()
    policy, target = FORBIDDEN[rules][door]
    assert (entry.policy, entry.target, entry.changes) == (policy, target, None)
    if target:
        code, out, _ = audit("--target", guid(1), "--policy", WINDOWS, *at(rig))
        assert (code, out.count("CALLER_NOT_PERMITTED"), "asked for group" in out) == (0, 1, True), out


async def test_a_wrong_tenant_is_a_refusal_and_a_reads_not_found_is_none(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        metadata = (("authorization", f"Bearer {rig.token}"), ("x-graph-tenant", "nobody's"))
        await rig.call("CreateComplianceAssignment", {}, metadata=metadata)
        request = {"deviceCompliancePolicyId": EMPTY, "deviceCompliancePolicyAssignmentId": "no"}
        assert (await rig.call("GetComplianceAssignment", request)).status == "NOT_FOUND"
        assert [entry.outcome for entry in rig.entries()] == ["TENANT_UNKNOWN"]


async def test_a_quota_refusal_is_an_entry(live: Emulator):
    async with gateway(live, graph={**MERGE["graph"], "writes_per_20s": 1}) as rig:
        await create(rig, TARGET["target"])
        request = {"deviceCompliancePolicyId": WINDOWS, "assignment": TARGET}
        assert (await rig.call("CreateComplianceAssignment", request, timeout=1)).status == "RESOURCE_EXHAUSTED"
        assert [entry.outcome for entry in rig.entries()] == ["OK", "QUOTA_EXHAUSTED"]


@pytest.mark.parametrize("metadata", [(), None], ids=["strangers", "one who is known"])
async def test_a_thousand_refusals_that_are_alike_fill_no_disk(
    live: Emulator, metadata: tuple | None, monkeypatch: pytest.MonkeyPatch
):
    """The second within which equal refusals are counted together is made longer, so that it has all of them."""
    monkeypatch.setattr("gateway.pipeline.floods.SECOND", 3600.0)
    async with gateway(live, **MERGE) as rig:
        for _ in range(20):
            calls = (rig.call("ListComplianceAssignments", {}, metadata=metadata) for _ in range(50))
            assert {call.reason for call in await asyncio.gather(*calls)} <= {"CALLER_UNAUTHENTICATED", "INVALID_FIELD"}
    entries = rig.entries()
    assert sum(entry.times for entry in entries) == 1000, "counted, every one"
    assert [entry.times for entry in entries] == [1, 999], "the first at once, the others together"


async def ledger_with_writes(live: Emulator) -> Rig:
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, delay_s=0.2)])
        await asyncio.gather(*(create(rig, {"group": {"groupId": guid(i)}}, requestId=f"=r{i}") for i in range(5)))
        await create(rig, {"group": {"groupId": guid(0)}}, WINDOWS)
        await create(rig, {"group": {"groupId": guid(0)}}, WINDOWS)
    return rig


def at(rig: Rig) -> tuple[str, str]:
    return "--ledger", rig.ledger.url.removeprefix("sqlite:///")


def audit(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    result = CliRunner().invoke(app, ["audit", *arguments])
    return result.exit_code, result.stdout, result.stderr


def found_by(rig: Rig, *arguments: str) -> list[dict]:
    code, out, err = audit(*at(rig), "--json", *arguments)
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


async def test_who_assigned_this_policy_to_this_group(live: Emulator):
    rig = await ledger_with_writes(live)
    [found] = found_by(rig, "--policy", WINDOWS, "--target", guid(0), "--outcome", "OK")
    write = rig.writes()[-1]
    assert (found["caller"], found["client_request_id"]) == ("demo", write["headers"]["client-request-id"])
    assert found["graph_request_id"]
    code, out, _ = audit(*at(rig), "--policy", WINDOWS, "--wide")
    assert code == 0
    assert found["graph_request_id"] in out
    for number in ("id", "request_id", "client_request_id", "graph_request_id", "assignment"):
        code, out, _ = audit("trace", found[number], *at(rig))
        assert code == 0
        assert all(str(found[name]) in out for name in ("caller", "operation", "policy", "target", "graph_request_id", "hash"))
    code, _, err = audit("trace", "no-such-id", *at(rig))
    assert (code, err) == (1, "No entry has this ID.\n")


async def test_filters_and_times(live: Emulator):
    rig = await ledger_with_writes(live)
    assert len(found_by(rig)) == 7
    assert len(found_by(rig, "--newest", "2")) == 2
    assert len(found_by(rig, "--since", "1h", "--until", "2999-01-01", "--caller", "demo", "--tenant", "emulator")) == 7
    assert found_by(rig, "--until", "2026-01-01T00:00") == []
    assert len(found_by(rig, "--request-id", "=r3", "--operation", "CreateComplianceAssignment")) == 1
    assert len(found_by(rig, "--since", "yesterday")) == 7
    code, _, err = audit(*at(rig), "--since", "tomorrow")
    assert code == 2
    assert "ISO 8601" in err


async def test_export_and_verify(live: Emulator):
    rig = await ledger_with_writes(live)
    _, lines, _ = audit("export", *at(rig))
    exported = [json.loads(line) for line in lines.splitlines()]
    assert [row["position"] for row in exported] == sorted(row["position"] for row in exported)
    assert set(FACTS) <= exported[0].keys()
    _, text, _ = audit("export", *at(rig), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["hash"] for row in rows] == [row["hash"] for row in exported]
    assert {row["request_id"][:3] for row in rows[:5]} == {"'=r"}, "no formula for a spreadsheet"
    code, out, _ = audit("verify", *at(rig))
    assert code == 0
    head = out.split("head ")[1].strip()
    assert audit("verify", *at(rig), "--noted", head)[0] == 0


# What is done to a ledger of seven entries -> what `verify` says
TAMPERED = {
    "UPDATE entries SET caller = 'someone else' WHERE position = 3": "entry 3: was changed",
    "UPDATE entries SET answer = X'00' WHERE position = 3": "entry 3: its answer",
    "UPDATE entries SET state = 'running' WHERE position = 7": "entry 7: is marked as unfinished",
    "INSERT INTO entries SELECT {} FROM entries WHERE position = 3": "its position None is taken by another entry",
    "UPDATE chain SET tail_position = 2, tail_hash = (SELECT hash FROM entries WHERE position = 2);"
    "DELETE FROM entries WHERE position <= 2": "entry 2: the chain begins after it",
}


@pytest.mark.parametrize("statements", TAMPERED)
async def test_verify_finds_what_was_done_to_the_ledger(live: Emulator, statements: str):
    rig = await ledger_with_writes(live)
    with sqlite3.connect(rig.ledger.url.removeprefix("sqlite:///")) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(entries)")]
        other = {"id": "'other'", "claim": "NULL", "position": "NULL"}
        connection.executescript(statements.format(", ".join(other.get(name, name) for name in columns)))
    code, out, _ = audit("verify", *at(rig))
    assert code == 1
    assert TAMPERED[statements] in out


async def test_following_shows_what_is_finished_from_now_on(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        await create(rig, {"group": {"groupId": guid(0)}})
        process = await Process().start(("audit", *at(rig), "--json", "--follow"))
        async with asyncio.timeout(60):
            assert json.loads(await process.stdout.readline())["target"] == f"group {guid(0)}"
            await create(rig, {"group": {"groupId": guid(1)}})
            assert json.loads(await process.stdout.readline())["target"] == f"group {guid(1)}"
        process.terminate()
        await process.wait()


WRONG = {
    "neither": (),
    "both": ("--ledger", "x", "--config", "y"),
    "no such file": ("--ledger", "no-such-ledger.db"),
    "no such database": ("--ledger", "mysql://x"),
    "a password": ("--ledger", "postgresql://me:secret@host/db"),
    "no such config": ("--config", "no-such-file.toml"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", [(), ("verify",), ("export",), ("trace", "x")])
def test_what_cannot_be_read_is_said(name: str, command: tuple[str, ...]):
    code, out, err = audit(*command, *WRONG[name])
    assert code in (1, 2)
    assert out == ""
    assert err
    assert "Traceback" not in err
    assert "secret" not in err
