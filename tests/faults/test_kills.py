"""The gateway is killed while clients write, at random and at named points; nothing is lost, nothing is done twice.

`pytest -m long -s tests/faults/test_kills.py` is the long run: 120 kills with each database. SEED=n repeats one.
"""

from pathlib import Path

import pytest
from killing import POINTS, kill_run
from test_state_machine import new_seed

from gateway.emulator import Emulator

DATABASES = ["sqlite", "postgresql"]


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres").new_database()


async def run(live: Emulator, ledger_url: str, folder: Path, kills: int) -> None:
    report = await kill_run(live, ledger_url, folder, kills, new_seed())
    print(report)
    assert report.good, vars(report)
    assert report.writes > 2 * kills
    assert report.retries > kills


@pytest.mark.parametrize("ledger_url", DATABASES, indirect=True)
async def test_nothing_is_lost_or_doubled(live: Emulator, ledger_url: str, tmp_path: Path):
    await run(live, ledger_url, tmp_path, len(POINTS))


@pytest.mark.long
@pytest.mark.parametrize("ledger_url", DATABASES, indirect=True)
async def test_long(live: Emulator, ledger_url: str, tmp_path: Path):
    await run(live, ledger_url, tmp_path, 120)
