"""Whether a stored answer may be given again: whether its entry is as it was recorded, as far as the entry and its neighbours
in the chain show. Runs inside the caller's transaction."""

from typing import Literal

import sqlalchemy as sa

from gateway.entry import Entry
from gateway.ledger.chain import fault, is_linked
from gateway.ledger.packing import entry_of
from gateway.ledger.schema import chain, entries

# One statement, for one moment.
AROUND = (
    sa.select(entries, chain)
    .select_from(entries.join(chain, sa.true()))
    .where(entries.c.position.between(sa.bindparam("first"), sa.bindparam("last")))
)


def answer_of(connection: sa.Connection, holder: Entry) -> Literal["done", "running", "forged"]:
    """See ledger.Claim. holder: a finished entry that holds a request id; `running` where it was let go of since it was read,
    and may be asked for again."""
    found = _look_at(connection, holder)
    return "running" if found is None else "done" if found else "forged"


def is_genuine(connection: sa.Connection, entry: Entry) -> bool:
    """Whether a finished entry is as it was recorded."""
    return bool(_look_at(connection, entry))


def _look_at(connection: sa.Connection, holder: Entry) -> bool | None:
    """None: it is not there any more."""
    at = holder.position
    if not isinstance(at, int):
        return False
    rows = connection.execute(AROUND, {"first": at - 1, "last": at + 1}).mappings().all()
    around = {row["position"]: entry_of(row) for row in rows}
    if (entry := around.get(at)) is None:
        return None
    ends, before, after = rows[0], around.get(at - 1), around.get(at + 1)
    previous = ends["tail_hash"] if ends["tail_position"] == at - 1 else before.hash if before else ""
    is_last = (at, entry.hash) == (ends["head_position"], ends["head_hash"])
    followed = is_last or (after is not None and is_linked(after, entry.hash))
    return followed and not fault(entry, previous)
