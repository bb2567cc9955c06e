"""A missing extra is reported where it is needed, and nothing else needs it."""

import asyncio
import sys
from pathlib import Path

import pytest
from rest_caller import rest

from gateway.doors import rest_pages
from gateway.emulator import Emulator

# Python looks no further for a module that is None here.
WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys(('trustme', 'tomli_w', 'swagger_ui'))); from gateway.cli import main; main()"
)


async def bare(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """The command with only the core installed: exit status, stdout, stderr."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-c", WITHOUT, *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=pipe)
    stdout, stderr = await process.communicate()
    return process.returncode or 0, stdout.decode(), stderr.decode()


@pytest.mark.parametrize("command", ["emulator", pytest.param("demo", marks=pytest.mark.machine)])
async def test_a_command_that_needs_an_extra_says_which(command: str, tmp_path: Path):
    said = "the emulator needs trustme: pip install 'compliance-gateway[emulator]'\n"
    assert await bare(command, folder=tmp_path) == (1, "", said)


async def test_the_other_commands_need_none(tmp_path: Path):
    code, out, err = await bare("serve", "--config", "gateway.toml", folder=tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("config: "), "it came as far as to look for its configuration"


async def test_the_documentation_says_what_to_install(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rest_pages, "UI_PACKAGE", "nobody_has_this")
    async with rest(live) as (_, caller):
        answer = await caller.send("GET", "/docs")
        assert (answer.status, "pip install 'compliance-gateway[docs]'" in str(answer.json)) == (501, True)
        assert (await caller.send("GET", "/openapi.json")).status == 200
