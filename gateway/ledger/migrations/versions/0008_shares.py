"""How replicas divide the quota. Additive."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "shares",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "window")),
        sa.Column("owner", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("stake", sa.Text, nullable=False),
    )
