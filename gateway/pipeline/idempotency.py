"""Carries out every write once (AIP-155): its intent is in the ledger before anything is sent to Graph, its outcome after, and
a repeated request ID gets the stored answer (see ledger.write).

A write that has begun runs to its end, even if its caller leaves; a retry with the same request ID joins it.
"""

import asyncio
import logging

from google.protobuf.message import DecodeError, Message

from gateway.call import ETAG, Call, Caller, CallWarning, Handler, decoded
from gateway.entry import Entry
from gateway.errors import GatewayError, Reason, invalid
from gateway.ledger.ledger import Ledger
from gateway.ledger.write import Answered, Write
from gateway.logs import log_bug
from gateway.operations import OPERATIONS
from gateway.pace import rest
from gateway.pipeline.entries import intent

log = logging.getLogger(__name__)

REQUEST_ID = "compliance-gateway-request-id"
# How long a write that an earlier gateway left behind may take to be found out about.
RECOVERY_S = 120.0
GAVE_UP = (Reason.DEADLINE_EXCEEDED, Reason.CALLER_GONE)


class Idempotency:
    """The step. Running writes are found by the claim of their entry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._running: dict[str, Write] = {}

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises REQUEST_ID_REUSED, REQUEST_IN_PROGRESS, LEDGER_UNAVAILABLE, and what the write raises."""
        if not call.operation.writes or call.validates_only:
            return await next_handler(call)
        entry = intent(call)
        await rest()
        call.record.note(request_id=entry.request_id)
        call.record.trailers[REQUEST_ID] = entry.request_id
        while True:
            write = self._running.get(str(entry.claim))
            joined = write is not None
            if write is None:
                write = Write(self._ledger, entry, call.record, call.deadline)
                self._start(call.found(write=write), write, next_handler)
            elif write.entry.digest != entry.digest:
                raise _reused()
            result, replayed = await write.join(call.deadline)
            await rest()
            if not (joined and _ended_for_others(write, result)):
                break  # or else it is ours to carry out now
        call.found(write=write)
        if etag := (replayed or write.entry).etag:
            call.record.trailers[ETAG] = etag
        if isinstance(result, GatewayError):
            raise result.copy()  # each caller gets an error of its own
        before = replayed or (write.entry if joined else None)
        if before is not None:
            facts = {"request_id": before.request_id, "began_at": before.began_at}
            call.record.warn(CallWarning("REPLAYED", facts))
        return result

    async def recover(self, handler: Handler) -> None:
        """Finds out about writes that dead gateways left unfinished. Raises LEDGER_UNAVAILABLE."""
        for entry in await self._ledger.take_over():
            if entry.sent is None:
                await self._ledger.update([entry.finished(Reason.NOT_CARRIED_OUT.name)])
                continue
            log.info(
                "finding out about an unfinished write",
                extra={"entry": entry.id, "tenant": entry.tenant, "policy": entry.policy},
            )
            try:
                call = _call_of(entry)
            except (KeyError, DecodeError, TypeError) as exc:  # a newer gateway's: it may be one of the others'
                log_bug(log, exc, entry=entry.id)
                await self._ledger.update([entry.uncertain(Reason.OUTCOME_UNKNOWN.name)])
            else:
                write = Write(self._ledger, entry, call.record, call.deadline, recovered=True)
                self._start(call.found(write=write), write, handler)

    async def close(self) -> None:
        """Waits until every outcome is in the ledger. No new call may come."""
        while self._running:
            await asyncio.wait([write.task for write in self._running.values()])

    def _start(self, call: Call, write: Write, handler: Handler) -> None:
        claim = str(write.entry.claim)
        write.task = asyncio.create_task(self._run(call, write, handler), name=f"write {write.entry.id}")
        self._running[claim] = write
        write.task.add_done_callback(lambda _: self._running.pop(claim, None))

    async def _run(self, call: Call, write: Write, handler: Handler) -> Answered:
        try:
            if not write.recovered and (done := await write.claim()) is not None:
                return write.replay(done)
        except GatewayError as error:
            return Answered(_reused() if error.reason is Reason.REQUEST_ID_REUSED else error)
        await rest()
        result: Message | GatewayError
        try:
            result = await handler(call)
        except GatewayError as error:
            result = error
        except Exception as exc:  # noqa: BLE001 - it may be that nobody waits for this task
            log_bug(log, exc, operation=call.operation.name)
            result = GatewayError(Reason.INTERNAL)
        await rest()
        return await write.finish(result)


def _call_of(entry: Entry) -> Call:
    """A call that finds out what became of the entry's write."""
    operation = OPERATIONS[entry.operation]
    message = operation.request.FromString(entry.request or b"")
    return Call(
        operation,
        decode=decoded(message),
        metadata={},
        deadline=asyncio.get_running_loop().time() + RECOVERY_S,
        caller=Caller(entry.caller),
        tenant=entry.tenant,
        message=message,
    )


def _reused() -> GatewayError:
    return invalid("request_id", "was used for another request of yours", Reason.REQUEST_ID_REUSED)


def _ended_for_others(write: Write, result: Message | GatewayError) -> bool:
    """Whether a write ended for a reason that does not concern a call that joined it: those who began it gave up, or it was
    only found out about."""
    if not isinstance(result, GatewayError):
        return False
    return result.reason in GAVE_UP or (write.recovered and result.reason is Reason.NOT_CARRIED_OUT)
