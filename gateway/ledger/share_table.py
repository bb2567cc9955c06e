"""The table of the quota's shares: see shares."""

import json
import time
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from gateway.ledger.databases import Database
from gateway.ledger.schema import shares as table
from gateway.ledger.shares import ShareRow, Watched, granted
from gateway.stake import Granted, Stake


def said(
    connection: sa.Connection, database: Database, me: int, alive: Collection[int], watched: Watched, stakes: Sequence[Stake]
) -> list[Granted]:
    """The share that the replica gets for each stake. Replicas do this one after the other."""
    database.lock_shares(connection)
    rows = [_row(one) for one in connection.execute(sa.select(table))]
    now, answers = time.monotonic(), []
    for stake in stakes:
        those = [row for row in rows if (row.stake.tenant, row.stake.window) == (stake.tenant, stake.window)]
        living, held, over, old = watched.counting((row for row in those if row.owner != me), alive, now)
        mine = {row.owner: row for row in those if row.owner == me}
        for row in over:
            connection.execute(sa.delete(table).where(_is(row)))
        row, answer = granted(me, stake, living | mine, held)
        for one in old:
            connection.execute(sa.update(table).where(_is(one)).values(stake=json.dumps(one.stake)))
        values = {"beat": row.beat, "stake": json.dumps(row.stake)}
        if mine:
            connection.execute(sa.update(table).where(_is(row)).values(values))
        else:
            connection.execute(sa.insert(table).values(tenant=stake.tenant, window=stake.window, owner=me, **values))
        answers.append(answer)
    return answers


def _is(row: ShareRow) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.tenant == row.stake.tenant, table.c.window == row.stake.window, table.c.owner == row.owner)


def _row(found: sa.Row[tuple[str, str, int, int, str]]) -> ShareRow:
    return ShareRow(found.owner, found.beat, Stake(*json.loads(found.stake)))
