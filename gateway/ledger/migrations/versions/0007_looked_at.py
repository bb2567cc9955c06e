"""When each policy was last looked at for drift. Additive."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("leases", sa.Column("looked_at", sa.Double, nullable=False, server_default="0"))
    op.create_index("leases_looked_at", "leases", ["tenant", "looked_at"])
