"""IntuneCD, from PyPI: its backup of compliance policies, with base URL and token replaced and nothing else."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import GROUP, NAMES

GRAPH = "https://graph.microsoft.com"
BACKUP = """
import sys
from IntuneCD.backup.Intune.Compliance import ComplianceBackupModule
token = {"access_token": sys.argv[2]}
found = ComplianceBackupModule(path=sys.argv[1], filetype="json", token=token, exclude=[], scope_tags=[]).main()
assert found and found["config_count"] == 3, found
"""


def moved(folder: Path, root: str) -> None:
    """The package with another base URL."""
    spec = importlib.util.find_spec("IntuneCD")
    assert spec
    assert spec.origin
    shutil.copytree(Path(spec.origin).parent, folder / "IntuneCD")
    for path in (folder / "IntuneCD").rglob("*.py"):
        path.write_text(path.read_text().replace(GRAPH, root))


@pytest.mark.needs("IntuneCD")
async def test_a_backup(live: Emulator, tmp_path: Path):
    live.world.graph.page_size = 100
    async with gateway(live, server={"rest": "127.0.0.1:0"}) as rig:
        await asyncio.to_thread(moved, tmp_path, f"http://{rig.rest_address}")
        paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", BACKUP, str(tmp_path / "backup"), rig.token),
            env={**os.environ, "PYTHONPATH": paths},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, output.decode()
    policies = [json.loads(path.read_text()) for path in (tmp_path / "backup").rglob("*.json")]
    windows = next(one for one in policies if one["displayName"].startswith("Windows"))
    assert len(policies) == 3
    groups = [row["target"].get("groupName") for row in windows["assignments"]]
    assert NAMES[GROUP] in groups, "names of groups are looked up through the gateway, too"
