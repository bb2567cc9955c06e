"""A ledger that was computed anew, with all its hashes right, is found by seals that were kept elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import LedgerConfig
from gateway.entry import OK
from gateway.ledger.chain import START, link
from gateway.ledger.databases import database_of
from gateway.ledger.ledger import Query
from gateway.ledger.schema import chain, entries
from gateway.ledger.sql_ledger import SqlLedger
from gateway.ledger.store import Ages
from gateway.testing.ledger_contract import intent

PEM, RAW = serialization.Encoding.PEM, serialization.NoEncryption()


def write_key(folder: Path, key: Ed25519PrivateKey, name: str = "seal") -> None:
    (folder / f"{name}.pem").write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, RAW))
    public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pub").write_bytes(public)


class Auditor:
    """Has a key and a file of seals, and asks a ledger."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder, self.seals = url, folder, folder / "seals.jsonl"
        write_key(folder, Ed25519PrivateKey.generate())

    def seal(self, key: str = "seal.pem") -> tuple[int, str]:
        return self.run("seal", "--key", str(self.folder / key), "--to", str(self.seals))

    def verify(self, key: str = "seal.pub") -> tuple[int, str]:
        return self.run("verify", "--seals", str(self.seals), "--public-key", str(self.folder / key))

    def run(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["audit", *arguments, "--ledger", self.url])
        return result.exit_code, result.output


@pytest.fixture
async def auditor(url: str, tmp_path: Path) -> Auditor:
    await add(url, 1, 2, 3)
    return Auditor(url, tmp_path)


async def add(url: str, *numbers: int, expire: bool = False) -> None:
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    if expire:
        nothing = ledger._store._ages.uncertain * 0
        ledger._store._ages = Ages(nothing, nothing, nothing)
        await ledger._ask("expire", ())
    for number in numbers:
        await ledger.update([(await ledger.claim(intent(number))).entry.finished(OK, b"answer")])
    await ledger.close()


def computed_anew(url: str, changed: int) -> None:
    """As if another caller had asked: every hash from the changed entry on, and the head, are right again."""
    previous = START[1]
    kept = list(SqlLedger(LedgerConfig(url=url)).find(Query(after=0)))
    with database_of(url, None).writer.begin() as connection:
        for entry in kept:
            caller = "forged" if entry.position == changed else entry.caller
            claim = None if entry.position == changed else entry.claim
            forged = replace(entry, caller=caller, claim=claim)
            previous = link(previous, entry.position, forged)
            values = {"caller": caller, "claim": claim, "hash": previous}
            connection.execute(entries.update().where(entries.c.position == entry.position).values(**values))
        connection.execute(chain.update().values(head_hash=previous))


async def test_what_is_sealed_is_printed_and_appended(auditor: Auditor):
    code, first = auditor.seal()
    await add(auditor.url, 4)
    assert (code, auditor.seal()[0]) == (0, 0)
    lines = auditor.seals.read_text().splitlines(keepends=True)
    assert (lines[0], len(lines)) == (first, 2)
    assert [json.loads(line)["position"] for line in lines] == [3, 4]
    await add(auditor.url, 5)
    code, out = auditor.verify()
    assert code == 0
    assert "5 entries, sealed up to 4. head 5:" in out


@pytest.mark.parametrize("changed", [1, 3])
async def test_a_ledger_that_was_computed_anew_is_found(auditor: Auditor, changed: int):
    auditor.seal()
    computed_anew(auditor.url, changed)
    assert auditor.run("verify")[0] == 0, "the database alone cannot tell"
    code, out = auditor.verify()
    assert (code, out) == (1, "entry 3: its hash is not the one that was noted\n")
    code, out = auditor.seal()
    assert (code, out) == (1, "entry 3: its hash is not the one that was noted\n"), "and is not sealed either"
    assert len(auditor.seals.read_text().splitlines()) == 1


async def test_a_ledger_that_was_set_back_is_found(auditor: Auditor):
    auditor.seal()
    with database_of(auditor.url, None).writer.begin() as connection:
        connection.execute(entries.delete().where(entries.c.position == 3))
        last = connection.scalar(sa.select(entries.c.hash).where(entries.c.position == 2))
        connection.execute(chain.update().values(head_position=2, head_hash=last))
    assert auditor.run("verify")[0] == 0
    assert auditor.verify() == (1, "entry 3: was noted and is missing\n")


async def test_seals_of_what_was_let_go_of_say_nothing_and_some_have_to(auditor: Auditor):
    auditor.seal()
    await add(auditor.url, 4, 5)
    auditor.seal()
    await add(auditor.url, expire=True)
    code, out = auditor.verify()
    assert code == 0, out
    auditor.seals.write_text(auditor.seals.read_text().splitlines(keepends=True)[0])
    assert auditor.verify()[0] == 1
    assert "none of the 1 seals is of an entry that the ledger still keeps" in auditor.verify()[1]


FORGED = {
    "another position": {"position": 2},
    "another hash": {"hash": "f" * 64},
    "another time": {"sealed_at": "2020-01-01T00:00:00.000000Z"},
    "another signature": {"signature": "AAAA"},
    "no base64": {"signature": "é"},
}


@pytest.mark.parametrize("name", FORGED)
async def test_what_another_has_signed_is_no_seal(auditor: Auditor, name: str):
    auditor.seal()
    auditor.seals.write_text(json.dumps(json.loads(auditor.seals.read_text()) | FORGED[name]))
    code, out = auditor.verify()
    assert code == 1
    assert "line 1 is not signed by this key" in out
    assert auditor.seal()[0] == 1, "nothing is added to it"


@pytest.mark.parametrize("line", ["", "{}", "[]", "x", '{"position": true}', "\x00"])
async def test_what_is_no_seal_is_said(auditor: Auditor, line: str):
    auditor.seal()
    auditor.seals.write_text(auditor.seals.read_text() + line + "\n")
    code, out = auditor.verify()
    assert (code, "line 2 is not a seal" in out) == (1, True)


async def test_another_key_is_another(auditor: Auditor):
    auditor.seal()
    write_key(auditor.folder, Ed25519PrivateKey.generate(), "other")
    assert "line 1 is not signed by this key" in auditor.verify("other.pub")[1]
    assert "line 1 is not signed by this key" in auditor.seal("other.pem")[1]


async def test_what_is_no_key_is_said_and_not_shown(auditor: Auditor):
    elliptic = generate_private_key(SECP256R1())
    plain, locked = RAW, serialization.BestAvailableEncryption(b"secret")
    wrong = {
        "ec.pem": elliptic.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain),
        "locked.pem": Ed25519PrivateKey.generate().private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked),
        "text.pem": b"canary",
    }
    for name, data in wrong.items():
        (auditor.folder / name).write_bytes(data)
    for name in (*wrong, "missing.pem", "seal.pub"):
        code, out = auditor.seal(name)
        assert (code, "--key" in out, "canary" in out) == (2, True, False), name
    auditor.seal()
    for name in (*wrong, "missing.pem", "seal.pem"):
        code, out = auditor.verify(name)
        assert (code, "--public-key" in out, "canary" in out) == (2, True, False), name
    assert auditor.run("verify", "--seals", str(auditor.seals))[0] == 2, "without a key they say nothing"
