"""Ledgers in SQLite that have their tables already."""

import secrets
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from gateway.ledger import schema
from gateway.ledger.databases import database_of

# Stands in the template for the secret of each copy.
SECRET = secrets.token_bytes(32)


@cache
def empty_ledger() -> bytes:
    """A file of SQLite's with the tables of this version. To make them takes longer than all else that a gateway does first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.db")
        database = database_of(f"sqlite:///{path}", None)
        database.occupy()
        with database.writer.begin() as connection:
            schema.migrate(connection)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE chain SET secret = ?", (SECRET,))
        database.leave()
        content = path.read_bytes()
        assert content.count(SECRET) == 1
        return content


def new_ledger(folder: Path, name: str = "") -> str:
    """The URL of an empty ledger with a secret of its own."""
    path = folder / (name or f"{secrets.token_hex(4)}.db")
    path.touch(0o600)
    path.write_bytes(empty_ledger().replace(SECRET, secrets.token_bytes(len(SECRET))))
    return f"sqlite:///{path}"
