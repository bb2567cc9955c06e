"""The README's shown output is the program's."""

import asyncio
import re
import sys
import tomllib
from pathlib import Path

from gateway.config import Callers, Tenant

README = (Path(__file__).parents[2] / "README.md").read_text()
# What differs from run to run: ids that Graph makes, times, and how many edits found others to share a write with.
VARYING = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+\.\d ms|\d writes|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def block(marker: str) -> str:
    return re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```\n<!-- end -->", README, re.DOTALL).group(1)


async def test_the_demo_prints_what_the_readme_shows(tmp_path: Path):
    command = (sys.executable, "-m", "gateway", "demo")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=pipe, stderr=pipe)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, stderr
    shown, printed = (VARYING.sub("*", text).split("\n") for text in (block("demo output").rstrip(), stdout.decode().rstrip()))
    assert shown == printed


def test_the_configuration_has_the_keys_that_there_are():
    values = tomllib.loads(re.search(r"```toml\n(.*?)```", README, re.DOTALL).group(1))
    assert values["tenants"]["contoso"].keys() <= Tenant.model_fields.keys()
    assert values["callers"].keys() <= Callers.model_fields.keys()
