"""What the gateways have to remember of a policy, and which of them may write it. Additive."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

POLICY = ("tenant", "policy", "set")


def upgrade() -> None:
    op.add_column("entries", sa.Column("revision", sa.Integer))
    op.add_column("entries", sa.Column("foreign_changes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("entries", sa.Column("repaired", sa.Text, nullable=False, server_default=""))
    partial_index("entries_answered", "entries", "state = 'finished' AND claim IS NOT NULL", "ended_at")
    partial_index("entries_revision", "entries", "revision IS NOT NULL", "tenant", "policy", "revision")
    op.create_table(
        "leases",
        *(sa.Column(name, sa.Text, primary_key=True) for name in POLICY),
        sa.Column("owner", sa.Integer, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("until", sa.Double, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("numbers", sa.Integer, nullable=False),
    )
    op.create_table(
        "revisions",
        *(sa.Column(name, sa.Text, primary_key=True) for name in POLICY),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "route", "client_request_id")),
        sa.Column("touched", sa.LargeBinary, nullable=False),
        sa.Column("sent", sa.LargeBinary),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("acked_at", "landed_at")),
    )
    partial_index("revisions_unsettled", "revisions", "state NOT IN ('settled', 'void')", *POLICY, "number")
    partial_index("revisions_settled", "revisions", "state IN ('settled', 'void')", "written_at")


def partial_index(name: str, table: str, where: str, *columns: str) -> None:
    op.create_index(name, table, list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where))
