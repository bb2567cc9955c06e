"""Reads of the SQL ledger beside the writer: by auditors, which may block, and by the doors, which must not. Each read sees one
moment, on its own connection, and waits for no writer."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger import derived, history, replays, schema, statements
from gateway.ledger.databases import Database
from gateway.ledger.ledger import Ends, LedgerError, Query
from gateway.ledger.store import why
from gateway.revision import Kept, PolicyName

log = logging.getLogger(__name__)

RETRY_S = 1.0
AT_ONCE = 2

T = TypeVar("T")


class SqlReader:
    """See ledger.History and ledger.LedgerReader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._up: bool | None = None
        self._reads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ledger-reads")

    async def page(
        self,
        policy: PolicyName,
        below: int | None,
        most: int,
        kinds: Collection[str] = (),
        since: float | None = None,
        until: float | None = None,
    ) -> list[Kept]:
        return await self._read(
            lambda c: list(history.some(c, history.of(policy), self._now(c), below, most, kinds, since, until))
        )

    async def kept(self, policy: PolicyName, number: int, *, whole: bool) -> Kept | None:
        return await self._read(lambda c: history.one(c, policy, number, self._now(c), whole=whole))

    async def at(self, policy: PolicyName, moment: float) -> int | None:
        return await self._read(lambda c: history.at(c, policy, moment))

    async def first(self, policy: PolicyName) -> int | None:
        return await self._read(lambda c: history.first(c, policy))

    async def entry(self, tenant: str, policy: str, entry_id: str) -> Entry | None:
        return await self._read(lambda c: _genuine(c, history.entry(c, tenant, policy, entry_id)))

    def probe(self) -> None:
        if not self._database.is_there():
            return
        try:
            with self._database.reader.connect() as connection, connection.begin():
                schema.check_readable(connection)
        except sa.exc.SQLAlchemyError as exc:
            raise LedgerError(f"cannot be opened: {why(exc)}") from exc

    def find(self, query: Query) -> Iterator[Entry]:
        with self._reading() as connection:
            yield from statements.find(connection, query)

    def ends(self) -> Ends:
        with self._reading() as connection:
            return statements.ends(connection)

    @contextlib.contextmanager
    def chained(self) -> Iterator[tuple[Ends, Iterator[Entry]]]:
        with self._reading() as connection:
            yield statements.ends(connection), statements.chained(connection)

    def beside(self) -> Iterator[str]:
        """See derived.Verifiable."""
        with self._reading() as connection:
            yield from derived.discrepancies(connection)

    def revisions(self, tenant: str = "", policy: str = "", set: str = "", newest: int | None = None) -> Iterator[Kept]:  # noqa: A002
        with self._reading() as connection:
            which = history.like(PolicyName(tenant, set, policy))
            yield from history.some(connection, which, self._now(connection), most=newest)

    def revision(self, policy: PolicyName, number: int) -> Kept | None:
        with self._reading() as connection:
            return history.one(connection, policy, number, self._now(connection), whole=True)

    def policies_named(self, beginning: str, tenant: str = "") -> list[PolicyName]:
        with self._reading() as connection:
            return history.policies_named(connection, beginning, tenant)

    def entries_named(self, beginning: str) -> list[Entry]:
        with self._reading() as connection:
            return history.entries_named(connection, beginning)

    def _now(self, connection: sa.Connection) -> float:
        return self._database.now(connection)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._database.reader.connect() as connection, connection.begin():
                yield connection
        except sa.exc.SQLAlchemyError as exc:
            raise LedgerError(f"cannot be read: {type(exc).__name__}; does it exist, and does its version fit?") from exc

    async def _read(self, function: Callable[[sa.Connection], T]) -> T:
        if not self._up:
            raise unavailable()
        return await asyncio.get_running_loop().run_in_executor(self._reads, self._read_now, function)

    def _read_now(self, function: Callable[[sa.Connection], Any]) -> Any:
        try:
            with self._database.reader.connect() as connection, connection.begin():
                self._database.hurry(connection)
                return function(connection)
        except sa.exc.SQLAlchemyError as exc:
            log.warning("the ledger cannot be read", extra={"why": why(exc)})
            raise unavailable() from exc


def unavailable() -> GatewayError:
    return GatewayError(Reason.LEDGER_UNAVAILABLE, retry_after=RETRY_S)


def _genuine(connection: sa.Connection, entry: Entry | None) -> Entry | None:
    """The entry, if it is not finished or is what was written down."""
    if entry is None or entry.state != "finished" or replays.is_genuine(connection, entry):
        return entry
    log.error("an entry is forged: it is not shown", extra={"entry": entry.id, "position": entry.position})
    return None
