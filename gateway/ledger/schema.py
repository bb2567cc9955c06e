"""The tables as they are now. A change here needs a step in migrations/versions; a test compares the two."""

from functools import cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gateway.ledger.ledger import LedgerError

metadata = sa.MetaData()
# In this order: entries do not say in which set their policy is, so their revision is found without it.
POLICY = ("tenant", "policy", "set")


class Blob(sa.LargeBinary):
    """Bytes. SQLite takes text in such a column too, which is for who checks an entry to find, so it is read as it is."""

    def result_processor(self, dialect: object, coltype: object) -> None:
        """None is needed: the drivers give bytes for bytes."""


# Text in the order of its bytes, so that an index finds what begins with something.
SortedText = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _partial_index(name: str, where: str, *columns: str) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


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
    *(sa.Column(name, Blob) for name in ("request", "sent", "answer")),
    sa.Column("position", sa.BigInteger, unique=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("correlation_id", sa.Text, nullable=False, server_default=""),
    *(sa.Index(f"entries_{name}", name) for name in ("began_at", "request_id", "client_request_id", "graph_request_id")),
    sa.Index("entries_correlation_id", "correlation_id"),
    sa.Index("entries_policy", "policy", "began_at"),
    sa.Column("revision", sa.Integer),
    sa.Column("foreign_changes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("repaired", sa.Text, nullable=False, server_default=""),
    sa.Column("answer_digest", sa.Text, nullable=False, server_default=""),
    *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in ("changes_digest", "etag_before", "etag")),
    sa.Column("changes", Blob),
    _partial_index("entries_unfinished", "state <> 'finished'", "state"),
    # Its condition is statements.ANSWERED: expiry reads what is old and no more.
    _partial_index("entries_answered", "state = 'finished' AND claim IS NOT NULL", "ended_at"),
    _partial_index("entries_revision", "revision IS NOT NULL", "tenant", "policy", "revision"),
)

# Whom the finished entries touched, to find them by (see changes.Name): what `entries.changes` says, and of entries of versions
# that had none, what they were asked to touch. position: of the entry; place: of the change in it. how: empty where not known.
touches = sa.Table(
    "touches",
    metadata,
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, SortedText, nullable=False) for name in ("kind", "name", "how")),
    sa.Index("touches_kind", "kind", "position"),
    sa.Index("touches_name", "name", "position"),
    sqlite_with_rowid=False,
)

# One row for each policy that was ever written. Gateways that work on the policy's revisions lock this row. looked_at: when the
# policy last had its turn in the sweep (see ledger.Rota), in seconds since 1970.
leases = sa.Table(
    "leases",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in POLICY),
    sa.Column("owner", sa.Integer, nullable=False),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    sa.Column("numbers", sa.Integer, nullable=False),
    sa.Column("looked_at", sa.Double, nullable=False, server_default="0"),
    sa.Index("leases_looked_at", "tenant", "looked_at"),
)

# What each replica has of each tenant's quota (see shares). beat: changes each time that it says so. stake: JSON.
shares = sa.Table(
    "shares",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "window")),
    sa.Column("owner", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("beat", sa.BigInteger, nullable=False),
    sa.Column("stake", sa.Text, nullable=False),
)

# Sets of rows, packed: each once, by its SHA-256. Revisions refer to them; what none refers to goes (see expiry).
contents = sa.Table(
    "contents",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("body", Blob, nullable=False),
)

# Moments are seconds since 1970 by the database's clock. base: the digest of its content.
revisions = sa.Table(
    "revisions",
    metadata,
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
    sa.Column("base", sa.LargeBinary),
    *(sa.Column(name, sa.Text, nullable=False, server_default="") for name in ("etag_before", "etag_after")),
    _partial_index("revisions_unsettled", "state NOT IN ('settled', 'void')", *POLICY, "number"),
    _partial_index("revisions_settled", "state = 'settled'", "written_at"),
    _partial_index("revisions_void", "state = 'void'", "written_at"),
    _partial_index("revisions_base", "base IS NOT NULL", "base"),
)

# One row: the ends of the chain (see ledger.Ends), how many gateways ever opened the ledger, and what they
# share and tell nobody.
chain = sa.Table(
    "chain",
    metadata,
    sa.Column("tail_position", sa.BigInteger, nullable=False),
    sa.Column("tail_hash", sa.Text, nullable=False),
    sa.Column("head_position", sa.BigInteger, nullable=False),
    sa.Column("head_hash", sa.Text, nullable=False),
    sa.Column("owners", sa.Integer, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False, server_default=""),
)

NEWER = "was written by a newer version of the gateway, which alone can read it"
MIGRATIONS = Path(__file__).with_name("migrations")


def is_current(connection: sa.Connection) -> bool:
    """Whether the tables are of the newest version; it reads one row."""
    return _versions(connection) == {steps()[0]}


def check_readable(connection: sa.Connection) -> None:
    """Raises LedgerError where a newer gateway wrote it."""
    if not _versions(connection) <= {*steps()}:
        raise LedgerError(NEWER)


def migrate(connection: sa.Connection, *more_versions: Path) -> None:
    """Brings the tables to the newest version; may take minutes. more_versions: folders with further steps. Raises
    LedgerError."""
    from alembic import command  # noqa: PLC0415 - 10 MB, of which a ledger that is up to date needs nothing
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.upgrade(_config(connection, *more_versions), "head")
    except CommandError as exc:
        raise LedgerError(NEWER) from exc


@cache
def steps() -> tuple[str, ...]:
    """Of the migration, newest first: how their files' names begin."""
    return tuple(sorted((path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")), reverse=True))


def _versions(connection: sa.Connection) -> set[str]:
    """The step that the tables are at, as Alembic wrote it down; none where there are no tables."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))


def _config(connection: sa.Connection, *more_versions: Path) -> Any:
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(str, (MIGRATIONS / "versions", *more_versions))))
    return config
