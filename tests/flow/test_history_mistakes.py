"""`audit` with wrong arguments prints one line, and never a traceback."""

import asyncio
import os
import subprocess
import sys

import pytest
from edits_over_the_wire import MERGE, create, group, guid
from rig import Rig, gateway
from typer.testing import CliRunner

from gateway.cli import app
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, WINDOWS

HUGE = "9" * 23


async def audit(rig: Rig, *arguments: str) -> tuple[int, str]:
    """Exit status and stderr of the command, run in a thread because the emulator runs on the loop."""
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *arguments, "--ledger", rig.ledger.url])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


WRONG = {
    "a revision that no policy can have": (("undo", HUGE, "--policy", EMPTY), "no revision"),
    "a revision that can be compared with nothing": (("diff", HUGE, "--policy", EMPTY), "2147483647"),
    "a second one that there cannot be": (("diff", "1", HUGE, "--policy", EMPTY), "2147483647"),
    "a revision without its policy": (("undo", "1"), "--policy"),
    "a beginning of a policy's id that is too short": (
        ("diff", "1", "--policy", EMPTY[:3]),
        "At least 4 characters are required",
    ),
    "an entry of another policy": (("undo", "ENTRY", "--policy", WINDOWS), EMPTY),
    "an entry of another tenant": (("undo", "ENTRY", "--tenant", "contoso"), "emulator"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_told(live: Emulator, name: str):
    arguments, said = WRONG[name]
    async with gateway(live, **MERGE) as rig:
        await create(rig, group(1))
        [entry] = rig.entries()
        code, err = await audit(rig, *(entry.id if word == "ENTRY" else word for word in arguments))
        assert code
        assert said in err
        code, _ = await audit(rig, "undo", entry.id, "--policy", EMPTY.upper(), "--tenant", "emulator")
        assert code == 0, "what is said twice and fits is not wrong"
        assert guid(1) in {row["target"]["groupId"] for row in rig.rows(EMPTY)}


async def test_what_is_about_no_target_is_told(live: Emulator):
    """Without a message, a misspelt kind would look like a target that nobody changed."""
    async with gateway(live, **MERGE) as rig:
        await create(rig, group(1))
        code, err = await audit(rig, "--target", "alldevices")
        assert (code, "all_devices" in err) == (0, True)
        assert await audit(rig, "--target", guid(1)[:4]) == (0, "")


async def test_a_full_disk_is_told(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        await create(rig, group(1))
        full = os.open("/dev/full", os.O_WRONLY)
        command = [sys.executable, "-m", "gateway", "audit", "export", "--ledger", rig.ledger.url]
        done = await asyncio.to_thread(subprocess.run, command, check=False, stdout=full, stderr=subprocess.PIPE)
        os.close(full)
        assert (done.returncode, done.stderr.decode()) == (1, "the output cannot be written: No space left on device\n")


async def test_more_entries_than_there_can_be(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        await create(rig, group(1))
        code, err = await audit(rig, "--newest", HUGE)
        assert (code, "2147483647" in err) == (2, True)
