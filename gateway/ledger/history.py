"""SQL for revisions as history: those that took effect, or may have. Each function runs inside the caller's transaction, and
finds the policy by an index."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from gateway.entry import Entry
from gateway.ledger.contents import content_of
from gateway.ledger.packing import BODIES, entry_of
from gateway.ledger.schema import contents, entries, leases, revisions
from gateway.revision import Kept, PolicyName

AT_ONCE = 100
MOST_NAMED = 20
# Of an id, the beginning that is enough.
SHORTEST = 4
LAST = "\U0010ffff"
FACTS = ("number", "kind", "route", "client_request_id", "state", "touched", "etag_before", "etag_after", "written_at")
COLUMN = revisions.c
COUNTS = sa.and_(COLUMN.state != "void", sa.or_(COLUMN.acked_at.is_not(None), COLUMN.landed_at.is_not(None)))
NAME = [COLUMN[name] for name in PolicyName._fields]
SOME = sa.select(*NAME, *(COLUMN[name] for name in FACTS)).where(COUNTS)
WHOLE = SOME.add_columns(COLUMN.base, contents.c.body).outerjoin(contents, COLUMN.base == contents.c.digest)
WITHOUT_BODIES = sa.select(*(column for column in entries.c if column.name not in BODIES))


def newest(connection: sa.Connection, policy: PolicyName, after: int, now: float) -> Kept | None:
    """The last one above a number, with its base and without its entries."""
    statement = WHOLE.where(*of(policy), COLUMN.number > after).order_by(COLUMN.number.desc()).limit(1)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _kept(row, now)


def one(connection: sa.Connection, policy: PolicyName, number: int, now: float, *, whole: bool) -> Kept | None:
    """The one with this number."""
    row = connection.execute((WHOLE if whole else SOME).where(*of(policy), COLUMN.number == number)).mappings().one_or_none()
    return None if row is None else next(_with_entries(connection, [_kept(row, now)]))


def some(
    connection: sa.Connection,
    which: Sequence[sa.ColumnElement[bool]],
    now: float,
    below: int | None = None,
    most: int | None = None,
    kinds: Collection[str] = (),
    since: float | None = None,
    until: float | None = None,
) -> Iterator[Kept]:
    """Newest first. which: of which policies (see `of`, `like`). For the rest see ledger.History."""
    where = [*which]
    where += [COLUMN.number < below] if below is not None else []
    where += [COLUMN.kind.in_(kinds)] if kinds else []
    where += [COLUMN.written_at >= since] if since is not None else []
    where += [COLUMN.written_at < until] if until is not None else []
    order = (
        [COLUMN.number.desc()] if len(which) == len(PolicyName._fields) else [COLUMN.written_at.desc(), COLUMN.number.desc()]
    )
    rows = connection.execute(SOME.where(*where).order_by(*order).limit(most).execution_options(yield_per=AT_ONCE))
    for found in rows.mappings().partitions(AT_ONCE):
        yield from _with_entries(connection, [_kept(row, now) for row in found])


def at(connection: sa.Connection, policy: PolicyName, moment: float) -> int | None:
    """The number of the last one that was written down then or before."""
    return connection.scalar(
        sa.select(COLUMN.number).where(COUNTS, *of(policy), COLUMN.written_at <= moment).order_by(COLUMN.number.desc()).limit(1)
    )


def first(connection: sa.Connection, policy: PolicyName) -> int | None:
    """See ledger.History."""
    oldest = connection.scalar(sa.select(COLUMN.number).where(*of(policy)).order_by(COLUMN.number).limit(1))
    if oldest is not None:
        return int(oldest)
    given = connection.scalar(sa.select(leases.c.numbers).where(*(leases.c[name] == v for name, v in policy._asdict().items())))
    return given + 1 if given else None


def entry(connection: sa.Connection, tenant: str, policy: str, entry_id: str) -> Entry | None:
    """By its whole id."""
    which = {"id": entry_id, "tenant": tenant, "policy": policy}
    return next(_entries(connection, *(entries.c[name] == value for name, value in which.items())), None)


def policies_named(connection: sa.Connection, beginning: str, tenant: str) -> list[PolicyName]:
    """See ledger.HistoryReader."""
    name, column = [leases.c[name] for name in PolicyName._fields], leases.c.policy
    begins = column.startswith(beginning, autoescape=True) if len(beginning) >= SHORTEST else column == beginning
    where = [begins, leases.c.numbers > 0, *([leases.c.tenant == tenant] if tenant else [])]
    return [PolicyName(*row) for row in connection.execute(sa.select(*name).where(*where).order_by(*name).limit(MOST_NAMED))]


def entries_named(connection: sa.Connection, beginning: str) -> list[Entry]:
    """Those whose id is this, else those whose id begins so."""
    found = list(_entries(connection, entries.c.id == beginning))
    if found or len(beginning) < SHORTEST:
        return found
    # The order of SQLite's index is that of bytes; in PostgreSQL it is anyone's, and the table is read.
    by_bytes = sa.and_(entries.c.id >= beginning, entries.c.id < beginning + LAST)
    begins = by_bytes if connection.dialect.name == "sqlite" else entries.c.id.startswith(beginning, autoescape=True)
    return list(_entries(connection, begins, most=MOST_NAMED))


def of(policy: PolicyName) -> list[sa.ColumnElement[bool]]:
    """This policy."""
    return [COLUMN[name] == value for name, value in policy._asdict().items()]


def like(policy: PolicyName) -> list[sa.ColumnElement[bool]]:
    """Those with what is said of the name; what is empty says nothing."""
    return [COLUMN[name] == value for name, value in policy._asdict().items() if value]


def _kept(row: Mapping[Any, Any], now: float) -> Kept:
    policy = PolicyName(*(row[name] for name in PolicyName._fields))
    base = content_of(row["base"], row["body"]) if row.get("base") is not None else None
    return Kept(policy=policy, age_s=max(0.0, now - row["written_at"]), base=base, **{name: row[name] for name in FACTS})


def _with_entries(connection: sa.Connection, kept: Sequence[Kept]) -> Iterator[Kept]:
    by_policy = defaultdict(list)
    for one in kept:
        by_policy[one.policy].append(one.number)
    found = defaultdict(list)
    for policy, numbers in by_policy.items():  # entries do not say in which set their policy is
        of_policy = (entries.c.tenant == policy.tenant, entries.c.policy == policy.policy)
        for entry in _entries(connection, *of_policy, entries.c.revision.in_(numbers)):
            found[policy, entry.revision].append(entry)
    for one in kept:
        of_it = tuple(found[one.policy, one.number])
        yield replace(one, entries=of_it, repaired=max((entry.repaired for entry in of_it), default=""))


def _entries(connection: sa.Connection, *where: sa.ColumnElement[bool], most: int | None = None) -> Iterator[Entry]:
    statement = WITHOUT_BODIES.where(*where).order_by(entries.c.began_at, entries.c.id).limit(most)
    return (entry_of(row) for row in connection.execute(statement).mappings())
