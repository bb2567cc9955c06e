"""The tables as they are now. A change here needs a step in migrations/versions; a test compares the two."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from gateway.ledger.ledger import LedgerError

metadata = sa.MetaData()

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("caller", "tenant", "operation", "policy", "target")),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("request_id", "digest", "began_at", "ended_at")),
    sa.Column("duration_us", sa.BigInteger, nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("outcome", "route", "client_request_id", "graph_request_id")),
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
    sa.Column("correlation_id", sa.Text, nullable=False, server_default=""),
    *(sa.Index(f"entries_{name}", name) for name in ("began_at", "request_id", "client_request_id", "graph_request_id")),
    sa.Index("entries_correlation_id", "correlation_id"),
    sa.Index("entries_policy", "policy", "began_at"),
    sa.Index(
        "entries_unfinished",
        "state",
        sqlite_where=sa.text("state <> 'finished'"),
        postgresql_where=sa.text("state <> 'finished'"),
    ),
)

# One row: the ends of the chain (see ledger.Ends), and how many gateways ever opened the ledger.
chain = sa.Table(
    "chain",
    metadata,
    sa.Column("tail_position", sa.BigInteger, nullable=False),
    sa.Column("tail_hash", sa.Text, nullable=False),
    sa.Column("head_position", sa.BigInteger, nullable=False),
    sa.Column("head_hash", sa.Text, nullable=False),
    sa.Column("owners", sa.Integer, nullable=False),
)

MIGRATIONS = Path(__file__).with_name("migrations")


def migrate(connection: sa.Connection, *more_versions: Path) -> None:
    """Brings the tables to the newest version. more_versions: folders with further steps. Raises LedgerError."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, (MIGRATIONS / "versions", *more_versions))))
    try:
        command.upgrade(config, "head")
    except CommandError as exc:
        raise LedgerError("was written by a newer version of the gateway, which alone can read it") from exc
