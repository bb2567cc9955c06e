"""Whose rows entries touched: the table behind `audit --target`. Each function runs inside the caller's transaction."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from gateway.changes import name_of, touched_by
from gateway.entry import Entry
from gateway.ledger.schema import touches

# Of an id, the beginning that is enough; less would be of too many.
SHORTEST = 4
LONGEST = 512
LAST = "\U0010ffff"
INSERT = touches.insert()
POSITIONS = sa.select(touches.c.position)


def insert(connection: sa.Connection, finished: Sequence[Entry]) -> None:
    """Of entries that have their place in the chain."""
    rows = [row for entry in finished if entry.changes is not None for row in rows_of(entry.position, entry.changes)]
    if rows:
        connection.execute(INSERT, rows)


def rows_of(position: int | None, changes: bytes) -> Iterator[dict[str, Any]]:
    """What the table has of an entry."""
    try:
        touched = touched_by(changes)
    except (ValueError, AttributeError):  # somebody changed it in the database, and `verify` says so
        return
    for place, (target, how) in enumerate(touched):
        kind, name = name_of(plain(target))
        yield {"position": position, "place": place, "kind": kind, "name": name, "how": how}


def plain(text: str) -> str:
    """Text that any database takes and no terminal obeys. Rows of others may say anything."""
    text = text[:LONGEST]
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def forget(connection: sa.Connection, upto: int) -> None:
    """Of the entries up to this position, which are forgotten in the same transaction."""
    connection.execute(touches.delete().where(touches.c.position <= upto))


def positions_of(touched: str, how: str) -> sa.ColumnElement[bool] | sa.Select[Any] | sa.CompoundSelect[Any]:
    """The positions of entries that touched it so; see ledger.Query."""
    only = [touches.c.how == how] if how else []
    if not touched:
        return POSITIONS.where(*only)
    kind, name = name_of(plain(touched))
    if name:
        # The kind as an expression: its index would lead to all that were ever touched of it.
        return POSITIONS.where(touches.c.kind.concat("") == kind, _begins_with(name), *only)
    # Each with its index.
    return sa.union_all(
        POSITIONS.where(touches.c.kind == kind, *only), POSITIONS.where(_begins_with(kind.removeprefix("#")), *only)
    )


def _begins_with(name: str) -> sa.ColumnElement[bool]:
    if len(name) < SHORTEST:
        return touches.c.name == name
    return sa.and_(touches.c.name >= name, touches.c.name < name + LAST)
