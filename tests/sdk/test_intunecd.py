"""IntuneCD, from PyPI: its backup of compliance policies, and its update, which assigns them, with base URL and token replaced
and nothing else."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from rig import Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, FILTER, FILTERS, GROUP, MACOS, NAMES, WINDOWS

GRAPH = "https://graph.microsoft.com"
BACKUP = """
import sys
from IntuneCD.backup.Intune.Compliance import ComplianceBackupModule
token = {"access_token": sys.argv[2]}
found = ComplianceBackupModule(path=sys.argv[1], filetype="json", token=token, exclude=[], scope_tags=[]).main()
assert found and found["config_count"] == 3, found
"""
UPDATE = """
import json, sys
from IntuneCD.update.Intune.DeviceCompliance import DeviceComplianceUpdateModule
token = {"access_token": sys.argv[2]}
done = DeviceComplianceUpdateModule(path=sys.argv[1], filetype="json", token=token, exclude=[], handle_assignment=True).main()
print(json.dumps({one["name"]: one["count"] for one in done}))
"""


def moved(folder: Path, root: str) -> None:
    """The package with another base URL."""
    spec = importlib.util.find_spec("IntuneCD")
    assert spec
    assert spec.origin
    shutil.copytree(Path(spec.origin).parent, folder / "IntuneCD")
    for path in (folder / "IntuneCD").rglob("*.py"):
        path.write_text(path.read_text().replace(GRAPH, root))


class IntuneCD:
    """folder: of the package and of its backup."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig, self._folder = rig, folder

    async def run(self, code: str) -> str:
        """What it prints."""
        paths = os.pathsep.join([str(self._folder), os.environ.get("PYTHONPATH", "")])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, str(self._folder / "backup"), self.rig.token),
            env={**os.environ, "PYTHONPATH": paths},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, output.decode()
        return output.decode()

    def policies(self) -> dict[str, Path]:
        """The files of its backup, by the policy's name."""
        found = (self._folder / "backup").rglob("*.json")
        return {json.loads(path.read_text())["displayName"]: path for path in found}


@pytest_asyncio.fixture
async def intunecd(live: Emulator, tmp_path: Path) -> AsyncIterator[IntuneCD]:
    live.world.graph.page_size = 100
    async with gateway(live, server={"rest": "127.0.0.1:0"}) as rig:
        await asyncio.to_thread(moved, tmp_path, f"http://{rig.rest_address}")
        yield IntuneCD(rig, tmp_path)


@pytest.mark.needs("IntuneCD")
async def test_a_backup(intunecd: IntuneCD):
    await intunecd.run(BACKUP)
    policies = {name: json.loads(path.read_text()) for name, path in intunecd.policies().items()}
    windows = next(one for name, one in policies.items() if name.startswith("Windows"))
    assert len(policies) == 3
    groups = [row["target"].get("groupName") for row in windows["assignments"]]
    assert NAMES[GROUP] in groups, "names of groups are looked up through the gateway, too"


@pytest.mark.needs("IntuneCD")
async def test_an_update_assigns(intunecd: IntuneCD):
    """The file of a policy gets a group and a filter by their names, as people write them."""
    rows = intunecd.rig.emulator.world.intune.policies
    await intunecd.run(BACKUP)
    files = intunecd.policies()
    path = next(path for name, path in files.items() if name.startswith("iOS"))
    policy = json.loads(path.read_text())
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupName": NAMES[GROUP]}
    filtered = {"deviceAndAppManagementAssignmentFilterId": FILTERS[0]["displayName"]}
    filtered["deviceAndAppManagementAssignmentFilterType"] = "include"
    policy["assignments"] = [{"target": {**target, **filtered}}]
    path.write_text(json.dumps(policy))
    before = {one: list(rows[one].rows) for one in (WINDOWS, MACOS)}
    done = json.loads((await intunecd.run(UPDATE)).splitlines()[-1])
    assert done == dict.fromkeys(files, 0), "no policy was changed, as none may be"
    assert {one: rows[one].rows for one in before} == before
    [row] = rows[EMPTY].rows
    assert row["target"]["groupId"] == GROUP
    assert row["target"]["deviceAndAppManagementAssignmentFilterId"] == FILTER
