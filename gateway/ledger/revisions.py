"""SQL for leases and revisions. Each function runs inside the caller's transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger import contents
from gateway.ledger.evidence import OVER
from gateway.ledger.leases import Lease, queue_from, queue_text
from gateway.ledger.packing import packed, unpacked
from gateway.ledger.schema import contents as content_table
from gateway.ledger.schema import entries, leases, revisions
from gateway.revision import Change, PolicyName, Revision

UNSETTLED = sa.text("revisions.state NOT IN ('settled', 'void')")  # as in the index that serves it


def _named(table: sa.Table) -> list[sa.Column[Any]]:
    return [table.c[name] for name in PolicyName._fields]


def _which(table: sa.Table) -> list[sa.ColumnElement[bool]]:
    return [column == sa.bindparam(f"in_{column.name}") for column in _named(table)]


def _where(policy: PolicyName) -> dict[str, str]:
    return {f"in_{name}": value for name, value in policy._asdict().items()}


THESE: sa.BindParameter[Any] = sa.bindparam("policies", expanding=True)
LOCKED = sa.select(leases).where(sa.tuple_(*_named(leases)).in_(THESE)).order_by(*_named(leases)).with_for_update()
NEW_LEASE = {
    name: insert(leases).on_conflict_do_nothing()
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
GIVEN = sa.select(
    sa.func.max(revisions.c.number).label("number"), sa.func.max(revisions.c.generation).label("generation")
).where(*_which(revisions))
# Skips locked rows: it takes its locks out of the common order, so waiting for one could be a deadlock.
IS_DUE = (
    sa.select(*_named(leases))
    .where(leases.c.tenant == sa.bindparam("in_tenant"), leases.c.numbers > 0, leases.c.looked_at <= sa.bindparam("before"))
    .order_by(leases.c.looked_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
DUE = (
    leases.update()
    .where(sa.tuple_(*_named(leases)).in_(IS_DUE))
    .values(looked_at=sa.bindparam("at"))
    .returning(*_named(leases))
)
SAVE_LEASE = leases.update().where(*_which(leases))
BODIED = ("touched", "sent", "base")
HEAD = sa.select(*(column for column in revisions.c if column.name not in BODIED))
HEADS = HEAD.where(UNSETTLED, sa.tuple_(*_named(revisions)).in_(THESE)).order_by(revisions.c.number)
BODIES = sa.select(revisions.c.number, revisions.c.touched, revisions.c.sent).where(
    UNSETTLED, *_which(revisions), revisions.c.number > sa.bindparam("after")
)
INSERT = revisions.insert()
COLUMNS = tuple(column.name for column in revisions.c)
NUMBERED: sa.BindParameter[Any] = sa.bindparam("which")
ONE = (
    HEAD.add_columns(revisions.c.base.label("digest"), content_table.c.body)
    .outerjoin(content_table, revisions.c.base == content_table.c.digest)
    .where(*_which(revisions), revisions.c.number == NUMBERED)
)
CHANGE = (
    revisions.update()
    .where(*_which(revisions), revisions.c.number == NUMBERED)
    .values(
        state=sa.bindparam("becomes"),
        acked_at=sa.func.coalesce(revisions.c.acked_at, sa.bindparam("acked", type_=sa.Double)),
        landed_at=sa.func.coalesce(revisions.c.landed_at, sa.bindparam("landed", type_=sa.Double)),
        touched=sa.func.coalesce(sa.bindparam("touches", type_=sa.LargeBinary), revisions.c.touched),
        etag_after=sa.func.coalesce(sa.bindparam("etag", type_=sa.Text), revisions.c.etag_after),
        sent=sa.case((sa.bindparam("over", type_=sa.Boolean), sa.null()), else_=revisions.c.sent),
    )
)
# Without the set: see schema.POLICY.
REPAIRED = (
    entries.update()
    .where(entries.c.tenant == sa.bindparam("in_tenant"), entries.c.policy == sa.bindparam("in_policy"))
    .where(entries.c.revision == NUMBERED, entries.c.repaired == "")
    .values(repaired=sa.bindparam("at"))
)


def locked(connection: sa.Connection, policies: Collection[PolicyName]) -> dict[PolicyName, Lease]:
    """The leases of the policies, new ones if there were none. They are locked until the end of the transaction, in the same
    order by all gateways: nobody else changes them or the policies' revisions meanwhile."""
    found = _lock(connection, policies)
    while missing := sorted(set(policies) - found.keys()):  # again, where somebody takes away the row that was in our way
        new = {policy: _first_lease(connection, policy) for policy in missing}
        connection.execute(
            NEW_LEASE[connection.dialect.name], [policy._asdict() | _lease_row(lease) for policy, lease in new.items()]
        )
        found |= _lock(connection, missing)
    return found


def _first_lease(connection: sa.Connection, policy: PolicyName) -> Lease:
    """Of a policy that was never written; or whose lease is gone, which gives no number and no generation twice."""
    given = connection.execute(GIVEN, _where(policy)).one()
    return Lease(generation=given.generation or 0, numbers=given.number or 0)


def _lock(connection: sa.Connection, policies: Collection[PolicyName]) -> dict[PolicyName, Lease]:
    rows = connection.execute(LOCKED, {"policies": [tuple(policy) for policy in policies]})
    return {
        PolicyName(row.tenant, row.set, row.policy): Lease(
            row.owner, row.generation, row.until, queue_from(row.queue), row.numbers
        )
        for row in rows
    }


def _lease_row(lease: Lease) -> dict[str, Any]:
    return vars(lease) | {"queue": queue_text(lease)}


def save(connection: sa.Connection, changed: Mapping[PolicyName, Lease]) -> None:
    """Leases that are locked."""
    if changed:
        connection.execute(SAVE_LEASE, [_where(policy) | _lease_row(lease) for policy, lease in changed.items()])


def due(connection: sa.Connection, tenant: str, every_s: float, now: float) -> PolicyName | None:
    """See ledger.Rota."""
    row = connection.execute(DUE, {"in_tenant": tenant, "before": now - every_s, "at": now}).one_or_none()
    return PolicyName(*row) if row is not None else None


def heads(connection: sa.Connection, policies: Collection[PolicyName], now: float) -> dict[PolicyName, dict[int, Revision]]:
    """The unsettled revisions by number, without `touched`, `sent` and `base`."""
    found: dict[PolicyName, dict[int, Revision]] = defaultdict(dict)
    if not policies:
        return found
    for row in connection.execute(HEADS, {"policies": [tuple(policy) for policy in policies]}).mappings():
        found[PolicyName(*(row[name] for name in PolicyName._fields))][row["number"]] = _head(row, now)
    return found


def one(connection: sa.Connection, policy: PolicyName, number: int, now: float) -> Revision | None:
    """As in `heads`, a settled one too, and with `base`."""
    row = connection.execute(ONE, _where(policy) | {"which": number}).mappings().one_or_none()
    if row is None:
        return None
    facts = dict(row)
    base = contents.content_of(facts.pop("digest"), facts.pop("body"))
    return replace(_head(facts, now), base=base)


def _head(row: Mapping[Any, Any], now: float) -> Revision:
    values = {name: value for name, value in row.items() if name not in PolicyName._fields}
    moments = {f"{name}_s": values.pop(f"{name}_at") for name in ("written", "acked", "landed")}
    ago: dict[str, Any] = {name: None if at is None else max(0.0, now - at) for name, at in moments.items()}
    return Revision(**values, **ago)


def with_bodies(connection: sa.Connection, policy: PolicyName, found: Sequence[Revision], after: int) -> tuple[Revision, ...]:
    """Revisions with what `heads` leaves out, where they are numbered above `after`."""
    if not any(revision.number > after for revision in found):
        return tuple(found)
    bodies = {row.number: row for row in connection.execute(BODIES, _where(policy) | {"after": after})}
    return tuple(
        replace(revision, touched=body.touched, sent=unpacked(body.sent)) if (body := bodies.get(revision.number)) else revision
        for revision in found
    )


def insert(connection: sa.Connection, written: Sequence[tuple[PolicyName, Revision]], now: float) -> None:
    """New ones, under their numbers."""
    if written:
        bases = contents.keep(connection, {revision.base for _, revision in written if revision.base is not None})
        connection.execute(INSERT, [_revision_row(policy, revision, now, bases) for policy, revision in written])


def _revision_row(policy: PolicyName, revision: Revision, now: float, bases: Mapping[bytes, bytes]) -> dict[str, Any]:
    """bases: their digests."""
    happened = {"acked_at": revision.acked_s, "landed_at": revision.landed_s}
    moments = {name: now - ago if ago is not None else None for name, ago in happened.items()}
    row = policy._asdict() | vars(revision) | moments | {"written_at": now}
    row["sent"] = packed(revision.sent) if revision.sent is not None else None
    row["base"] = bases[revision.base] if revision.base is not None else None
    return {name: row[name] for name in COLUMNS}


def change(connection: sa.Connection, changes: Sequence[tuple[PolicyName, Change]], now: float) -> None:
    """Carries out changes that may be made (see evidence)."""
    rows: list[dict[str, Any]] = [
        _where(policy)
        | {"which": made.number, "becomes": made.state}
        | {"acked": now if made.acked else None, "landed": now if made.landed else None}
        | {"touches": made.touched, "etag": made.etag or None, "over": made.state in OVER}
        for policy, made in changes
    ]
    if rows:
        connection.execute(CHANGE, rows)


def mark_repaired(connection: sa.Connection, repaired: Sequence[tuple[PolicyName, int]], at: str) -> None:
    """Marks the entries of these revisions as repaired, if they are not yet."""
    rows = [{"in_tenant": policy.tenant, "in_policy": policy.policy, "which": number, "at": at} for policy, number in repaired]
    if rows:
        connection.execute(REPAIRED, rows)


def unwatched(connection: sa.Connection, living: Collection[int]) -> list[PolicyName]:
    """See ledger.Store."""
    number = revisions.c.number
    ours = sa.func.max(sa.case((revisions.c.kind != "foreign", number)))
    newest = (
        sa.select(*_named(revisions), sa.func.coalesce(ours, sa.func.max(number))).where(UNSETTLED).group_by(*_named(revisions))
    )
    found = sa.select(*_named(revisions)).where(
        UNSETTLED, sa.tuple_(*_named(revisions), number).in_(newest), revisions.c.owner.not_in(living)
    )
    return [PolicyName(*row) for row in connection.execute(found)]
