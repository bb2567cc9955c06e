"""The entries and the ends of their chain."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXTS = ("caller", "tenant", "operation", "policy", "target", "request_id", "digest", "began_at", "ended_at")
GRAPH_TEXTS = ("outcome", "route", "client_request_id", "graph_request_id")


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in TEXTS),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in GRAPH_TEXTS),
        sa.Column("graph_status", sa.Integer),
        sa.Column("assignment", sa.Text, nullable=False),
        sa.Column("shared_by", sa.Integer, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("owner", sa.Integer, nullable=False),
        sa.Column("claim", sa.Text, unique=True),
        *(sa.Column(name, sa.LargeBinary) for name in ("request", "sent", "answer")),
        sa.Column("position", sa.BigInteger, unique=True),
        sa.Column("hash", sa.Text, nullable=False),
    )
    for name in ("began_at", "request_id", "client_request_id", "graph_request_id"):
        op.create_index(f"entries_{name}", "entries", [name])
    op.create_index("entries_policy", "entries", ["policy", "began_at"])
    unfinished = sa.text("state <> 'finished'")
    op.create_index("entries_unfinished", "entries", ["state"], sqlite_where=unfinished, postgresql_where=unfinished)
    chain = op.create_table(
        "chain",
        sa.Column("tail_position", sa.BigInteger, nullable=False),
        sa.Column("tail_hash", sa.Text, nullable=False),
        sa.Column("head_position", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.Text, nullable=False),
        sa.Column("owners", sa.Integer, nullable=False),
    )
    start = "0" * 64
    op.bulk_insert(chain, [{"tail_position": 0, "tail_hash": start, "head_position": 0, "head_hash": start, "owners": 0}])
