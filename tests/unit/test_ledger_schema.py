"""The tables and their versions, in both databases."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gateway.config import LedgerConfig
from gateway.entry import OK, Entry
from gateway.ledger import schema, sql_ledger
from gateway.ledger.chain import CUT, START, link, verify
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import LedgerError, Query
from gateway.ledger.schema import metadata, migrate
from gateway.ledger.sql_ledger import SqlLedger
from gateway.revision import Revision
from gateway.testing.lease_contract import POLICY
from gateway.testing.ledger_contract import intent

LATER = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "0008"

def upgrade():
    op.add_column("entries", sa.Column("later", sa.Text, server_default="x"))
"""
# Longer than the watchdog of the test, and in PostgreSQL than the time that other statements have.
SLOW = {
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 4000000) SELECT max(x) FROM c",
    "postgresql": "SELECT pg_sleep(4)",
}
TAKES_LONG = """
from alembic import op
revision, down_revision = "9999", "0008"

def upgrade():
    op.execute({!r})
"""
NEW = ("revision", "foreign_changes", "repaired", "answer_digest", "changes_digest", "etag_before", "etag", "changes")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a ledger that has no tables yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres").new_database()


def opened(url: str) -> sa.Connection:
    database = database_of(url, None)
    database.occupy()
    database.leave()
    return database.writer.connect()


def test_the_steps_make_the_tables_that_the_statements_know(url: str):
    with opened(url) as connection, connection.begin():
        migrate(connection)
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_a_ledger_of_a_newer_gateway_is_refused_and_left_alone(url: str, tmp_path: Path):
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    done = (await ledger.claim(intent())).entry.finished(OK, b"a")
    await ledger.update([done])
    await ledger.close()

    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "9999_later.py").write_text(LATER)
    with opened(url) as connection, connection.begin():
        migrate(connection, tmp_path / "later")
        assert connection.exec_driver_sql("SELECT later FROM entries").scalar() == "x", "what was there is there"

    with pytest.raises(LedgerError, match="newer version"):
        await SqlLedger(LedgerConfig(url=url)).start()


def released(url: str, version: str = "0002") -> list[Entry]:
    """A ledger as a released gateway left it: two finished entries, one unsent, one sent, one uncertain."""
    done = [replace(intent(n, owner=1).finished(OK, b"answer"), answer_digest="") for n in (1, 2)]
    first = replace(done[0], position=1, hash=link(START[1], 1, done[0]))
    second = replace(done[1], position=2, hash=link(first.hash, 2, done[1]))
    unsent = replace(intent(3), owner=1)
    sent = replace(intent(4), owner=1, sent=b"sent")
    entries = [first, second, unsent, sent, replace(intent(5), owner=1, sent=b"sent").uncertain("OUTCOME_UNKNOWN")]
    rows = [{name: value for name, value in vars(entry).items() if name not in NEW} for entry in entries]
    with opened(url) as connection, connection.begin():
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(schema.MIGRATIONS))
        command.upgrade(config, version)
        assert not sa.inspect(connection).has_table("touches")
        connection.execute(sa.table("entries", *map(sa.column, rows[0])).insert(), rows)
        connection.exec_driver_sql(f"UPDATE chain SET head_position = 2, head_hash = '{second.hash}', owners = 1")
    return entries


async def test_a_released_ledger_is_brought_up_to_date(url: str):
    done, _, unsent, sent, uncertain = released(url)
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    assert list(verify(ledger.find(Query(after=0)), ledger.ends())) == []
    assert {entry.id: entry.sent for entry in await ledger.take_over()} == {
        unsent.id: None,
        sent.id: b"sent",
        uncertain.id: b"sent",
    }
    assert {(entry.revision, entry.foreign_changes, entry.repaired) for entry in ledger.find(Query())} == {(None, 0, "")}
    touched = {touch: [found.request_id for found in ledger.find(Query(touched=touch))] for touch in ("group", "group 2", "3")}
    assert touched == {"group": ["r1", "r2"], "group 2": ["r2"], "3": []}, "by what was asked for and carried out"
    again, [found] = await ledger.claim(intent(1)), ledger.find(Query(request_id="r5"))
    assert (again.answer, again.entry) == ("done", done)
    grant = await ledger.acquire(POLICY)
    assert grant.revisions == ()
    assert await ledger.write_down(POLICY, Revision(generation=grant.generation), [found]) == (1, {found.id})
    assert await ledger.update([found.finished(OK, b"a")]) == {found.id}
    assert [entry.revision for entry in ledger.find(Query(after=2))] == [1]
    assert list(verify(ledger.find(Query(after=0)), ledger.ends())) == []
    await ledger.close()


async def test_revisions_of_earlier_versions_are_history_without_the_set_before_them(url: str):
    released(url, "0005")
    columns = (
        "tenant, set, policy, number, generation, owner, kind, route, client_request_id, touched, state, written_at, acked_at"
    )
    values = "'t', 'deviceCompliancePolicies', 'p', 1, 1, 1, 'write', 'assign', 'c', '[]', 'settled', 7.0, 7.5"
    with opened(url) as connection, connection.begin():
        connection.exec_driver_sql(f"INSERT INTO revisions ({columns}) VALUES ({values})".replace(" set,", ' "set",'))
    ledger = SqlLedger(LedgerConfig(url=url, revisions_kept_days=36_500))
    await ledger.start()
    kept = await ledger.kept(POLICY, 1, whole=True)
    assert (kept.base, kept.etag_before, kept.etag_after, kept.written_at, kept.entries) == (None, "", "", 7.0, ())
    assert (await ledger.acquire(POLICY)).newest.number == 1
    await ledger.close()


async def test_what_a_released_gateway_let_go_of_is_named_by_an_entry(url: str):
    """It wrote none; from then on a chain that begins elsewhere has been tampered with."""
    first, second, *_ = released(url)
    with opened(url) as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM entries WHERE position = 1")
        connection.exec_driver_sql(f"UPDATE chain SET tail_position = 1, tail_hash = '{first.hash}'")
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    with ledger.chained() as (ends, kept):
        assert list(verify(kept, ends)) == []
        assert (ends.tail, ends.head[0]) == ((1, first.hash), 3)
    [said] = ledger.find(Query(after=2))
    assert (said.operation, said.target, said.outcome) == (CUT, f"1:{first.hash}", OK)
    assert (await ledger.claim(intent(2))).entry == second, "what is there is answered again"
    await ledger.close()


async def test_bringing_it_up_to_date_may_take_long(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "9999_later.py").write_text(TAKES_LONG.format(SLOW[url.partition(":")[0]]))
    monkeypatch.setattr(schema, "migrate", lambda connection: migrate(connection, tmp_path / "later"))
    ledger = SqlLedger(LedgerConfig(url=url))
    try:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(sql_ledger, "HANGS_S", 1.0)
            await ledger.start()
            async with asyncio.timeout(60):
                while not ledger.up:
                    await asyncio.sleep(0.1)
        assert (await ledger.claim(intent())).answer == "new"
        if url.startswith("postgresql"):
            assert ledger._store._connection.exec_driver_sql("SHOW statement_timeout").scalar() == "3s", "as before"
    finally:
        await ledger.close()


def test_the_steps_are_those_of_alembic_which_only_a_migration_imports():
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert schema.steps() == tuple(step.revision for step in ScriptDirectory.from_config(config).walk_revisions())
    imports = "import sys, gateway.ledger.sql_ledger; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", imports], check=False).returncode == 0
