"""A random key that all gateways of this ledger share. Additive."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("chain", sa.Column("secret", sa.LargeBinary, nullable=False, server_default=""))
    op.execute(sa.table("chain", sa.column("secret", sa.LargeBinary)).update().values(secret=secrets.token_bytes(32)))
