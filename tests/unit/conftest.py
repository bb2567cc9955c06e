"""Fixtures: a ledger in either database, which has its tables already in SQLite."""

from pathlib import Path

import pytest
from ledgers import new_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return new_ledger(tmp_path, "ledger.db")
    return request.getfixturevalue("postgres").new_database()
