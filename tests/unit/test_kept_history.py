"""How long the SQL ledger keeps the history of a policy, and in how little."""

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.changes import RowChange, encoded
from gateway.config import LedgerConfig
from gateway.entry import OK
from gateway.ledger import contents, history, schema, store, touches
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.ledger.store import Ages, Store
from gateway.revision import Change, PolicyName, Revision
from gateway.testing.history_contract import GROUP, acked, settled
from gateway.testing.lease_contract import POLICY, concluded, known, written
from gateway.testing.ledger_contract import intent, up

ALL, NONE = timedelta(0), timedelta(days=1)
CHANGES = encoded([RowChange(f"group {GROUP}", (), ({},)), RowChange("all_devices", ({},), ())])


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    yield ledger
    await ledger.close()


def rows(ledger: SqlLedger, statement: str) -> list[Any]:
    with ledger._database.reader.connect() as connection:
        return connection.exec_driver_sql(statement).all()


def count(ledger: SqlLedger, table: str) -> int:
    return rows(ledger, f"SELECT count(*) FROM {table}")[0][0]


async def forget(ledger: SqlLedger, **ages: timedelta) -> int:
    """How many batches it took."""
    ledger._store._ages = Ages(ALL, **{"answers": NONE, "entries": None, "revisions": NONE, **ages})
    batches = 1
    while await ledger._ask("expire", ()):
        batches += 1
    return batches


async def test_the_same_set_is_kept_once(ledger: SqlLedger):
    for base in (b"[1]", b"[1]", b"[2]", None):
        await settled(ledger, base=base)
    assert count(ledger, "contents") == 2
    await concluded(ledger, [], [Revision(base=b"[2]"), Revision(base=b"[3]"), Revision(base=b"[3]")])
    assert count(ledger, "contents") == 3


async def test_what_was_sent_is_kept_until_it_is_over(ledger: SqlLedger):
    numbers = [await written(ledger, sent=b"s", touched=b"t") for _ in range(3)]
    await concluded(ledger, [Change(numbers[0], "settled", acked=True), Change(numbers[1], "void")])
    assert sorted(rows(ledger, "SELECT number, sent IS NULL FROM revisions")) == [(1, True), (2, True), (3, False)]
    assert {number: revision.sent for number, revision in (await known(ledger)).items()} == {numbers[2]: b"s"}


async def test_sets_go_with_the_last_revision_that_has_them(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "FORGOTTEN_AT_ONCE", 2)
    for base in (b"[1]", b"[2]", b"[1]", b"[3]"):
        await settled(ledger, base=base)
    last = await acked(ledger, base=b"[2]")
    void = await written(ledger, base=b"[4]")
    await concluded(ledger, [Change(void, "void")])
    assert await forget(ledger) == 1
    assert await forget(ledger, answers=ALL) == 1
    assert (count(ledger, "revisions"), count(ledger, "contents")) == (5, 3), "what was never carried out goes early"
    assert await forget(ledger, revisions=ALL) == 2
    assert (count(ledger, "revisions"), count(ledger, "contents")) == (2, 2), "the newest stays, and what is not settled"
    assert ledger.revision(POLICY, last).base == b"[2]"
    assert await ledger.first(POLICY) == last - 1
    assert await written(ledger) == void + 1, "no number is given twice"


async def test_what_was_let_go_of_is_told_from_what_never_was(ledger: SqlLedger):
    """first: below it a revision is too old, and not unknown."""
    void, _, last = await written(ledger), await settled(ledger), await settled(ledger)
    await concluded(ledger, [Change(void, "void")])
    assert await ledger.first(POLICY) == void, "it is there, and no revision that counts"
    await forget(ledger, answers=ALL, revisions=ALL)
    assert count(ledger, "revisions") == 1
    assert await ledger.first(POLICY) == last
    assert await ledger.first(POLICY._replace(policy="other")) is None


async def test_whom_entries_touched_goes_with_them(ledger: SqlLedger):
    for number in range(3):
        entry = (await ledger.claim(intent(number))).entry
        await ledger.update([replace(entry, changes=CHANGES).finished(OK, b"a")])
    assert count(ledger, "touches") == 6
    await forget(ledger, answers=ALL)
    assert len(list(ledger.find(Query(touched=GROUP)))) == 3
    await forget(ledger, answers=ALL, entries=ALL)
    assert (count(ledger, "touches"), list(ledger.find(Query(touched=GROUP)))) == (0, [])


async def test_an_entry_that_somebody_changed_meanwhile_can_be_finished(ledger: SqlLedger):
    entry = (await ledger.claim(intent())).entry
    done = replace(entry, changes=b"no changes").finished(OK, b"a")
    assert await ledger.update([done]) == {done.id}
    assert (count(ledger, "touches"), [found.changes for found in ledger.find(Query())]) == (0, [b"no changes"])


PLAN = {
    "touches_kind": lambda: touches.positions_of("all_devices", ""),
    "touches_name": lambda: touches.positions_of(f"0B1C{GROUP[4:]}", "added"),
    "touches_name ": lambda: touches.positions_of("group 0b1c", ""),
    "revisions_base": lambda: sa.select(schema.contents).where(schema.contents.c.digest == b"x", contents.IS_NONES),
    "revisions_": lambda: history.SOME.where(*history.of(POLICY), history.COLUMN.number > 7),
}


@pytest.mark.parametrize("index", PLAN)
async def test_an_index_serves_it(ledger: SqlLedger, index: str):
    with ledger._database.reader.connect() as connection:
        is_sqlite = connection.dialect.name == "sqlite"
        if not is_sqlite:
            connection.exec_driver_sql("SET enable_seqscan = off")  # which is the quickest where there is nothing
        statement = PLAN[index]()
        text = statement.compile(connection, compile_kwargs={"literal_binds": True, "render_postcompile": True})
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
        plan = str(connection.exec_driver_sql(explain + str(text).replace("%", "%%")).all())
    assert index.strip() in plan or (is_sqlite and f"sqlite_autoindex_{index}" in plan)
    assert "SCAN" not in plan.upper().replace("INDEX SCAN", "").replace("HEAP SCAN", "").replace("INDEX ONLY SCAN", "")


class TestPostgres:
    """Gateways that keep and let go of the same set at once."""

    @pytest.fixture
    def url(self, postgres: Any) -> str:
        return postgres.new_database()

    @pytest.fixture
    def stores(self, url: str) -> Iterator[tuple[Store, Store]]:
        found = [Store(database_of(url, None), Ages(ALL, ALL, None, ALL)) for _ in range(2)]
        for one in found:
            if not one.connect():
                one.migrate()
            one.enter()
        yield found[0], found[1]
        for one in found:
            one.disconnect()

    @pytest.mark.parametrize("first", ["the writer", "the one that forgets"])
    @pytest.mark.parametrize("ends", ["commit", "rollback"])
    def test_a_set_that_somebody_is_about_to_refer_to_stays(self, stores: tuple[Store, Store], first: str, ends: str):
        writer, forgetting = stores
        self.void(writer, POLICY)
        other, done = POLICY._replace(policy="q"), threading.Event()
        jobs = {
            "the writer": lambda: self.write(writer, other),
            "the one that forgets": lambda: forgetting.commit([("expire", ())]),
        }
        with ThreadPoolExecutor(1) as thread:
            with self.held(writer if first == "the writer" else forgetting, jobs.pop(first), ends):
                [then] = jobs.values()
                running = thread.submit(lambda: (then(), done.set()))
                assert not done.wait(0.5), "it waits for the one before"
            running.result()
        with database_of(writer._database.writer.url.render_as_string(), None).reader.connect() as connection:
            kept = connection.exec_driver_sql("SELECT policy, base IN (SELECT digest FROM contents) FROM revisions").all()
            found = connection.exec_driver_sql("SELECT count(*) FROM contents").scalar()
        expected = {("commit", "the writer"): ["q"], ("commit", "the one that forgets"): ["q"]}
        expected |= {("rollback", "the writer"): [], ("rollback", "the one that forgets"): ["p", "q"]}
        assert sorted(kept) == [(policy, True) for policy in expected[ends, first]], "none is without its set"
        assert found == (1 if kept else 0)

    @staticmethod
    @contextmanager
    def held(one: Store, job: Any, ends: str) -> Iterator[None]:
        """Within a transaction that did the job, and has not ended."""
        connection, begin = one._connection, one._connection.begin
        transaction = begin()
        one._connection.begin = connection.begin_nested
        job()
        del one._connection.begin
        try:
            yield
        finally:
            getattr(transaction, ends)()

    def void(self, one: Store, policy: PolicyName) -> None:
        generation = self.write(one, policy)
        one.commit([("conclude", (policy, generation, [Change(1, "void")], []))])

    @staticmethod
    def write(one: Store, policy: PolicyName) -> int:
        [grant] = one.commit([("acquire", (policy, 0))])
        [(number, _)] = one.commit([("write_down", (policy, Revision(generation=grant.generation, base=b"[1]"), [], ()))])
        assert number == 1
        return grant.generation
