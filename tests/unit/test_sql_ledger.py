"""What one SQL ledger does by itself: it forgets, answers whoever asked, and keeps outcomes that it cannot write down yet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from gateway.config import LedgerConfig
from gateway.entry import OK, Entry
from gateway.errors import GatewayError
from gateway.ledger import expiry, revisions, sql_ledger, store
from gateway.ledger.chain import CUT, verify
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.ledger.store import Ages, Store
from gateway.revision import Change
from gateway.testing.lease_contract import concluded, known, written
from gateway.testing.ledger_contract import intent, up

OLD, AT_ONCE = 2_000, 50


def opened_by(store: Store, **known) -> None:
    if not store.connect():
        store.migrate()
    store.enter(**known)


def wrong_with(ledger: SqlLedger) -> list[str]:
    with ledger.chained() as (ends, entries):
        return list(verify(entries, ends))


async def test_what_is_too_old_is_forgotten_and_the_chain_stays_whole(url: str):
    ages = Ages(timedelta(0), answers=timedelta(0), entries=timedelta(0))
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    old = [(await ledger.claim(intent(n))).entry for n in range(3)]
    await ledger.update([entry.finished(OK, b"a") for entry in old])
    running = (await ledger.claim(intent(3))).entry
    keep_entries = Ages(ages.uncertain, ages.answers, None)
    for kept, count in ((keep_entries, 4), (ages, 2), (ages, 2)):
        ledger._store._ages = kept
        await ledger._ask("expire", ())
        assert len(list(ledger.find(Query()))) == count, "the last is the one that says what was let go"
        assert wrong_with(ledger) == []
    assert (await ledger.claim(intent(0))).answer == "new", "the request id is free again"
    assert (await ledger.claim(intent(3))).answer == "running", "what runs is never forgotten"
    await ledger.update([running.finished(OK, b"a")])
    assert wrong_with(ledger) == []
    assert ledger.ends().tail[0] == 3
    await ledger.close()


async def test_it_forgets_by_itself(url: str, monkeypatch: pytest.MonkeyPatch):
    ledger = SqlLedger(LedgerConfig(url=url, answers_kept_days=1e-9, entries_kept_days=1e-9))
    monkeypatch.setattr(sql_ledger, "RETRY_S", 0.02)
    monkeypatch.setattr(sql_ledger, "EXPIRE_S", 0.02)
    await up(ledger)
    await ledger.update([(await ledger.claim(intent())).entry.finished(OK, b"a")])
    async with asyncio.timeout(60):
        while [entry.operation for entry in ledger.find(Query())] != [CUT]:
            await asyncio.sleep(0.01)
    await ledger.close()


def of_old(count: int) -> Iterator[Entry]:
    """Entries with answers, of a year that is long gone."""
    for number in range(count):
        entry = replace(intent(number), claim=f"old {number}", owner=0).finished(OK, b"answer")
        yield replace(entry, began_at="2001-01-01T00:00:00.000000Z", ended_at="2001-01-01T00:00:01.000000Z")


async def forget(ledger: SqlLedger) -> AsyncIterator[None]:
    """Forgets all that is too old, and comes back after each batch."""
    while await ledger._ask("expire", ()):
        yield
    yield


async def batches(ledger: SqlLedger) -> int:
    return len([None async for _ in forget(ledger)])


async def test_any_number_is_forgotten_a_batch_at_a_time(url: str, monkeypatch: pytest.MonkeyPatch):
    """And what is asked meanwhile is answered between two batches."""
    monkeypatch.setattr(store, "FORGOTTEN_AT_ONCE", AT_ONCE)
    ledger = SqlLedger(LedgerConfig(url=url, answers_kept_days=7, entries_kept_days=7))
    await up(ledger)
    await ledger._ask("expire", ())  # it does so at once, and then not for an hour
    old = list(of_old(OLD))
    for at in range(0, OLD, 100):  # a transaction each: one for all takes longer on a slow machine than the watchdog waits
        await ledger.update(old[at : at + 100])
    recent = (await ledger.claim(intent(1))).entry
    await ledger.update([recent.finished(OK, b"a")])

    forgotten, answered = 0, set()

    async def ask() -> None:
        while forgotten < OLD // AT_ONCE + 1:
            assert (await ledger.claim(intent(1))).answer == "done"
            answered.add(forgotten)

    asking = asyncio.create_task(ask())
    async for _ in forget(ledger):
        forgotten += 1
    await asking
    assert forgotten == OLD // AT_ONCE + 1
    assert len(answered) > forgotten // 2
    assert [entry.id for entry in ledger.find(Query()) if entry.operation != CUT] == [recent.id]
    assert len(list(ledger.find(Query(operation=CUT)))) == OLD // AT_ONCE
    assert wrong_with(ledger) == []
    assert ledger.up
    await ledger.close()


async def test_settled_revisions_are_forgotten_but_the_newest_and_others_never(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "FORGOTTEN_AT_ONCE", 2)
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    numbers = [await written(ledger) for _ in range(6)]
    await concluded(ledger, [Change(number, "settled") for number in numbers[:5]])
    assert await batches(ledger) == 1, "they are young"
    ledger._store._ages = Ages(timedelta(0), timedelta(0), None)
    assert await batches(ledger) == 1, "answers are forgotten sooner"
    ledger._store._ages = Ages(timedelta(0), timedelta(0), None, revisions=timedelta(0))
    assert await batches(ledger) == 3
    with database_of(url, None).reader.connect() as connection:
        found = connection.exec_driver_sql("SELECT number FROM revisions ORDER BY number").scalars().all()
        assert found == [5, 6], "what the last one left is what has to be there"
    assert list(await known(ledger)) == [6]
    await ledger.close()


async def test_a_lease_whose_row_goes_while_it_is_asked_for_is_made_anew(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """It was in the way of a new one, and is gone before it is locked."""
    lock, steals = revisions._lock, [False, True, False, True]

    def stolen(connection: sa.Connection, policies: Any) -> Any:
        if steals and steals.pop(0):
            connection.exec_driver_sql("DELETE FROM leases")
        if found := lock(connection, policies):
            steals.clear()
        return found

    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    monkeypatch.setattr(revisions, "_lock", stolen)
    assert await written(ledger) == 1
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    await ledger.close()


@pytest.mark.parametrize(
    ("statement", "before", "index"),
    [
        (expiry.OLD_ANSWERS, "2002", "entries_answered"),
        (expiry.OLD_REVISIONS["settled"], 2e9, "revisions_settled"),
        (expiry.OLD_REVISIONS["void"], 2e9, "revisions_void"),
    ],
)
async def test_an_index_serves_it(url: str, statement: sa.Select, before: object, index: str):
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    with database_of(url, None).reader.connect() as connection:
        explain = "EXPLAIN QUERY PLAN "
        if url.startswith("postgresql"):
            explain = "EXPLAIN "
            connection.exec_driver_sql("SET enable_seqscan = off")  # which is the quickest where there is nothing
        bound = statement.params(before=before, most=10).compile(connection, compile_kwargs={"literal_binds": True})
        assert index in str(connection.exec_driver_sql(explain + str(bound)).all())
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


class Spoiled(Store):
    """A store that breaks as nobody foresaw."""

    def commit(self, jobs, deadlocks=0):
        raise RuntimeError("as nobody foresaw")


async def test_whoever_asked_is_answered_whatever_is_raised(url: str):
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    sound, ledger._store = ledger._store, Spoiled(ledger._database, ledger._store._ages)
    answers = await asyncio.gather(*(ledger.claim(intent(n)) for n in range(3)), return_exceptions=True)
    assert [answer.reason.name for answer in answers] == ["INTERNAL"] * 3
    ledger._store = sound
    assert (await ledger.claim(intent())).answer == "new", "those that come after are none the worse"
    await ledger.close()


async def test_whoever_asked_is_answered_though_the_work_is_cancelled(url: str):
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    asked = asyncio.create_task(ledger.claim(intent()))
    while ledger._working is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    ledger._working.cancel()
    with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
        await asked
    assert (await ledger.claim(intent(2))).answer == "new"
    await ledger.close()


async def test_outcomes_that_cannot_be_written_down_are_not_ours_yet_and_come_later(url: str):
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    done, uncertain, running = [(await ledger.claim(intent(n))).entry for n in (1, 2, 3)]
    await ledger._in_thread(ledger._store.disconnect)
    refusal = replace(intent(4), claim=None).finished("PERMISSION_DENIED")
    assert await ledger.update([done.finished(OK, b"a"), refusal]) == set()
    assert await ledger.update([replace(uncertain, sent=b"s").uncertain("OUTCOME_UNKNOWN")]) == set()
    with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
        await ledger.update([running])
    async with asyncio.timeout(60):
        while not ledger.up:
            await asyncio.sleep(0.02)
    found = {entry.id: entry.state for entry in ledger.find(Query())}
    assert found == {done.id: "finished", uncertain.id: "uncertain", running.id: "running"}, "a refusal is no outcome"
    await ledger.close()
