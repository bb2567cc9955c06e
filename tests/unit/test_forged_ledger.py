"""Whoever can write to the database, and not compute the chain anew, is found: no forged answer is given again, and `verify`
names the entry."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from gateway.changes import RowChange, encoded
from gateway.cli import app
from gateway.config import LedgerConfig
from gateway.entry import OK, Entry
from gateway.ledger.chain import link, verify
from gateway.ledger.contents import digest_of
from gateway.ledger.ledger import Query
from gateway.ledger.packing import packed
from gateway.ledger.schema import contents, entries, revisions, touches
from gateway.ledger.sql_ledger import SqlLedger
from gateway.revision import Change
from gateway.testing.lease_contract import POLICY, concluded, written
from gateway.testing.ledger_contract import intent, up

CHANGES = encoded([RowChange("group a", (), ({"id": "a"},))])
# Of three answered requests, what is changed of the second, and what `verify` says of it.
FORGERIES: dict[str, tuple[dict[str, object], str]] = {
    "its answer": ({"answer": b"forged"}, "entry 2: its answer is not the original"),
    "its answer and the digest": ({"answer": b"forged", "answer_digest": "f" * 64}, "entry 2: was changed or moved"),
    "its answer, without a digest": ({"answer": b"forged", "answer_digest": ""}, "entry 2: was changed or moved"),
    "its outcome": ({"outcome": "SET_CHANGED"}, "entry 2: was changed or moved"),
    "its request's digest": ({"digest": "forged"}, "entry 2: was changed or moved"),
    "what it did": ({"changes": packed(b"forged")}, "entry 2: the record of its changes is not the original"),
    "what it did, to what unpacks to too much": (
        {"changes": packed(bytes(65 * 2**20))},
        "entry 2: the record of its changes is not",
    ),
    "what it did, to what is not packed": ({"changes": b"forged"}, "entry 2: the record of its changes is not"),
    "what it did, to half of it": ({"changes": packed(CHANGES)[:-8]}, "entry 2: the record of its changes is not"),
    "what it did, to nothing": ({"changes": None}, "entry 2: the record of its changes is missing"),
    "what it did, and its digest": ({"changes": None, "changes_digest": ""}, "entry 2: was changed or moved"),
    "the set after it": ({"etag": "forged"}, "entry 2: was changed or moved"),
    "its hash": ({"hash": "f" * 64}, "entry 2: was changed or moved"),
    "its position, to none": ({"position": None}, "its position None is taken by another entry, or outside the chain"),
    "its position, to one below zero": ({"position": -2}, "its position -2 is taken by another entry, or outside the chain"),
    "its position, to one behind the head": ({"position": 9}, "its position 9 is taken by another entry, or outside the chain"),
}


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    """With three answered requests."""
    ledger = SqlLedger(LedgerConfig(url=url))
    await up(ledger)
    for number in (1, 2, 3):
        entry = (await ledger.claim(intent(number))).entry
        await ledger.update([replace(entry, changes=CHANGES).finished(OK, b"answer")])
    yield ledger
    await ledger.close()


def execute(ledger: SqlLedger, *statements: sa.Executable) -> None:
    with ledger._database.writer.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def wrong_with(ledger: SqlLedger) -> list[str]:
    with ledger.chained() as (ends, kept):
        return list(verify(kept, ends))


async def answers(ledger: SqlLedger) -> list[str]:
    return [(await ledger.claim(intent(number))).answer for number in (1, 2, 3)]


def second() -> sa.Update:
    return entries.update().where(entries.c.request_id == "r2")


async def test_what_was_left_alone_is_answered_again(ledger: SqlLedger):
    assert await answers(ledger) == ["done"] * 3
    assert wrong_with(ledger) == []


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_was_changed_is_not_answered_again(ledger: SqlLedger, name: str):
    change, said = FORGERIES[name]
    execute(ledger, second().values(**change))
    assert (await answers(ledger))[1] == "forged"
    assert any(said in line for line in wrong_with(ledger))
    assert len(list(ledger.find(Query()))) == 3, "an auditor can still look"


async def test_what_was_changed_is_not_told_to_the_doors(ledger: SqlLedger):
    [first, held, last] = ledger.find(Query())
    execute(ledger, second().values(changes=packed(b"forged")))
    found = [await ledger.entry("t", "p", entry.id) for entry in (first, held, last)]
    assert [entry and entry.changes for entry in found] == [CHANGES, None, CHANGES]


async def test_a_set_that_was_changed_is_none(ledger: SqlLedger):
    """Nobody restores what was not there."""
    numbers = [await written(ledger, base=base) for base in (b"[1]", b"[2]", b"[3]")]
    await concluded(ledger, [Change(number, "settled", acked=True) for number in numbers])
    these = [contents.c.digest == digest_of(base) for base in (b"[1]", b"[2]")]
    execute(ledger, contents.update().where(these[0]).values(body=packed(b"forged")), contents.delete().where(these[1]))
    found = [await ledger.kept(POLICY, number, whole=True) for number in numbers]
    assert [kept.base for kept in found] == [None, None, b"[3]"]


# Of columns that SQLite takes whatever kind of value in.
OTHER_KINDS = {
    "its answer, to text": ("answer = 'forged'", "its answer is not the original"),
    "its answer, to the same as text": ("answer = 'answer'", "its answer is not the original"),
    "its answer, to a number": ("answer = 7", "its answer is not the original"),
    "what it did, to text": ("changes = 'forged'", "the record of its changes is not the original"),
    "what it did, to a number": ("changes = 7", "the record of its changes is not the original"),
    "its digest, to bytes": ("answer_digest = x'00'", "changed or moved"),
    "its caller, to bytes": ("caller = x'63'", "changed or moved"),
    "its hash, to bytes": ("hash = x'00'", "changed or moved"),
    "to a cut that names bytes": ("operation = 'ExpireEntries', target = x'00'", "changed or moved"),
    "its position, to text": ("position = 'second'", "is taken by another entry, or outside the chain"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
async def test_values_of_another_kind_are_found_and_not_answered_with(ledger: SqlLedger, name: str):
    if ledger._database.writer.dialect.name == "postgresql":
        pytest.skip("PostgreSQL takes only what a column is for")
    change, said = OTHER_KINDS[name]
    execute(ledger, sa.text(f"UPDATE entries SET {change} WHERE request_id = 'r2'"))
    assert any(said in line for line in wrong_with(ledger))
    assert (await answers(ledger))[1] == "forged"


async def test_nobody_is_answered_with_anothers_answer(ledger: SqlLedger):
    first, other = (intent(number).claim for number in (1, 2))
    execute(
        ledger,
        second().values(claim=None),
        entries.update().where(entries.c.claim == first).values(claim=other),
        second().values(claim=first),
    )
    assert await answers(ledger) == ["forged", "forged", "done"]
    assert len(wrong_with(ledger)) == 2


async def test_who_computes_one_hash_anew_is_found_by_the_next(ledger: SqlLedger):
    [first, held, _] = ledger.find(Query(after=0))
    forged = vars(held) | {"answer": b"forged", "answer_digest": ""}
    forged["hash"] = link(first.hash, 2, Entry(**forged))
    execute(ledger, second().values(**{name: forged[name] for name in ("answer", "answer_digest", "hash")}))
    assert (await answers(ledger))[1] == "forged"
    assert [line.split(":")[0] for line in wrong_with(ledger)] == ["entry 3"]


async def test_who_removes_the_last_and_leaves_the_head_is_found(ledger: SqlLedger):
    execute(ledger, entries.delete().where(entries.c.position == 3))
    assert await answers(ledger) == ["done", "forged", "new"], "nothing follows the second"
    assert wrong_with(ledger) == ["entries 3 to 3: missing"]


async def test_finished_rows_beside_the_chain_are_seen(ledger: SqlLedger):
    hidden = [
        vars(intent(number, outcome="OK", state="finished", position=position))
        for number, position in ((7, None), (8, None), (9, -1), (10, 0), (11, 77))
    ]
    execute(ledger, entries.insert().values(hidden))
    found = [line for line in wrong_with(ledger) if "is taken by another entry, or outside the chain" in line]
    assert {line.split(":")[0] for line in found} == {f"entry {row['id']}" for row in hidden}


async def test_two_entries_at_one_place_are_seen(ledger: SqlLedger):
    unique = "entries_position_key" if ledger._database.writer.dialect.name == "postgresql" else ""
    if not unique:
        pytest.skip("SQLite drops no constraint of a table")
    [kept, *_] = ledger.find(Query(after=0))
    twin = vars(kept) | {"id": "twin", "claim": None}
    execute(ledger, sa.text(f"ALTER TABLE entries DROP CONSTRAINT {unique}"), entries.insert().values(twin))
    assert len(wrong_with(ledger)) == 1


async def test_what_is_beside_the_chain_follows_from_it(ledger: SqlLedger):
    numbers = [await written(ledger, base=base) for base in (b"[1]", b"[2]", b"[1]")]
    await concluded(ledger, [Change(number, "settled", acked=True) for number in numbers])
    assert list(ledger.beside()) == []


TOUCH = {"position": 2, "place": 1, "kind": "group", "name": "b", "how": "added"}
OF_SECOND = touches.c.position == 2
# What is changed of whom the second entry touched, and the entry that `verify` names.
FORGED_TOUCHES = {
    "one that is gone": (touches.delete().where(OF_SECOND), 2),
    "one more": (touches.insert().values(**TOUCH), 2),
    "another kind": (touches.update().where(OF_SECOND).values(kind="exclusion_group"), 2),
    "another name": (touches.update().where(OF_SECOND).values(name="b"), 2),
    "another verb": (touches.update().where(OF_SECOND).values(how="removed"), 2),
    "another entry's": (touches.update().where(OF_SECOND).values(position=7), 7),
    "one of an entry that is no more": (touches.insert().values(**TOUCH | {"position": 9}), 9),
    "one of a refused entry": (touches.insert().values(**TOUCH | {"position": 4}), 4),
}


@pytest.mark.parametrize("name", FORGED_TOUCHES)
async def test_whom_an_entry_touched_is_computed_anew(ledger: SqlLedger, name: str):
    forgery, position = FORGED_TOUCHES[name]
    refused = (await ledger.claim(intent(4, target="group b"))).entry
    await ledger.update([refused.finished("ALREADY_ASSIGNED")])
    assert list(ledger.beside()) == []
    execute(ledger, forgery)
    told = list(ledger.beside())
    assert f"entry {position}: " in "\n".join(told)
    assert {line.split(":")[0] for line in told} <= {"entry 2", f"entry {position}"}
    assert wrong_with(ledger) == [], "the chain itself says nothing of it"


async def test_what_an_older_version_said_of_whom_it_touched_is_no_fault(ledger: SqlLedger):
    """It kept no changes, and the search has what was asked for."""
    old = (await ledger.claim(intent(4, target="group a, unknown #x.Y"))).entry
    await ledger.update([old.finished(OK)])
    there = [{"position": 4, "place": place, "kind": kind, "name": name, "how": ""} for place, kind, name in OLD]
    execute(ledger, touches.insert().values(there))
    assert list(ledger.beside()) == []
    execute(ledger, touches.update().where(touches.c.position == 4, touches.c.place == 0).values(name="b"))
    assert [line.split(":")[0] for line in ledger.beside()] == ["entry 4"]


OLD = ((0, "group", "a"), (1, "unknown", "x.y"))


async def test_a_set_that_a_revision_refers_to_has_its_digest(ledger: SqlLedger):
    numbers = [await written(ledger, base=base) for base in (b"[1]", b"[2]", b"[3]", b"[1]", b"[4]")]
    await concluded(ledger, [Change(number, "settled", acked=True) for number in numbers])
    these = [contents.c.digest == digest_of(base) for base in (b"[1]", b"[2]")]
    other = revisions.update().where(revisions.c.number == 5).values(base=digest_of(b"[5]"))
    execute(ledger, contents.update().where(these[0]).values(body=packed(b"forged")), contents.delete().where(these[1]), other)
    assert sorted(ledger.beside()) == [
        f"revision {number} of {POLICY.policy} in {POLICY.tenant}: the set before it {wrong}"
        for number, wrong in (
            (1, "is not the original"),
            (2, "is missing"),
            (4, "is not the original"),
            (5, "is missing"),
        )
    ]


async def test_the_command_says_what_is_wrong_beside_the_chain(ledger: SqlLedger, url: str):
    command = ["audit", "verify", "--ledger", url]
    assert (await asyncio.to_thread(CliRunner().invoke, app, command)).exit_code == 0
    execute(ledger, touches.delete().where(OF_SECOND))
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert (result.exit_code, result.stdout) == (1, "entry 2: the index of targets does not match its changes\n")
