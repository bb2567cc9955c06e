"""The caller's own client-request-id."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("entries", sa.Column("correlation_id", sa.Text, nullable=False, server_default=""))
    op.create_index("entries_correlation_id", "entries", ["correlation_id"])
