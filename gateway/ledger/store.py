"""The blocking half of the SQL ledger: one connection, used by one thread, so that transactions of this gateway never
overlap."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, Literal, get_args

import sqlalchemy as sa

from gateway.entry import Entry, utc_text
from gateway.errors import GatewayError
from gateway.ledger import expiry, revisions, schema, share_table, statements
from gateway.ledger.databases import Database, DownError
from gateway.ledger.ledger import LedgerError
from gateway.ledger.policy_jobs import PolicyJobs, PolicyKind
from gateway.ledger.shares import Watched

JobKind = Literal["claim", "take_over", "write", "expire", "unwatched", "recall", "due", "share"] | PolicyKind
Job = tuple[JobKind, Sequence[Any]]  # the kind and its arguments; those of "claim" and "write" are entries
POLICY_KINDS = get_args(PolicyKind)
# The most rows of each kind that one transaction deletes: about 40 ms on two cores, during which other jobs wait.
FORGOTTEN_AT_ONCE = 500
DEADLOCKS = 3


@dataclass(frozen=True)
class Ages:
    """How long things are kept. uncertain: the age at which a write with an unknown outcome is looked into without a caller's
    retry. answers: answers and void revisions. entries: None means for ever. revisions: settled ones."""

    uncertain: timedelta
    answers: timedelta
    entries: timedelta | None
    revisions: timedelta = timedelta(days=400)


class Store:
    """me: the number of this gateway, once the store is open. lease_s: the life of a policy's lease without renewal, in
    seconds. secret: see Ledger."""

    def __init__(self, database: Database, ages: Ages, lease_s: float = 15.0) -> None:
        self._database, self._ages, self._lease_s = database, ages, lease_s
        self._connection: sa.Connection | None = None
        self._driver_connection: Any = None
        self._watched = Watched()
        self.me = 0
        self.secret = b""

    def connect(self) -> bool:
        """Connects. Returns whether the tables are of this version. Raises DownError; LedgerError if waiting will not help."""
        self.disconnect()
        with self._opening():
            self._connection = self._database.writer.connect()
            self._driver_connection = self._connection.connection.driver_connection
            with self._connection.begin():
                return schema.is_current(self._connection)

    def migrate(self) -> None:
        """Migrates the tables to this version, without a time-out. Raises as `connect` does."""
        with self._opening(), self._open.begin():
            self._database.alone(self._open)
            self._database.take_time(self._open)
            schema.migrate(self._open)

    def enter(self, owed: Sequence[Entry] = (), known: Collection[str] = ()) -> None:
        """Announces this gateway as alive, writes the `owed` entries, and releases unfinished entries that are not `known`:
        their claims were committed although the connection was lost. Raises as `connect` does."""
        with self._opening():
            with self._open.begin():
                self.me = self.me or statements.new_owner(self._open)
                self.secret = statements.secret(self._open)
                self._database.announce(self._open, self.me)
            with self._open.begin():
                statements.touch(self._open)
                statements.write(self._open, owed, statements.ours(self._open, owed, self.me))
                statements.let_go(self._open, self.me, known)

    def commit(self, jobs: Sequence[Job], deadlocks: int = DEADLOCKS) -> list[Any]:
        """Carries out the jobs in one transaction; if one of them fails it, each in a transaction of its own.

        Returns the result of each job, or the exception that it raised. Raises DownError: it is unknown whether the transaction
        was committed, so no job counts as carried out."""
        connection = self._open
        try:
            with connection.begin():
                return self._carry_out(connection, jobs)
        except Exception as exc:
            if _is_deadlock(exc) and deadlocks:
                return self.commit(jobs, deadlocks - 1)
            if _down(exc):
                self.disconnect()
                raise DownError(why(exc)) from exc
            if len(jobs) == 1:
                return [exc]
        return [result for job in jobs for result in self.commit([job])]

    def interrupt(self) -> None:
        """Interrupts the running transaction from another thread; it raises DownError there."""
        if self._driver_connection is not None:
            self._database.interrupt(self._driver_connection)

    def disconnect(self) -> None:
        """Closes the connection, and with it PostgreSQL's advisory lock that shows this gateway to be alive."""
        connection, self._connection, self._driver_connection = self._connection, None, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @property
    def _open(self) -> sa.Connection:
        if self._connection is None:
            raise DownError("the connection is not open")
        return self._connection

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.SQLAlchemyError as exc:
            self.disconnect()
            if _down(exc):
                raise DownError(why(exc)) from exc
            raise LedgerError(f"cannot be used: {type(exc).__name__}") from exc
        except (DownError, LedgerError):
            self.disconnect()
            raise

    def _carry_out(self, connection: sa.Connection, jobs: Sequence[Job]) -> list[Any]:
        """Carries out the jobs. All gateways lock in the same order, so that no two of them deadlock: shares, claims, leases in
        the order of policies, entries, and last the head of the chain, which every writer locks."""
        living = partial(self._database.living, connection, self.me)
        said = partial(share_table.said, connection, self._database, self.me, watched=self._watched)
        shares = iter([said(alive=living(), stakes=stakes) for kind, stakes in jobs if kind == "share"])
        claims = [entry for kind, entries in jobs if kind == "claim" for entry in entries]
        claimed = iter(statements.claim(connection, claims, self.me, living) if claims else ())
        written = [entry for kind, arguments in jobs for entry in _entries(kind, arguments)]
        ours = cache(partial(statements.ours, connection, written, self.me))
        of_policies: list[Any] = [job for job in jobs if job[0] in POLICY_KINDS]
        policies = PolicyJobs(connection, self._database, self.me, self._lease_s, of_policies, ours) if of_policies else None
        kinds: Mapping[str, Callable[..., Any]] = {
            "claim": lambda *entries: [next(claimed) for _ in entries],
            "take_over": lambda: statements.take_over(connection, self.me, living(), self._before(self._ages.uncertain)),
            "expire": lambda: self._forget(connection),
            "unwatched": lambda: revisions.unwatched(connection, living()),
            "recall": lambda policy, number: revisions.one(connection, policy, number, self._database.now(connection)),
            "due": lambda tenant, every_s: revisions.due(connection, tenant, every_s, self._database.now(connection)),
            "share": lambda *_: next(shares),
            "write": lambda *entries: {entry.id for entry in entries} & ours().keys(),
            **(policies.kinds if policies else {}),
        }
        results = [_result(kinds[kind], arguments) for kind, arguments in jobs]
        changed = [entry for kind, entries in jobs if kind == "write" for entry in entries]
        own: list[Entry] = []
        if policies:
            policies.finish()
            changed, own = changed + policies.entries, policies.notes
        if changed or own:
            statements.write(connection, [*changed, *own], {**ours(), **{entry.id: entry.revision for entry in own}})
        return results

    def _forget(self, connection: sa.Connection) -> bool:
        """Deletes a batch of what is too old. Returns whether there is more."""
        ages, most = self._ages, FORGOTTEN_AT_ONCE
        now = self._database.now(connection)
        more = [
            expiry.forget_answers(connection, self._before(ages.answers), most),
            expiry.forget_revisions(connection, "void", now - ages.answers.total_seconds(), most),
            expiry.forget_revisions(connection, "settled", now - ages.revisions.total_seconds(), most),
            ages.entries is not None and expiry.forget_entries(connection, self._before(ages.entries), most),
        ]
        return any(more)

    @staticmethod
    def _before(age: timedelta) -> str:
        return utc_text(datetime.now(UTC) - age)


def _entries(kind: JobKind, arguments: Sequence[Any]) -> Sequence[Entry]:
    """The entries that a job writes."""
    if kind == "write":
        return arguments
    entries: Sequence[Entry] = arguments[2] if kind == "write_down" else ()
    return entries


def _result(carry_out: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """The result of a job. A refusal is a result too: it must not roll back the jobs of others in the transaction."""
    try:
        return carry_out(*arguments)
    except GatewayError as error:
        return error


def why(exc: BaseException) -> str:
    """The database's own message, without the statement and its values."""
    return str(getattr(exc, "orig", None) or type(exc).__name__).partition("\n")[0]


def _down(exc: BaseException) -> bool:
    """Whether the database is down and may come back: unreachable, full, locked by others, shut down."""
    return isinstance(exc, sa.exc.OperationalError | sa.exc.InterfaceError) or (
        isinstance(exc, sa.exc.DBAPIError) and exc.connection_invalidated
    )


def _is_deadlock(exc: BaseException) -> bool:
    """PostgreSQL's 40P01: this transaction was rolled back to resolve a deadlock, and may be retried."""
    return getattr(getattr(exc, "orig", None), "sqlstate", None) == "40P01"
