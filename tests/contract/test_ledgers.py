"""The contract for ledgers, in both databases, and what is each one's own."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from ledgers import new_ledger
from postgres_server import Server

from gateway.config import LedgerConfig
from gateway.entry import OK
from gateway.errors import GatewayError
from gateway.ledger.chain import verify
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import LedgerError, Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.ledger.store import Ages, Store
from gateway.revision import Change, PolicyName, Revision
from gateway.testing.history_contract import HistoryContract
from gateway.testing.lease_contract import POLICY, granted, written
from gateway.testing.ledger_contract import LedgerContract, intent
from gateway.testing.revision_contract import RevisionContract
from gateway.testing.share_contract import ShareContract


class TestSqlite(LedgerContract, RevisionContract, HistoryContract, ShareContract):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path):
        self.path = Path(new_ledger(tmp_path, "ledger.db").removeprefix("sqlite:///"))

    def make(self) -> SqlLedger | None:
        """Each test has one gateway after the other; of several at once see test_two_gateways_at_once."""
        return SqlLedger(LedgerConfig(url=f"sqlite:///{self.path}"))

    def several(self, count: int):
        return contextlib.nullcontext([])

    async def test_two_gateways_at_once(self):
        async with self.started():
            with pytest.raises(LedgerError, match="in use by another gateway"):
                await self.make().start()

    async def test_a_lease_that_is_late_is_held_all_the_same(self):
        """Nobody else can be there, whatever the clock says."""
        async with self.started() as ledger:
            grant = await ledger.acquire(POLICY)
            with sqlite3.connect(self.path) as other:
                other.execute("UPDATE leases SET until = 0")
            assert await ledger.write_down(POLICY, Revision(generation=grant.generation), []) == (1, set())
            assert await ledger.renew(POLICY, grant.generation)

    async def test_the_file_is_the_owners_alone_and_durable(self):
        self.path.unlink()  # it makes its own
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
        self.path.unlink()
        with pytest.raises(LedgerError, match="cannot be read"):
            self.make().ends()
        assert not self.path.exists()

    def test_an_auditor_is_told_of_a_file_that_is_none(self):
        self.path.unlink()
        sqlite3.connect(self.path).execute("CREATE TABLE t (x)")
        with pytest.raises(LedgerError, match="cannot be read"):
            self.make().ends()


class TestPostgres(LedgerContract, RevisionContract, HistoryContract, ShareContract):
    @pytest.fixture(autouse=True)
    def place(self, postgres: Server):
        self.server, self.url = postgres, postgres.new_database()

    def execute(self, statement: str) -> list:
        return self.server.execute(self.url.rpartition("/")[2], statement)

    def make(self) -> SqlLedger:
        return SqlLedger(LedgerConfig(url=self.url, lease_s=300))

    async def test_a_holder_that_is_late_can_be_replaced_and_then_writes_nothing(self):
        async with self.several(2) as (paused, other):
            grant = await paused.acquire(POLICY)
            self.execute("UPDATE leases SET until = 0")
            assert await paused.renew(POLICY, grant.generation), "nobody took it"
            assert await other.acquire(POLICY) is None
            self.execute("UPDATE leases SET until = 0")
            taken = await other.acquire(POLICY)
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await paused.write_down(POLICY, Revision(generation=grant.generation), [])
            assert not await paused.renew(POLICY, grant.generation)
            await paused.release(POLICY, grant.generation)
            assert await other.renew(POLICY, taken.generation)

    async def test_a_gateway_that_stops_within_a_transaction_holds_up_no_other_for_long(self):
        """The server ends its session before the others lose patience."""
        async with self.several(2) as (stopped, other):
            await written(stopped)
            locked, goes_on, now = threading.Event(), threading.Event(), stopped._database.now

            def stop(connection: sa.Connection) -> float:
                locked.set()
                goes_on.wait(60)
                return now(connection)

            stopped._database.now = stop
            asked = asyncio.create_task(stopped.acquire(POLICY))
            await asyncio.to_thread(locked.wait)
            assert (await other.acquire(POLICY)).generation == 2
            goes_on.set()
            with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
                await asked
            async with asyncio.timeout(60):
                while not stopped.up:
                    await asyncio.sleep(0.02)
            assert await stopped.acquire(POLICY) is None

    async def test_gateways_that_work_on_the_same_policies_do_not_wait_in_a_circle(self):
        policies = [POLICY._replace(policy=f"p{number}") for number in range(12)]
        async with self.several(3) as ledgers:

            async def work(ledger: SqlLedger, policy: PolicyName, number: int) -> None:
                for _ in range(4):
                    entry = (await ledger.claim(intent(number, policy=policy.policy))).entry
                    grant = await granted(ledger, policy)
                    revision = Revision(generation=grant.generation)
                    at, _ = await ledger.write_down(policy, revision, [entry] if entry.owner else [], range(9))
                    await ledger.conclude(policy, grant.generation, [Change(at, "shown"), Change(at - 1, "settled")])
                    await asyncio.gather(ledger.release(policy, grant.generation), ledger.update([entry.finished(OK)]))

            orders = (policies, policies[::-1], policies[6:] + policies[:6])
            jobs = [(ledger, policy) for ledger, order in zip(ledgers, orders, strict=True) for policy in order]
            async with asyncio.timeout(120):
                await asyncio.gather(*(work(*job, number) for number, job in enumerate(jobs)))
            assert all(ledger.up for ledger in ledgers)
            assert list(verify(ledgers[0].find(Query(after=0)), ledgers[0].ends())) == []
            assert self.execute("SELECT DISTINCT numbers FROM leases") == [(12,)]

    def test_one_who_has_to_give_way_tries_again(self):
        """Two transactions lock the same two rows in opposite orders, as ours never should."""
        with self.opened() as one, self.opened() as other:
            entries = [one.commit([("claim", [intent(number)])])[0][0].entry for number in (1, 2)]
            first, second = sorted(entries, key=lambda entry: entry.id)
            with other._connection.begin():
                lock = "SELECT * FROM entries WHERE id = '{}' FOR UPDATE"
                other._connection.exec_driver_sql(lock.format(second.id))
                with ThreadPoolExecutor(1) as thread:
                    writing = thread.submit(one.commit, [("write", [first, second])])
                    while not self.execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                        pass
                    with contextlib.suppress(sa.exc.OperationalError):  # one of the two gives way
                        other._connection.exec_driver_sql(lock.format(first.id))
                    other._connection.rollback()
                    assert writing.result() == [{first.id, second.id}]

    @contextlib.contextmanager
    def opened(self) -> Iterator[Store]:
        store = Store(database_of(self.url, None), Ages(timedelta(0), timedelta(1), None))
        if not store.connect():
            store.migrate()
        store.enter()
        yield store
        store.disconnect()
