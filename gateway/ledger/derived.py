"""What is stored beside the chain and follows from it: whose rows entries touched, and the sets that revisions refer to.
Somebody who can write to the database can change these too, so `verify` recomputes them, inside the caller's transaction, in
time proportional to what is kept."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa

from gateway.changes import name_of
from gateway.entry import OK
from gateway.ledger import touches
from gateway.ledger.contents import content_of
from gateway.ledger.packing import unpacked
from gateway.ledger.schema import contents, entries, revisions
from gateway.ledger.schema import touches as touched

AT_ONCE = 200
ENTRY, TOUCH, REVISION = entries.c, touched.c, revisions.c
KEPT = (
    sa.select(ENTRY.position, ENTRY.changes, ENTRY.outcome, ENTRY.target)
    .where(ENTRY.position > sa.bindparam("after"))
    .order_by(ENTRY.position)
    .limit(AT_ONCE)
)
TOUCHED = (
    sa.select(TOUCH.position, TOUCH.place, TOUCH.kind, TOUCH.name, TOUCH.how)
    .where(TOUCH.position > sa.bindparam("after"), TOUCH.position <= sa.bindparam("upto"))
    .order_by(TOUCH.position, TOUCH.place)
)
OF_NONE = sa.select(TOUCH.position).distinct().where(~sa.exists().where(ENTRY.position == TOUCH.position))
NUMBERED = sa.select(REVISION.number, REVISION.policy, REVISION.tenant).order_by(
    REVISION.tenant, REVISION.policy, REVISION.number
)
WITHOUT_BASE = NUMBERED.where(REVISION.base.is_not(None), ~sa.exists().where(contents.c.digest == REVISION.base))
WITH_BASE = NUMBERED.where(REVISION.base == sa.bindparam("base"))


@runtime_checkable
class Verifiable(Protocol):
    """A ledger that stores something beside the chain."""

    def beside(self) -> Iterator[str]:
        """What is wrong with it, one line for each fault."""
        ...


def discrepancies(connection: sa.Connection) -> Iterator[str]:
    """What differs from the entries, one line for each fault."""
    yield from _of_touches(connection)
    for row in connection.execute(WITHOUT_BASE):
        yield f"{_named(row)}: the set before it is missing"
    for digest, body in connection.execute(sa.select(contents.c.digest, contents.c.body).execution_options(yield_per=AT_ONCE)):
        if content_of(digest, body) is None:
            for row in connection.execute(WITH_BASE, {"base": digest}).all():
                yield f"{_named(row)}: the set before it is not the original"


def _of_touches(connection: sa.Connection) -> Iterator[str]:
    after = 0
    while found := connection.execute(KEPT, {"after": after}).all():
        last = found[-1].position
        said = defaultdict(list)
        for position, *touch in connection.execute(TOUCHED, {"after": after, "upto": last}):
            said[position].append(tuple(touch))
        for entry in found:
            if not _follows(entry, said[entry.position]):
                yield f"entry {entry.position}: the index of targets does not match its changes"
        after = last
    for position in connection.scalars(OF_NONE):
        yield f"entry {position}: is not kept, but the index of targets still has it"


def _follows(entry: Any, said: Sequence[tuple[Any, ...]]) -> bool:
    """Whether what is said of an entry's touches is what its changes say, or, of older versions, what it was asked for."""
    if entry.changes is not None:
        rows = touches.rows_of(entry.position, unpacked(entry.changes))
        return said == [(row["place"], row["kind"], row["name"], row["how"]) for row in rows]
    asked = {tuple(name_of(target)) for target in entry.target.split(", ")} if said and entry.outcome == OK else set()
    return all((kind, name) in asked for _, kind, name, _ in said)


def _named(row: Any) -> str:
    return f"revision {row.number} of {row.policy} in {row.tenant}"
