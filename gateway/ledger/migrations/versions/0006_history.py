"""What writes did to rows, and the sets before them. Additive, but that settled and void revisions have an index each.

Entries of earlier versions do not say what they did. They are found by what they were asked to touch, if it was carried out.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

AT_ONCE = 1_000
# What others did is not known: an update may have moved a row, a replacement may have left one as it was.
HOW = {"CreateComplianceAssignment": "added"}


def upgrade() -> None:
    for name in ("changes_digest", "etag_before", "etag"):
        op.add_column("entries", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("entries", sa.Column("changes", sa.LargeBinary))
    op.create_table(
        "contents",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.add_column("revisions", sa.Column("base", sa.LargeBinary))
    for name in ("etag_before", "etag_after"):
        op.add_column("revisions", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.drop_index("revisions_settled", "revisions")
    partial_index("revisions_settled", "revisions", "state = 'settled'", "written_at")
    partial_index("revisions_void", "revisions", "state = 'void'", "written_at")
    partial_index("revisions_base", "revisions", "base IS NOT NULL", "base")
    in_order = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    touches = op.create_table(
        "touches",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, in_order, nullable=False) for name in ("kind", "name", "how")),
        sqlite_with_rowid=False,
    )
    fill(touches)
    op.create_index("touches_kind", "touches", ["kind", "position"])
    op.create_index("touches_name", "touches", ["name", "position"])


def fill(touches: sa.Table) -> None:
    """By position, some at a time: a reader and a writer at once would be one too many for SQLite's driver."""
    names = ("position", "operation", "target", "outcome")
    entries = sa.table("entries", *map(sa.column, names))
    these = sa.select(entries).where(entries.c.position > sa.bindparam("after")).order_by(entries.c.position).limit(AT_ONCE)
    after = 0
    while found := op.get_bind().execute(these, {"after": after}).all():
        after = found[-1].position
        op.bulk_insert(touches, [touch for entry in found for touch in touched_by(entry)])


def touched_by(entry: Any) -> Iterator[dict[str, Any]]:
    carried_out = entry.outcome == "OK" and entry.operation.endswith(("Assignment", "Assignments"))
    targets = entry.target.split(", ") if carried_out and entry.target else []
    for place, target in enumerate(targets):
        kind, _, name = target.lower().partition(" ")
        how = HOW.get(entry.operation, "")
        yield {"position": entry.position, "place": place, "kind": kind, "name": name.removeprefix("#"), "how": how}


def partial_index(name: str, table: str, where: str, *columns: str) -> None:
    op.create_index(name, table, list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where))
