"""The differences between SQLite and PostgreSQL: how to connect, who may open the ledger, and which gateways are alive."""

import contextlib
import os
import socket
import time
from collections.abc import Collection
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol

import filelock
import sqlalchemy as sa

from gateway.ledger.ledger import LedgerError

WAIT_S = 3
# The first key of the advisory locks that gateways hold while they live; the second is their number.
LIVING = 0x6C656467
ALONE = 0x6C656468
SHARES = 0x6C656469
# Whoever asks sees within half a minute that the server's machine is gone.
PATIENCE = {
    "connect_timeout": WAIT_S,
    "tcp_user_timeout": WAIT_S * 1000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
READER = {**PATIENCE, "application_name": "compliance-gateway audit"}
WRITER = {
    **PATIENCE,
    "application_name": "compliance-gateway",
    # The server notices within half a minute that a machine is gone; no statement of the ledger takes seconds. The connection
    # of a gateway that is paused within a transaction is closed before the others, which wait for its locks, time out.
    "options": f"-c statement_timeout={WAIT_S}s -c lock_timeout={WAIT_S}s -c idle_in_transaction_session_timeout={WAIT_S - 1}s"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}


class DownError(Exception):
    """The ledger cannot be written to now; the message says why, and has nothing of what was to be written."""


class Database(Protocol):
    """writer, reader: connect anew each time, without a pool. is_shared: whether several gateways may use it at a time."""

    writer: sa.Engine
    reader: sa.Engine
    is_shared: bool

    def occupy(self) -> None:
        """Makes sure that this gateway may use it. Raises LedgerError."""
        ...

    def is_there(self) -> bool:
        """False: not yet, and it can be made. Raises LedgerError where it cannot."""
        ...

    def alone(self, connection: sa.Connection) -> None:
        """For the rest of the transaction no other gateway can be here."""
        ...

    def lock_shares(self, connection: sa.Connection) -> None:
        """For the rest of the transaction no other gateway sees or changes shares of the quota."""
        ...

    def take_time(self, connection: sa.Connection) -> None:
        """For the rest of the transaction statements may take as long as they need."""
        ...

    def hurry(self, connection: sa.Connection) -> None:
        """For the rest of a reader's transaction statements may take no longer than a writer's."""
        ...

    def announce(self, connection: sa.Connection, me: int) -> None:
        """From now on, and while the connection lives, gateway number `me` counts as alive. Raises DownError."""
        ...

    def living(self, connection: sa.Connection, me: int) -> Collection[int]:
        """The numbers of the gateways that are alive."""
        ...

    def now(self, connection: sa.Connection) -> float:
        """Seconds since 1970, by the one clock that all gateways of the ledger share."""
        ...

    def interrupt(self, driver_connection: Any) -> None:
        """Ends what another thread waits for on this connection, if anything."""
        ...

    def leave(self) -> None:
        """Undoes `occupy`."""
        ...


class Sqlite:
    """A file, for one gateway at a time: a lock file beside it, which the system frees when the process ends, ensures that."""

    is_shared = False

    def __init__(self, url: sa.URL) -> None:
        self._path = Path(url.database or "")
        self._lock = filelock.FileLock(f"{self._path}.lock", blocking=False, mode=0o600, thread_local=False)
        self.writer, self.reader = (
            sa.create_engine(
                url.set(database=f"file:{self._path}", query={"mode": "rw", "uri": "true"}),
                poolclass=sa.NullPool,
                connect_args={"timeout": WAIT_S, "check_same_thread": False},
            )
            for _ in range(2)
        )
        sa.event.listen(self.writer, "connect", self._full_sync)
        for engine, begin in ((self.writer, "BEGIN IMMEDIATE"), (self.reader, "BEGIN")):
            sa.event.listen(engine, "connect", self._no_transactions_of_the_driver)
            # Not the event "begin": while it has a listener, each statement looks for listeners, 70 us in a transaction.
            engine.dialect.do_begin = methodcaller("execute", begin)  # type: ignore[assignment]

    def occupy(self) -> None:
        try:
            self._lock.acquire()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        except filelock.Timeout:
            raise LedgerError("is in use by another gateway; several replicas need PostgreSQL") from None
        except OSError as exc:
            raise LedgerError(f"cannot be opened: {exc.strerror}") from exc

    def is_there(self) -> bool:
        place = self._path if self._path.exists() else self._path.parent
        if not os.access(place, os.R_OK | os.W_OK):
            raise LedgerError(f"cannot be opened: {place} is not there, or may not be written to")
        return place is self._path

    def alone(self, connection: sa.Connection) -> None:
        pass  # BEGIN IMMEDIATE

    def lock_shares(self, connection: sa.Connection) -> None:
        pass

    def take_time(self, connection: sa.Connection) -> None:
        pass

    def hurry(self, connection: sa.Connection) -> None:
        pass

    def announce(self, connection: sa.Connection, me: int) -> None:
        pass

    def living(self, connection: sa.Connection, me: int) -> Collection[int]:  # noqa: ARG002
        return (me,)

    def now(self, connection: sa.Connection) -> float:  # noqa: ARG002
        return time.time()

    def interrupt(self, driver_connection: Any) -> None:
        driver_connection.interrupt()

    def leave(self) -> None:
        self._lock.release()

    @staticmethod
    def _no_transactions_of_the_driver(connection: Any, _: object) -> None:
        connection.isolation_level = None  # it would begin them late

    @staticmethod
    def _full_sync(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")


class Postgres:
    """For any number of gateways. Each holds an advisory lock on its connection, which the server frees when it dies."""

    is_shared = True

    def __init__(self, url: sa.URL) -> None:
        url = url.set(drivername="postgresql+psycopg")
        self.writer = sa.create_engine(url, poolclass=sa.NullPool, connect_args=WRITER)
        # A reader sees one moment, as it does in SQLite, and nothing that is written meanwhile.
        self.reader = sa.create_engine(url, poolclass=sa.NullPool, connect_args=READER, isolation_level="REPEATABLE READ")

    def occupy(self) -> None:
        pass

    def is_there(self) -> bool:
        return True

    def alone(self, connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ALONE)))

    def lock_shares(self, connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SHARES)))

    def take_time(self, connection: sa.Connection) -> None:
        for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {setting} = 0")

    def hurry(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{WAIT_S}s'")

    def announce(self, connection: sa.Connection, me: int) -> None:
        if not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LIVING, me))):
            raise DownError("the previous connection to the database has not ended yet")

    def living(self, connection: sa.Connection, me: int) -> Collection[int]:  # noqa: ARG002
        locks = sa.text(
            "SELECT objid::int FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid::bigint = :key"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return connection.scalars(locks, {"key": LIVING}).all()

    def now(self, connection: sa.Connection) -> float:
        return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())").scalar_one())

    def interrupt(self, driver_connection: Any) -> None:
        """A server that hangs keeps no time-out of its own, and the driver has none."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(driver_connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        pass


def database_of(url: str, password: str | None) -> Database:
    """The database at `sqlite:///…` or `postgresql://…`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Sqlite(parsed)
    return Postgres(parsed.set(password=password) if password else parsed)
