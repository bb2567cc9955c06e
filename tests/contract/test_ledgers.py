"""The contract for ledgers, in both databases, and what is each one's own."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from postgres_server import Server

from gateway.config import LedgerConfig
from gateway.ledger.ledger import LedgerError
from gateway.ledger.sql_ledger import SqlLedger
from gateway.testing.ledger_contract import LedgerContract
from gateway.testing.revision_contract import RevisionContract


class TestSqlite(LedgerContract, RevisionContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path):
        self.path = tmp_path / "ledger.db"

    def make(self) -> SqlLedger | None:
        """Each test has one gateway after the other; of several at once see test_two_gateways_at_once."""
        return SqlLedger(LedgerConfig(url=f"sqlite:///{self.path}"))

    def several(self, count: int):
        return contextlib.nullcontext([])

    async def test_two_gateways_at_once(self):
        async with self.started():
            with pytest.raises(LedgerError, match="in use by another gateway"):
                await self.make().start()

    async def test_the_file_is_the_owners_alone_and_durable(self):
        async with self.started() as ledger:
            assert self.path.stat().st_mode & 0o077 == 0
            connection = ledger._store._connection
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL

    async def test_what_is_no_ledger_is_refused(self):
        self.path.write_bytes(b"not a database, but long enough to be read as the head of one" * 20)
        with pytest.raises(LedgerError, match="cannot be used"):
            await self.make().start()
        self.path.unlink()
        self.path.mkdir()
        with pytest.raises(LedgerError, match="cannot be opened"):
            await self.make().start()

    def test_an_auditor_makes_no_file(self):
        with pytest.raises(LedgerError, match="cannot be read"):
            self.make().ends()
        assert not self.path.exists()

    def test_an_auditor_is_told_of_a_file_that_is_none(self):
        sqlite3.connect(self.path).execute("CREATE TABLE t (x)")
        with pytest.raises(LedgerError, match="cannot be read"):
            self.make().ends()


class TestPostgres(LedgerContract, RevisionContract):
    @pytest.fixture(autouse=True)
    def place(self, postgres: Server):
        self.url = postgres.new_database()

    def make(self) -> SqlLedger:
        return SqlLedger(LedgerConfig(url=self.url))
