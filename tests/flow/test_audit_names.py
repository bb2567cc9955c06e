"""`audit --names`: display names below the entries, without anything that a terminal would interpret."""

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import tomli_w
from rig import Rig, gateway
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.cli.emulator import config_for
from gateway.emulator import Emulator
from gateway.emulator.errors import GROUP_ROLE
from gateway.emulator.seeds import EMPTY, GROUP
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

HOSTILE = '\x1b[2J\u202eevil\n"x"'


async def audit(rig: Rig, folder: Path, *arguments: str) -> Result:
    values: dict[str, Any] = config_for(rig.emulator, hash_token(new_token()))
    (folder / "gateway.toml").write_text(tomli_w.dumps({**values, "ledger": {"url": rig.ledger.url}}))
    own = ["audit", *arguments, "--config", str(folder / "gateway.toml")]
    return await asyncio.to_thread(CliRunner().invoke, app, own)


async def assigned(rig: Rig) -> None:
    request = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"group": {"groupId": GROUP}}}}
    await rig.call("CreateComplianceAssignment", request)


async def test_names_stand_below_an_entry(live: Emulator, tmp_path: Path):
    async with gateway(live) as rig:
        await assigned(rig)
        plain, named = await audit(rig, tmp_path), await audit(rig, tmp_path, "--names")
        assert plain.exit_code == named.exit_code == 0, named.output
        more = named.stdout.replace(plain.stdout, "")
        assert more == f'    policy {EMPTY[:8]} is "iOS: passcode"\n    group {GROUP[:8]} is "Windows laptops"\n'
        wide = await audit(rig, tmp_path, "--names", "--wide")
        assert f'    group {GROUP} is "Windows laptops"\n' in wide.stdout
        entry = json.loads((await audit(rig, tmp_path, "--names", "--json")).stdout)
        assert entry["names"][1] == {
            "id": GROUP, "kind": "group", "state": "STATE_KNOWN", "displayName": "Windows laptops",
        }  # fmt: skip
        shown = await audit(rig, tmp_path, "show", entry["id"], "--names")
        assert f'  group {GROUP} is "Windows laptops"\n' in shown.stdout
        assert "names" not in json.loads((await audit(rig, tmp_path, "--json")).stdout)


async def test_names_stand_in_all_that_shows_entries_or_rows(live: Emulator, tmp_path: Path):
    group, policy = f'  group {GROUP} is "Windows laptops"\n', f'  policy {EMPTY} is "iOS: passcode"\n'
    async with gateway(live) as rig:
        await assigned(rig)
        [entry] = rig.entries()
        for arguments in (("trace", entry.id), ("diff", str(entry.revision), "--policy", EMPTY)):
            plain, named = await audit(rig, tmp_path, *arguments), await audit(rig, tmp_path, *arguments, "--names")
            assert plain.exit_code == named.exit_code == 0, named.output
            assert named.stdout == plain.stdout + policy + group
        known = [{"id": GROUP, "kind": "group", "state": "STATE_KNOWN", "displayName": "Windows laptops"}]
        exported = json.loads((await audit(rig, tmp_path, "export", "--names")).stdout)
        assert exported["names"][1:] == known
        assert "names" not in json.loads((await audit(rig, tmp_path, "export")).stdout)
        table = await audit(rig, tmp_path, "export", "--names", "--format", "csv")
        [row] = csv.DictReader(io.StringIO(table.stdout))
        assert json.loads(row["names"])[1:] == known
        assert '"names"' not in (await audit(rig, tmp_path, "export", "--format", "csv")).stdout


async def test_a_terminal_obeys_no_name(live: Emulator, tmp_path: Path):
    live.world.graph.trees.directory.groups[GROUP]["displayName"] = HOSTILE
    async with gateway(live) as rig:
        await assigned(rig)
        difference = ("diff", str(rig.entries()[0].revision), "--policy", EMPTY)
        for command in ((), ("--wide",), ("--json",), difference, ("export", "--format", "csv")):
            text = (await audit(rig, tmp_path, *command, "--names")).stdout.replace("\r\n", "\n")
            assert "evil" in text
            assert all(letter.isprintable() or letter == "\n" for letter in text)


async def test_what_has_no_name_is_told(live: Emulator, tmp_path: Path):
    async with gateway(live) as rig:
        await assigned(rig)
        del live.world.graph.trees.directory.groups[GROUP]
        assert f"group {GROUP[:8]} is gone" in (await audit(rig, tmp_path, "--names")).stdout
        live.world.entra.app.roles.remove(GROUP_ROLE)
        result = await audit(rig, tmp_path, "--names")
        assert (result.exit_code, "lacks a Graph permission" in result.stderr) == (0, True)
        assert "is gone" not in result.stdout


async def test_names_need_the_configuration(live: Emulator, tmp_path: Path):
    async with gateway(live) as rig:
        await assigned(rig)
        own = ["audit", "--names", "--ledger", rig.ledger.url]
        result = await asyncio.to_thread(CliRunner().invoke, app, own)
        assert result.exit_code == 2
        assert "--config" in result.stderr
