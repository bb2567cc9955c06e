"""The blocking half of the SQL ledger: one connection, used by one thread."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa

from gateway.entry import Entry, utc_text
from gateway.ledger import statements
from gateway.ledger.databases import Database, DownError
from gateway.ledger.ledger import LedgerError
from gateway.ledger.schema import migrate

Kind = Literal["claim", "take_over", "write", "expire"]


@dataclass(frozen=True)
class Ages:
    """How old things get. uncertain: before it is looked at again without a caller's asking. entries: None is for ever."""

    uncertain: timedelta
    answers: timedelta
    entries: timedelta | None


class Store:
    """me: the number of this gateway, once it is open."""

    def __init__(self, database: Database, ages: Ages) -> None:
        self._database, self._ages = database, ages
        self._connection: sa.Connection | None = None
        self._driver_connection: Any = None
        self.me = 0

    def open(self, owed: Sequence[Entry] = (), known: Collection[str] = ()) -> None:
        """Connects, migrates, writes down what is owed, and lets go of unfinished entries that are not `known`: their claims
        came about although the connection was lost. Raises DownError; LedgerError where waiting will not help."""
        self.disconnect()
        try:
            self._connection = connection = self._database.writer.connect()
            self._driver_connection = connection.connection.driver_connection
            with connection.begin():
                self._database.alone(connection)
                migrate(connection)
                self.me = self.me or statements.new_owner(connection)
                self._database.announce(connection, self.me)
            with connection.begin():
                statements.touch(connection)
                statements.write(connection, owed, self.me)
                statements.let_go(connection, self.me, known)
        except sa.exc.SQLAlchemyError as exc:
            self.disconnect()
            if _down(exc):
                raise DownError(_why(exc)) from exc
            raise LedgerError(f"cannot be used: {type(exc).__name__}") from exc
        except (DownError, LedgerError):
            self.disconnect()
            raise

    def commit(self, jobs: Sequence[tuple[Kind, Sequence[Entry]]]) -> list[Any]:
        """Carries out the jobs in one transaction; where one of them spoils it, each in its own.

        The result of each, or the exception that it came to. Raises DownError: nothing is known to be carried out.
        """
        if self._connection is None:
            raise DownError("it is not open")
        try:
            with self._connection.begin():
                return self._carry_out(self._connection, jobs)
        except Exception as exc:
            if _down(exc):
                self.disconnect()
                raise DownError(_why(exc)) from exc
            if len(jobs) == 1:
                return [exc]
        return [result for job in jobs for result in self.commit([job])]

    def interrupt(self) -> None:
        """Ends what takes too long, from another thread: it comes to a DownError."""
        if self._driver_connection is not None:
            self._database.interrupt(self._driver_connection)

    def disconnect(self) -> None:
        """Lets go of the connection, and on PostgreSQL of the sign of life."""
        connection, self._connection, self._driver_connection = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _carry_out(self, connection: sa.Connection, jobs: Sequence[tuple[Kind, Sequence[Entry]]]) -> list[Any]:
        """Writes last: they take the head of the chain, for which other gateways wait."""
        claims = [entry for kind, entries in jobs if kind == "claim" for entry in entries]
        writes = [entry for kind, entries in jobs if kind == "write" for entry in entries]
        kinds = {kind for kind, _ in jobs}
        living = partial(self._database.living, connection, self.me)
        claimed = iter(statements.claim(connection, claims, self.me, living) if claims else ())
        now = datetime.now(UTC)
        orphans: list[Entry] = []
        if "take_over" in kinds:
            orphans = statements.take_over(connection, self.me, living(), utc_text(now - self._ages.uncertain))
        if "expire" in kinds:
            entries_before = utc_text(now - self._ages.entries) if self._ages.entries is not None else None
            statements.expire(connection, utc_text(now - self._ages.answers), entries_before)
        ours = statements.write(connection, writes, self.me) if writes else set()
        results: list[Any] = []
        for kind, entries in jobs:
            if kind == "claim":
                results.append([next(claimed) for _ in entries])
            elif kind == "take_over":
                results.append(orphans)
                orphans = []
            else:
                results.append(ours & {entry.id for entry in entries})
        return results


def _why(exc: BaseException) -> str:
    """The database's own words, without the statement and its values."""
    return str(getattr(exc, "orig", None) or type(exc).__name__).partition("\n")[0]


def _down(exc: BaseException) -> bool:
    """Whether the database is to blame, and may come back: gone, full, locked by others, shut down."""
    return isinstance(exc, sa.exc.OperationalError | sa.exc.InterfaceError) or (
        isinstance(exc, sa.exc.DBAPIError) and exc.connection_invalidated
    )
