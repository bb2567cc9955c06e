"""The README's printed output is the program's real output."""

import asyncio
import json
import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from rig import gateway, outcome

from gateway.cli.emulator import RULES
from gateway.config import parse
from gateway.emulator import Emulator

README = (Path(__file__).parents[2] / "README.md").read_text()
# What differs from run to run: ids that Graph makes, times, and how many edits found others to share a write with.
VARYING = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+\.\d ms|\d writes|\d{4}-\d\d-\d\d \d\d:\d\d|  [0-9a-f]{8}$", re.MULTILINE
)


def block(marker: str) -> str:
    return re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```\n<!-- end -->", README, re.DOTALL).group(1)


async def test_the_demo_prints_what_the_readme_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code, stdout, stderr = await outcome("demo")
    assert code == 0, stderr
    shown, printed = (VARYING.sub("*", text).split("\n") for text in (block("demo output").rstrip(), stdout.rstrip()))
    assert shown == printed


async def test_the_same_create_by_stub_and_by_curl(documented: Emulator):
    """Both code blocks as printed, except for address and token."""
    async with gateway(documented) as rig:
        python = block("stub").replace("127.0.0.1:50051", rig.address).replace('"…"', repr(rig.token))
        curl = block("curl").replace("127.0.0.1:8080", rig.rest_address)
        for command, shown in ((("python", "-c", python), "stub output"), (("bash", "-c", curl), "curl output")):
            pipe = asyncio.subprocess.PIPE
            program = sys.executable if command[0] == "python" else command[0]
            environment = {**os.environ, "TOKEN": rig.token}
            process = await asyncio.create_subprocess_exec(program, *command[1:], stdout=pipe, stderr=pipe, env=environment)
            stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 0, stderr
            printed = stdout.decode().replace(rig.rest_address, "127.0.0.1:8080").rstrip()
            assert printed == block(shown).rstrip(), shown
        assert len(rig.writes()) == 1


def configurations() -> list[dict]:
    """The README's configurations: the first one, the first one with all comments made active, and the sections to add."""
    first, sections = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    whole = re.sub(r"^(\s*)# (?=[a-z_]+ = |\[|\{)", r"\1", first, flags=re.MULTILINE)
    return [tomllib.loads(text) for text in (first, whole, sections)]


def test_the_configuration_that_is_shown_is_one(tmp_path: Path):
    *whole, sections = configurations()
    for values in whole:
        values["callers"]["static"]["reporting"] = "sha256:" + "0" * 32 + ":" + "0" * 64
        for name in re.findall(r'"([\w./-]+\.(?:pem|cedar)|graph-secret)"', json.dumps(values)):
            (tmp_path / name).touch(mode=0o600)  # strict_files is shown too
            (tmp_path / name).write_text("something")
            (tmp_path / name).chmod(0o600)
        for tenant in values["tenants"].values():
            tenant["credentials"] = [c for c in tenant["credentials"] if not c.get("file", "").startswith("/")]
        values["server"]["insecure"] = True
        assert parse(values | sections, tmp_path)
    assert len(whole[1]["tenants"]["contoso"]["credentials"]) == 4
    assert set(whole[1]["callers"]) == {"static", "jwt", "mtls"}


def test_the_policies_that_are_shown_are_the_emulators():
    assert block("rules") == RULES
