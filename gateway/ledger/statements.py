"""SQL for the entries, a set of entries at a time. Each function runs inside the caller's transaction."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.entry import Entry
from gateway.ledger import touches
from gateway.ledger.chain import link
from gateway.ledger.ledger import Claim, Ends, Query
from gateway.ledger.packing import entry_of, row_of
from gateway.ledger.replays import answer_of
from gateway.ledger.schema import chain, entries, revisions

INTENT = {"id", "caller", "tenant", "operation", "policy", "target", "request_id", "correlation_id", "digest", "began_at"}
INTENT |= {"times"}
# `repaired` is another gateway's to say (see revisions.mark_repaired).
WRITTEN_LATER = tuple(field.name for field in fields(Entry) if field.name not in INTENT | {"repaired"})
# Built once: building a statement costs more than carrying it out.
UNFINISHED = entries.c.state != sa.literal_column("'finished'")  # literal, as in the index that serves it
INSERT = entries.insert()
CLAIM = {
    name: insert(entries).on_conflict_do_nothing(index_elements=["claim"])
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
UPDATE = entries.update().where(entries.c.id == sa.bindparam("which"))
HOLDERS = sa.select(entries.c.claim, entries.c.id).where(entries.c.claim.in_(sa.bindparam("claims", expanding=True)))
# The gateway that sent a write knows its outcome best: it may update the entries even if another gateway took them over.
SENT_BY_ME = sa.exists().where(
    revisions.c.tenant == entries.c.tenant,
    revisions.c.policy == entries.c.policy,
    revisions.c.number == entries.c.revision,
    revisions.c.owner == sa.bindparam("me"),
)
OURS = (
    sa.select(entries.c.id, entries.c.revision)
    .where(entries.c.id.in_(sa.bindparam("ids", expanding=True)), UNFINISHED)
    .where(sa.or_(entries.c.owner == sa.bindparam("me"), SENT_BY_ME))
    .order_by(entries.c.id)
    .with_for_update(of=entries)
)
HEAD = sa.select(chain.c.head_position, chain.c.head_hash).with_for_update()
NEW_HEAD = chain.update()


def claim(connection: sa.Connection, wanted: Sequence[Entry], me: int, living: Callable[[], Collection[int]]) -> list[Claim]:
    """Claims by the gateway `me`, in the order of `wanted`. living: called only if a claim is taken."""
    own = [replace(entry, owner=me) for entry in wanted]
    # In one order for all gateways: no deadlocks.
    connection.execute(CLAIM[connection.dialect.name], sorted(map(row_of, own), key=lambda row: row["claim"]))
    holders = dict(connection.execute(HOLDERS, {"claims": [entry.claim for entry in own]}).all())
    taken = [holders[entry.claim] for entry in own if holders.get(entry.claim, entry.id) != entry.id]
    others = {entry.id: entry for entry in _entries(connection, entries.c.id.in_(taken))} if taken else {}
    return [
        Claim("new", entry)
        if holders.get(entry.claim) == entry.id
        else _taken(connection, others.get(holders.get(entry.claim, ""), entry), entry.digest, me, living)
        for entry in own
    ]


def _taken(connection: sa.Connection, holder: Entry, digest: str, me: int, living: Callable[[], Collection[int]]) -> Claim:
    if holder.state == "finished":  # without a claim: it was let go of since we found it, and may be asked for again
        return Claim(answer_of(connection, holder) if holder.claim else "running", holder)
    abandoned = holder.state == "uncertain" or holder.owner not in living()
    if holder.digest != digest or not abandoned or not _adopt(connection, holder, me):
        return Claim("running", holder)
    return Claim("uncertain" if holder.sent is not None else "new", replace(holder, owner=me, state="running"))


def ours(connection: sa.Connection, changed: Sequence[Entry], me: int) -> dict[str, int | None]:
    """Which entries this gateway may write, each with the revision that it belongs to: new ones (owner 0), and unfinished ones
    that `me` works on or has sent. They are locked until the end of the transaction."""
    found = {entry.id: entry.revision for entry in changed if not entry.owner}
    ids = [entry.id for entry in changed if entry.owner]
    if ids:
        found |= {row.id: row.revision for row in connection.execute(OURS, {"ids": ids, "me": me})}
    return found


def write(connection: sa.Connection, changed: Sequence[Entry], ours: Mapping[str, int | None]) -> None:
    """Writes those of the entries that are `ours`. Locks the head of the chain if some of them are finished."""
    # Each once, else one that is finished twice would have two places in the chain.
    in_order = sorted((entry for entry in changed if entry.id in ours), key=lambda entry: entry.state == "finished")
    latest = {entry.id: _with_revision(entry, ours[entry.id]) for entry in in_order}
    kept = _chained(connection, list(latest.values()))
    rows = [(entry, row_of(entry)) for entry in kept]
    new = [row for entry, row in rows if not entry.owner]
    if new:
        connection.execute(INSERT, new)
    old = [{"which": entry.id} | {name: row[name] for name in WRITTEN_LATER} for entry, row in rows if entry.owner]
    if old:
        connection.execute(UPDATE, old)
    touches.insert(connection, [entry for entry in kept if entry.state == "finished"])


def _with_revision(entry: Entry, known: int | None) -> Entry:
    return entry if entry.revision is not None else replace(entry, revision=known)


def _chained(connection: sa.Connection, changed: Sequence[Entry]) -> list[Entry]:
    """Gives the finished ones their positions in the chain."""
    if not any(entry.state == "finished" for entry in changed):
        return list(changed)
    position, previous = connection.execute(HEAD).one()
    done = []
    for entry in changed:
        if entry.state == "finished":
            position += 1
            previous = link(previous, position, entry)
            done.append(replace(entry, position=position, hash=previous))
        else:
            done.append(entry)
    connection.execute(NEW_HEAD, {"head_position": position, "head_hash": previous})
    return done


def take_over(connection: sa.Connection, me: int, living: Collection[int], uncertain_before: str) -> list[Entry]:
    """Takes over unfinished entries of gateways that are not alive, and uncertain ones that ended before then."""
    dead = entries.c.owner.not_in(living)
    stale = sa.and_(entries.c.state == "uncertain", entries.c.ended_at < uncertain_before)
    found = list(_entries(connection, UNFINISHED, sa.or_(dead, stale), order=[entries.c.id]))
    return [replace(entry, owner=me, state="running") for entry in found if _adopt(connection, entry, me)]


def _adopt(connection: sa.Connection, entry: Entry, me: int) -> bool:
    """Takes over an entry. Returns whether it was still as it was read."""
    same = entries.update().where(*(entries.c[name] == getattr(entry, name) for name in ("id", "owner", "state")))
    return bool(connection.execute(same.values(owner=me, state="running")).rowcount)


def let_go(connection: sa.Connection, me: int, known: Collection[str]) -> None:
    """Releases the entries that the ledger assigns to this gateway but that are not in `known`: any gateway may take them
    over."""
    unknown = sa.and_(entries.c.owner == me, entries.c.state == "running", entries.c.id.not_in(known))
    connection.execute(entries.update().where(unknown).values(owner=0))


def new_owner(connection: sa.Connection) -> int:
    """A number for a gateway that opens the ledger."""
    return int(connection.scalars(chain.update().values(owners=chain.c.owners + 1).returning(chain.c.owners)).one())


def touch(connection: sa.Connection) -> None:
    """Writes something without effect, to fail if nothing can be written."""
    connection.execute(chain.update().values(owners=chain.c.owners))


def secret(connection: sa.Connection) -> bytes:
    """The secret that the gateways of this ledger share and never show."""
    return bytes(connection.scalars(sa.select(chain.c.secret)).one())


def ends(connection: sa.Connection) -> Ends:
    row = connection.execute(sa.select(chain)).one()
    return Ends((row.tail_position, row.tail_hash), (row.head_position, row.head_hash))


def chained(connection: sa.Connection) -> Iterator[Entry]:
    """What chain.verify looks at: whatever is finished or has a position, those without one first."""
    position = entries.c.position
    astray = _entries(connection, entries.c.state == sa.literal_column("'finished'"), position.is_(None), order=[entries.c.id])
    return itertools.chain(astray, _entries(connection, position.is_not(None), order=[position]))


def find(connection: sa.Connection, query: Query) -> Iterator[Entry]:
    """See ledger.Query and ledger.LedgerReader."""
    equal = ("caller", "tenant", "policy", "operation", "outcome", "request_id", "client_request_id", "graph_request_id")
    ids = ("id", "request_id", "correlation_id", "client_request_id", "graph_request_id", "assignment")
    column = entries.c
    where: list[sa.ColumnElement[bool]] = [column[name] == getattr(query, name) for name in equal if getattr(query, name)]
    if query.any_id:
        where.append(sa.or_(*(column[name] == query.any_id for name in ids)))
    if query.target:
        where.append(sa.or_(*(column[name].icontains(query.target, autoescape=True) for name in ("target", "assignment"))))
    if query.touched or query.how:
        where.append(column.position.in_(touches.positions_of(query.touched, query.how)))
    if query.since:
        where.append(column.began_at >= query.since)
    if query.until:
        where.append(column.began_at < query.until)
    if query.after is not None:
        return _entries(connection, *where, column.position > query.after, order=[column.position])
    if query.newest is None:
        return _entries(connection, *where, order=[column.began_at, column.id])
    newest = _entries(connection, *where, order=[column.began_at.desc(), column.id.desc()], limit=query.newest)
    return reversed(list(newest))


def _entries(
    connection: sa.Connection, *where: sa.ColumnElement[bool], order: Sequence[Any] = (), limit: int | None = None
) -> Iterator[Entry]:
    statement = sa.select(entries).where(*where).order_by(*order).limit(limit).execution_options(yield_per=500)
    rows = connection.execute(statement)
    return (entry_of(row) for row in rows.mappings())
