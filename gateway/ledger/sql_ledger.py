"""The built-in ledger, in SQLite or PostgreSQL. One thread writes, and commits all queued jobs in one transaction."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from gateway.config import LedgerConfig
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger.databases import DownError, database_of
from gateway.ledger.ledger import Claim, LedgerError
from gateway.ledger.reading import RETRY_S, SqlReader, unavailable
from gateway.ledger.store import Ages, JobKind, Store
from gateway.logs import log_bug
from gateway.revision import Change, Grant, PolicyName, Revision
from gateway.stake import Granted, Stake

log = logging.getLogger(__name__)

EXPIRE_S = 3600.0
MOST_JOBS = 500
HANGS_S = 5.0
UNCERTAIN = timedelta(seconds=10)

T = TypeVar("T")


class Job(NamedTuple):
    """See store.Job."""

    kind: JobKind
    arguments: Sequence[Any]
    future: "asyncio.Future[Any]"


class SqlLedger(SqlReader):
    """See ledger.Ledger; Leases, Revisions, Rota and Shares there; and reading for ledger.History and ledger.LedgerReader."""

    def __init__(self, settings: LedgerConfig) -> None:
        super().__init__(database_of(settings.url, settings.password()))
        kept = settings.entries_kept_days
        ages = Ages(
            UNCERTAIN,
            answers=timedelta(days=settings.answers_kept_days),
            entries=timedelta(days=kept) if kept is not None else None,
            revisions=timedelta(days=settings.revisions_kept_days),
        )
        self._store = Store(self._database, ages, settings.lease_s)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._fault = "not opened yet"
        self._known: set[str] = set()  # unfinished entries that somebody here works on
        self._waiting: list[Job] = []
        self._owed: list[Entry] = []
        self._working: asyncio.Task[None] | None = None
        self._maintenance: asyncio.Task[None] | None = None

    async def claim(self, entry: Entry) -> Claim:
        [claim] = await self._ask("claim", [entry])
        if claim.answer in ("new", "uncertain"):
            self._known.add(claim.entry.id)
        return claim  # type: ignore[no-any-return]

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        self._known -= {entry.id for entry in entries if entry.state != "running"}
        try:
            return await self._ask("write", entries)  # type: ignore[no-any-return]
        except GatewayError as error:
            if error.reason is not Reason.LEDGER_UNAVAILABLE or any(entry.state == "running" for entry in entries):
                raise
            self._owed += (entry for entry in entries if entry.owner)
            return set()

    async def take_over(self) -> list[Entry]:
        taken: list[Entry] = await self._ask("take_over", ())
        self._known |= {entry.id for entry in taken}
        return taken

    async def acquire(self, policy: PolicyName, after: int = 0) -> Grant | None:
        return await self._ask("acquire", (policy, after))  # type: ignore[no-any-return]

    async def renew(self, policy: PolicyName, generation: int) -> bool:
        return await self._ask("renew", (policy, generation))  # type: ignore[no-any-return]

    async def release(self, policy: PolicyName, generation: int) -> None:
        await self._ask("release", (policy, generation))

    async def write_down(
        self, policy: PolicyName, revision: Revision, entries: Sequence[Entry], repaired: Collection[int] = ()
    ) -> tuple[int, set[str]]:
        return await self._ask("write_down", (policy, revision, entries, repaired))  # type: ignore[no-any-return]

    async def conclude(
        self, policy: PolicyName, generation: int, changes: Sequence[Change], foreign: Sequence[Revision] = ()
    ) -> list[int]:
        return await self._ask("conclude", (policy, generation, changes, foreign))  # type: ignore[no-any-return]

    async def recall(self, policy: PolicyName, number: int) -> Revision | None:
        return await self._ask("recall", (policy, number))  # type: ignore[no-any-return]

    async def unsettled(self) -> list[PolicyName]:
        return await self._ask("unwatched", ())  # type: ignore[no-any-return]

    async def due(self, tenant: str, every_s: float) -> PolicyName | None:
        return await self._ask("due", (tenant, every_s))  # type: ignore[no-any-return]

    async def share(self, stakes: Sequence[Stake]) -> list[Granted]:
        return await self._ask("share", stakes)  # type: ignore[no-any-return]

    @property
    def is_shared(self) -> bool:
        return self._database.is_shared

    @property
    def up(self) -> bool:
        return bool(self._up)

    @property
    def fault(self) -> str:
        return "" if self._up else self._fault

    @property
    def secret(self) -> bytes:
        return self._store.secret

    async def start(self) -> None:
        self._database.occupy()
        try:
            await self._open()
        except LedgerError:
            self._database.leave()
            raise
        self._maintenance = asyncio.create_task(self._maintain(), name="ledger")

    async def close(self) -> None:
        if self._working is not None:
            await self._working
        if self._maintenance is not None:
            self._maintenance.cancel()
            await asyncio.wait([self._maintenance])
        if self._owed:
            with contextlib.suppress(LedgerError):
                await self._open()
        self._up = False
        await self._in_thread(self._store.disconnect)
        self._thread.shutdown(wait=False)
        self._reads.shutdown(wait=False)
        self._database.leave()

    async def _ask(self, kind: JobKind, arguments: Sequence[Any]) -> Any:
        if not self._up:
            raise unavailable()
        job = Job(kind, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="ledger-commits")
        return await job.future

    async def _work(self) -> None:
        """Commits until nothing is queued. Whatever happens, every job gets a result: a lost one would block its caller for
        ever."""
        jobs: list[Job] = []
        try:
            while self._waiting:
                jobs, self._waiting = self._waiting[:MOST_JOBS], self._waiting[MOST_JOBS:]
                results: Sequence[Any]
                try:
                    results = await self._in_thread(self._store.commit, [(job.kind, job.arguments) for job in jobs])
                except DownError:
                    raise
                except Exception as exc:  # noqa: BLE001 - it ends these jobs, and not those that come after
                    results = [exc] * len(jobs)
                for job, result in zip(jobs, results, strict=True):
                    _answer(job, result)
        except DownError as exc:
            self._is_up(False, exc)
        finally:
            waiting, self._waiting = [*jobs, *self._waiting], []
            for job in waiting:
                if not job.future.done():
                    job.future.set_exception(unavailable())
            self._working = None

    async def _maintain(self) -> None:
        """Reopens the ledger while it is down, and expires old entries now and then."""
        loop = asyncio.get_running_loop()
        expire_at = loop.time()
        while True:
            if not self._up:
                try:
                    await self._open()
                except LedgerError as exc:
                    log.error("the ledger cannot be opened", extra={"error": str(exc)})  # noqa: TRY400 - a trace says no more
                except Exception as exc:  # noqa: BLE001 - nobody awaits this task
                    log_bug(log, exc, task="ledger")
            elif loop.time() >= expire_at:
                expire_at = loop.time() + EXPIRE_S
                with contextlib.suppress(GatewayError):
                    while await self._ask("expire", ()):
                        pass
            await asyncio.sleep(RETRY_S)

    async def _open(self) -> None:
        owed, self._owed = self._owed, []
        try:
            if not await self._in_thread(self._store.connect):
                await self._in_thread(self._store.migrate, watched=False)
            await self._in_thread(self._store.enter, owed, frozenset(self._known))
        except (DownError, LedgerError) as exc:
            self._owed = [*owed, *self._owed]
            self._is_up(False, exc)
            if isinstance(exc, LedgerError):
                raise
        else:
            self._is_up(True)

    def _is_up(self, up: bool, why: Exception | None = None) -> None:
        if up != self._up:
            if why is None:
                log.info("ledger up")
            else:
                log.error("ledger down: writes are refused", extra={"why": str(why)})
        self._up, self._fault = up, str(why or "")

    async def _in_thread(self, function: Callable[..., T], *arguments: Any, watched: bool = True) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        done, _ = await asyncio.wait([running], timeout=HANGS_S if watched else None)
        if not done:
            self._store.interrupt()
        return await running


def _answer(job: Job, result: Any) -> None:
    if job.future.done():
        return
    if isinstance(result, GatewayError):
        job.future.set_exception(result)
    elif isinstance(result, Exception):
        log_bug(log, result, job=job.kind)
        job.future.set_exception(GatewayError(Reason.INTERNAL))
    else:
        job.future.set_result(result)
