"""Deletes what has expired, in batches: answers with their request IDs, revisions that are over, and the oldest entries of the
chain. Each batch changes a bounded number of rows, by an index; it reads no more than these, except for the one revision of
each quiet policy that is kept. Runs inside the caller's transaction."""

from itertools import takewhile

import sqlalchemy as sa

from gateway.ledger import contents, touches
from gateway.ledger.chain import CUT, cut
from gateway.ledger.schema import POLICY, chain, entries, revisions
from gateway.ledger.statements import write
from gateway.revision import State

OLD_ANSWERS = (
    sa.select(entries.c.id)
    .where(
        # Literal, as in the index that serves it.
        entries.c.state == sa.literal_column("'finished'"),
        entries.c.claim.is_not(None),
        entries.c.ended_at < sa.bindparam("before"),
    )
    .order_by(entries.c.ended_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(skip_locked=True)
)
later = revisions.alias()
# The newest that is settled says what has to be there (see assignments.drift), however old it is.
IS_SUCCEEDED = sa.exists().where(
    *(later.c[name] == revisions.c[name] for name in POLICY),
    later.c.number > revisions.c.number,
    later.c.state == "settled",
)
# For each state with the literal that its index has.
OLD_REVISIONS = {
    state: sa.select(*revisions.primary_key, revisions.c.base)
    .where(sa.text(f"revisions.state = '{state}'"), revisions.c.written_at < sa.bindparam("before"), *conditions)
    .order_by(revisions.c.written_at)
    .limit(sa.bindparam("most", type_=sa.Integer))
    .with_for_update(skip_locked=True, of=revisions)
    for state, conditions in (("settled", [IS_SUCCEEDED]), ("void", []))
}


def forget_answers(connection: sa.Connection, before: str, most: int) -> bool:
    """Deletes the answers of entries that finished before then. Returns whether there may be more."""
    ids = connection.scalars(OLD_ANSWERS, {"before": before, "most": most}).all()
    connection.execute(entries.update().where(entries.c.id.in_(ids)).values(claim=None, answer=None))
    return len(ids) == most


def forget_revisions(connection: sa.Connection, state: State, before: float, most: int) -> bool:
    """Those in a state, settled or void, that were written down before, by the database's clock, but of each policy the newest
    that is settled; and the sets that nothing else refers to. Whether there may be more."""
    found = connection.execute(OLD_REVISIONS[state], {"before": before, "most": most}).all()
    if found:
        these = sa.tuple_(*revisions.primary_key).in_([tuple(row[:-1]) for row in found])
        connection.execute(revisions.delete().where(these))
        contents.let_go(connection, [row.base for row in found if row.base is not None])
    return len(found) == most


def forget_entries(connection: sa.Connection, before: str, most: int) -> bool:
    """Deletes the oldest entries of the chain, up to the first that ended later, and records that in an entry. Returns whether
    there may be more."""
    # The lock comes first: of two gateways, one continues where the other ended.
    tail = connection.scalar(sa.select(chain.c.tail_position).with_for_update())
    columns = (entries.c.position, entries.c.hash, entries.c.ended_at, entries.c.operation)
    first = sa.select(*columns).where(entries.c.position > tail).order_by(entries.c.position).limit(most)
    old = list(takewhile(lambda row: row.ended_at < before, connection.execute(first).all()))
    # Where there are but a few of those entries, one more would say nothing, and be the next that gets old.
    if len(old) < most and all(row.operation == CUT for row in old):
        return False
    last = old[-1]
    connection.execute(entries.delete().where(entries.c.position > tail, entries.c.position <= last.position))
    touches.forget(connection, last.position)
    connection.execute(chain.update(), {"tail_position": last.position, "tail_hash": last.hash})
    said = cut(last.position, last.hash)
    write(connection, [said], {said.id: None})
    return len(old) == most
