"""Every write once (AIP-155): its intent is in the ledger before Graph hears of it, its outcome after, and a request id that
comes again gets the answer that there is.

A write that has begun goes on to its end, whoever still waits for it; a request id that comes meanwhile joins it.
"""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from google.protobuf.message import DecodeError, Message

from gateway.call import Call, Caller, CallWarning, Handler
from gateway.entry import OK, Entry
from gateway.errors import GatewayError, Reason, invalid
from gateway.ledger.ledger import Ledger
from gateway.logs import log_bug
from gateway.operations import OPERATIONS
from gateway.pipeline.entries import intent, with_facts

log = logging.getLogger(__name__)

REQUEST_ID = "compliance-gateway-request-id"
RETRY_S = 1.0
# How long a write that an earlier gateway left behind may take to be found out about.
RECOVERY_S = 120.0


class Answered(NamedTuple):
    """What a request id comes to. replayed: the entry of the write that was answered before."""

    result: Message | GatewayError
    replayed: Entry | None = None


@dataclass(eq=False)
class Run:
    """A request id that is being worked on, through `call`, and how many wait for it."""

    call: Call
    digest: str
    task: "asyncio.Task[Answered]" = field(init=False)
    waiting: int = 0

    async def join(self, deadline: float) -> Answered:
        """Waits for it; it is worth its while until the latest deadline of all who do."""
        self.waiting += 1
        self.call.abandoned = False
        self.call.deadline = max(self.call.deadline, deadline)
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1
            self.call.abandoned = not self.waiting


class Idempotency:
    """The step. A run's key is the claim of its entry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[Answered]] = set()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises REQUEST_ID_REUSED, REQUEST_IN_PROGRESS, LEDGER_UNAVAILABLE, and what the write raises."""
        if not call.operation.writes:
            return await next_handler(call)
        entry = intent(call)
        call.record.note(request_id=entry.request_id)
        call.trailers[REQUEST_ID] = entry.request_id
        key = str(entry.claim)
        while True:
            run = self._runs.get(key)
            joined = run is not None
            if run is None:
                run = self._start(key, Run(call, entry.digest), entry, next_handler)
            elif run.digest != entry.digest:
                raise _reused()
            result, replayed = await run.join(call.deadline)
            call.entry = run.call.entry
            if not (joined and run.call.look_only and _not_carried_out(result)):
                break  # or else it was only looked at, and is ours to carry out now
        if isinstance(result, GatewayError):
            raise replace(result)  # each caller gets an error of its own
        before = replayed or (call.entry if joined else None)
        if before is not None:
            call.warnings.append(CallWarning("REPLAYED", {"request_id": before.request_id, "began_at": before.began_at}))
        return result

    async def recover(self, handler: Handler) -> None:
        """Finds out about writes that dead gateways left unfinished. Raises LEDGER_UNAVAILABLE."""
        for entry in await self._ledger.take_over():
            if entry.sent is None:
                await self._ledger.update([entry.finished(Reason.NOT_CARRIED_OUT.name)])
                continue
            log.info("recovery", extra={"entry": entry.id, "tenant": entry.tenant, "policy": entry.policy})
            try:
                call = _look_at(entry)
            except (KeyError, DecodeError) as exc:  # a newer gateway's: it may be one of the others'
                log_bug(log, exc, entry=entry.id)
                await self._ledger.update([entry.uncertain(Reason.OUTCOME_UNKNOWN.name)])
            else:
                self._start(str(entry.claim), Run(call, entry.digest), entry, handler)

    async def close(self) -> None:
        """Waits until every outcome is in the ledger. Nothing new may come."""
        await asyncio.gather(*self._tasks)

    def _start(self, key: str, run: Run, entry: Entry, handler: Handler) -> Run:
        work = self._execute(run.call, entry, handler) if run.call.look_only else self._claim(run.call, entry, handler)
        run.task = asyncio.create_task(work, name=f"write {entry.id}")
        self._runs.setdefault(key, run)
        self._tasks.add(run.task)
        run.task.add_done_callback(lambda task: self._ended(key, task))
        return run

    def _ended(self, key: str, task: "asyncio.Task[Answered]") -> None:
        self._tasks.discard(task)
        if key in self._runs and self._runs[key].task is task:
            del self._runs[key]

    async def _claim(self, call: Call, entry: Entry, handler: Handler) -> Answered:
        try:
            claim = await self._ledger.claim(entry)
        except GatewayError as error:
            return Answered(error)
        if claim.entry.digest != entry.digest:
            return Answered(_reused())
        if claim.answer == "running":
            return Answered(GatewayError(Reason.REQUEST_IN_PROGRESS, retry_after=RETRY_S))
        if claim.answer == "done":
            return Answered(call.operation.response.FromString(claim.entry.answer or b""), claim.entry)
        return await self._execute(call, claim.entry, handler)

    async def _execute(self, call: Call, entry: Entry, handler: Handler) -> Answered:
        """The write itself, and its outcome into the ledger."""
        call.entry = entry
        result: Message | GatewayError
        try:
            result = await handler(call)
        except GatewayError as error:
            result = error
        except Exception as exc:  # noqa: BLE001 - it may be that nobody waits for this task
            log_bug(log, exc, operation=call.operation.name)
            result = GatewayError(Reason.INTERNAL)
        entry = with_facts(call, call.entry)
        if isinstance(result, Message):
            entry = entry.finished(OK, result.SerializeToString())
        elif entry.sent is not None and result.reason in (Reason.OUTCOME_UNKNOWN, Reason.INTERNAL):
            entry = entry.uncertain(result.reason.name)
        else:
            entry = entry.finished(result.reason.name)
        try:
            await self._ledger.update([entry])
        except GatewayError as error:
            return Answered(error)
        return Answered(result)


def _look_at(entry: Entry) -> Call:
    """A call that finds out what became of the entry's write."""
    operation = OPERATIONS[entry.operation]
    message = operation.request.FromString(entry.request or b"")
    return Call(
        operation,
        decode=lambda: message,
        metadata={},
        deadline=asyncio.get_running_loop().time() + RECOVERY_S,
        caller=Caller(entry.caller),
        tenant=entry.tenant,
        message=message,
        look_only=True,
    )


def _reused() -> GatewayError:
    return invalid("request_id", "belongs to another request of yours", Reason.REQUEST_ID_REUSED)


def _not_carried_out(result: Message | GatewayError) -> bool:
    return isinstance(result, GatewayError) and result.reason is Reason.NOT_CARRIED_OUT
