"""The gateway is killed while clients write, at random and at named points; nothing is lost, nothing is done twice.

`pytest -m long -s tests/faults/test_kills.py` is the long run: 120 kills with each database. SEED=n repeats one.
"""

from pathlib import Path

import pytest
from killing import POINTS, kill_run
from postgres_server import NEEDS_POSTGRES, Server
from test_state_machine import new_seed

from gateway.emulator import Emulator

DATABASES = ["sqlite", pytest.param("postgresql", marks=NEEDS_POSTGRES)]


@pytest.fixture
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
    else:
        server = Server()
        yield server.new_database()
        server.remove()


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
