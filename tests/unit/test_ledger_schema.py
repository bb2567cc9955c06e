"""The tables and their versions, in both databases."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.config import LedgerConfig
from gateway.entry import OK
from gateway.ledger import sql_ledger, store
from gateway.ledger.chain import verify
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import LedgerError, Query
from gateway.ledger.schema import metadata, migrate
from gateway.ledger.sql_ledger import SqlLedger
from gateway.ledger.store import Ages, Store
from gateway.testing.ledger_contract import intent

LATER = """
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "0003"

def upgrade():
    op.add_column("entries", sa.Column("later", sa.Text, server_default="x"))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres").new_database()


def opened(url: str) -> sa.Connection:
    database = database_of(url, None)
    database.occupy()
    database.leave()
    return database.writer.connect()


def opened_by(store: Store, **known) -> None:
    if not store.connect():
        store.migrate()
    store.enter(**known)


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


async def test_what_is_too_old_is_forgotten_and_the_chain_stays_whole(url: str):
    ages = Ages(timedelta(0), answers=timedelta(0), entries=timedelta(0))
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    old = [(await ledger.claim(intent(n))).entry for n in range(3)]
    await ledger.update([entry.finished(OK, b"a") for entry in old])
    running = (await ledger.claim(intent(3))).entry
    keep_entries = Ages(ages.uncertain, ages.answers, None)
    for kept, count in ((keep_entries, 4), (ages, 1)):
        ledger._store._ages = kept
        await ledger._ask("expire", ())
        assert len(list(ledger.find(Query()))) == count
        assert list(verify(ledger.find(Query(after=-1)), ledger.ends())) == []
    assert (await ledger.claim(intent(0))).answer == "new", "the request id is free again"
    assert (await ledger.claim(intent(3))).answer == "running", "what runs is never forgotten"
    await ledger.update([running.finished(OK, b"a")])
    assert list(verify(ledger.find(Query(after=-1)), ledger.ends())) == []
    assert ledger.ends().tail[0] == 3
    await ledger.close()


async def test_it_forgets_by_itself(url: str, monkeypatch: pytest.MonkeyPatch):
    ledger = SqlLedger(LedgerConfig(url=url, answers_kept_days=1e-9, entries_kept_days=1e-9))
    monkeypatch.setattr(sql_ledger, "RETRY_S", 0.02)
    monkeypatch.setattr(sql_ledger, "EXPIRE_S", 0.02)
    await ledger.start()
    await ledger.update([(await ledger.claim(intent())).entry.finished(OK, b"a")])
    while list(ledger.find(Query())):
        await asyncio.sleep(0.01)
    await ledger.close()


def test_an_entry_that_no_database_takes_spoils_no_other(url: str):
    """A lone surrogate: no bug that is known, but whatever it is, others have to get through."""
    database = database_of(url, None)
    database.occupy()
    ours = Store(database, Ages(timedelta(0), timedelta(1), None))
    opened_by(ours)
    bad = intent(2, target="\ud800")
    results = ours.commit([("claim", [intent(1)]), ("claim", [bad]), ("claim", [intent(3)])])
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert [result[0].answer for result in results[::2]] == ["new", "new"]
    ours.disconnect()
    database.leave()


def test_a_claim_whose_answer_was_lost_is_anyones(url: str):
    """The commit came about, the connection went before its answer: nobody works on it."""
    database = database_of(url, None)
    database.occupy()
    ours = Store(database, Ages(timedelta(0), timedelta(1), None))
    opened_by(ours)
    known, lost = [ours.commit([("claim", [intent(number)])])[0][0].entry for number in (1, 2)]
    assert ours.commit([("take_over", ())]) == [[]]
    ours.disconnect()
    opened_by(ours, known={known.id})
    [[taken]] = ours.commit([("take_over", ())])
    assert (taken.id, taken.owner) == (lost.id, ours.me)
    ours.disconnect()
    database.leave()
