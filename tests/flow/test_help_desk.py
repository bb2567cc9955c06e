"""The question “Who removed the All-devices assignment last Tuesday, and how do I restore it?”, answered by the commands'
printed output."""

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from edits_over_the_wire import guid
from help_desk import FILTER, Desk, entry_in, group
from rig import on_a_terminal, outcome

from gateway.cli.audit_undo import operator
from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS


@pytest.fixture
def desk(live: Emulator, tmp_path: Path) -> Desk:
    return Desk(live, tmp_path)


async def test_who_took_it_away_and_how_is_it_put_back(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        others = list(rig.rows(WINDOWS))
    out = await desk.who_removed_it()
    head, line, *changes = out.splitlines()
    assert line.startswith(f"{datetime.now(UTC):%Y-%m-%d }")
    assert line.split()[2:4] == ["reporting", "Replace"]
    assert changes[0] == f"    - all_devices include {FILTER[:8]}"
    assert all(len(text) <= 80 for text in (head, line))
    entry = entry_in(out)

    code, shown, _ = await desk.audit("undo", entry, "--config", str(desk.file))
    assert code == 0
    assert f"    + all_devices include {FILTER}" in shown
    assert "/restore" in shown
    assert desk.row(rig) is None, "only shown"
    code, done, err = await desk.audit("undo", entry, "--config", str(desk.file), "--yes")
    assert (code, err) == (0, "")
    assert f"undone by {operator().name}, entry" in done
    assert f"    + all_devices include {FILTER}" in done
    assert desk.row(rig) == desk.lost, "exactly as it was"
    assert [row for row in rig.rows(WINDOWS) if row in others and row["target"].get("groupId") == guid(4)], "later work stays"

    code, again, _ = await desk.audit("undo", entry, "--config", str(desk.file), "--yes")
    assert (code, "nothing to undo" in again) == (0, True), again
    [mine] = [one for one in rig.entries(operation="RestoreComplianceAssignments") if one.changes and one.revision]
    assert mine.caller.startswith("operator:")
    code, out, _ = await desk.audit("--config", str(desk.file), "--target", "all_devices", "--added")
    assert [line.split()[2:4] for line in out.splitlines() if line[:2] == "20"] == [
        ["onboarding", "Create"],
        [mine.caller, "Restore"],
    ]


async def test_the_commands_that_are_printed_put_it_back(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        entry = entry_in(await desk.who_removed_it())
        code, shown, err = await desk.audit("undo", entry, "--config", str(desk.file), "--yes")
        assert code == 1
        assert "is in use by another gateway" in err
        assert "curl" in err
        assert shown == ""
        _, shown, _ = await desk.audit("undo", entry, "--ledger", rig.ledger.url)
        command = re.search(r"^  curl .*?[^\\]\n", shown, re.MULTILINE | re.DOTALL)[0]
        environment = {**os.environ, "GATEWAY": f"http://{rig.rest_address}", "TOKEN": rig.token}
        for line, is_back in ((command.replace("/restore", "/restore?validateOnly=true"), False), (command, True)):
            process = await asyncio.create_subprocess_exec("bash", "-c", line, env=environment, stdout=asyncio.subprocess.PIPE)
            answer, _ = await asyncio.wait_for(process.communicate(), 30)
            assert "outcomes" in json.loads(answer)
            assert (desk.row(rig) == desk.lost) == is_back


async def test_entries_and_revisions_are_shown_and_compared(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
    at = ("--config", str(desk.file))
    entry = entry_in(await desk.who_removed_it())
    code, shown, _ = await desk.audit("show", entry, *at)
    assert code == 0
    [whole] = [one for one in rig.entries() if one.id.startswith(entry)]
    for said in (whole.id, whole.request_id, whole.graph_request_id, whole.client_request_id, whole.etag, "reporting"):
        assert said in shown
    assert "  removed all_devices\n" in shown
    assert f'    - target.deviceAndAppManagementAssignmentFilterId: "{FILTER}"\n' in shown
    assert "\x1b" not in shown
    number = str(whole.revision)
    code, one, _ = await desk.audit("diff", number, "--policy", WINDOWS.upper(), *at)
    assert code == 0
    assert f"revision {number} (write) of {WINDOWS}" in one
    assert "  removed all_devices\n" in one
    code, two, _ = await desk.audit("diff", "1", number, "--policy", WINDOWS, *at)
    assert code == 0
    assert "  removed all_devices\n" in two
    assert f"  added group {guid(3)}\n" in two
    for policy in (WINDOWS, WINDOWS[:4]):
        assert (await desk.audit("undo", number, "--policy", policy, *at))[1].count(f'{{"revision":{number}}}') == 1
    for wrong in (("diff", "999", "--policy", WINDOWS), ("show", "ffffffffffff"), ("show", "ab"), ("undo", "ffffffffffff")):
        code, out, err = await desk.audit(*wrong, *at)
        assert (code, out) == (1, "")
        assert err.startswith(("No entry has this ID", "The ledger has no revision 999"))


async def test_exports_have_before_and_after(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
    at = ("--config", str(desk.file))
    _, lines, _ = await desk.audit("export", *at)
    [removed] = [line for line in map(json.loads, lines.splitlines()) if "removed" in [c["how"] for c in line["changes"]]]
    assert removed["version"] == 1
    change = next(change for change in removed["changes"] if change["target"] == "all_devices")
    assert (change["before"], change["after"]) == ([desk.lost], [])
    code, out, _ = await outcome("audit", "export", *at, "--format", "csv")
    assert code == 0
    assert '""' + desk.lost["id"] in out


async def test_refused_requests_and_what_others_did_are_found_too(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        await desk.call(rig, "onboarding", "CreateComplianceAssignment", assignment=group(9))
        again = {"deviceCompliancePolicyId": WINDOWS, "assignment": group(9)}
        assert (await rig.call("CreateComplianceAssignment", again)).reason == "ALREADY_ASSIGNED"
        rows = rig.rows(WINDOWS)
        rows[:] = [row for row in rows if row["target"].get("groupId") != guid(9)]
        await desk.call(rig, "patching", "CreateComplianceAssignment", assignment=group(5))
        async with asyncio.timeout(20):
            while not rig.entries(operation="ForeignChange"):
                await asyncio.sleep(0.1)
    code, out, _ = await desk.audit("--config", str(desk.file), "--target", guid(9)[:8])
    assert code == 0
    told = [line if line[:1] == " " else " ".join(line.split("  ")[2:3]) for line in out.splitlines()[1:]]
    assert out.count(f"asked for group {guid(9)[:8]}") == 1
    assert "somebody else" in out
    assert f"    - group {guid(9)[:8]}" in told
    code, out, _ = await desk.audit("--config", str(desk.file), "--target", guid(9)[:8], "--removed")
    assert len([line for line in out.splitlines() if line[:2] == "20"]) == 1


async def test_long_names_and_many_changes_fit_80_columns(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        await desk.call(rig, "patching", "ReplaceComplianceAssignments", assignments=[group(i) for i in range(20, 40)])
    code, out, _ = await desk.audit("--config", str(desk.file), "--target", guid(39))
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[2] == f"    + group {guid(39)[:8]}", "who was asked about comes first"
    assert lines[-1].startswith("    and ")
    _, wide, _ = await desk.audit("--config", str(desk.file), "--target", guid(39), "--wide")
    assert guid(39) in wide
    code, _, err = await desk.audit("--config", str(desk.file), "--added", "--removed")
    assert (code, "--added and --removed exclude each other" in " ".join(err.split())) == (2, True)


RED = "\x1b[31m"


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo terminals")
@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["", "NO_COLOR"])
async def test_a_terminal_shows_in_red_what_is_gone(desk: Desk, environment: dict[str, str], coloured: bool):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
    entry = entry_in(await desk.who_removed_it())
    out = await on_a_terminal("audit", "show", entry, "--config", str(desk.file), **environment)
    assert "removed all_devices" in out
    assert (RED in out) == coloured
