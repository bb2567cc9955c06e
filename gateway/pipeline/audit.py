"""Logs one event for each call, with what every step noted, and writes an entry for each refusal. It is the outermost step, so
that no call is missed. `idempotency` writes the entries of writes."""

import asyncio
import logging
import time

from google.protobuf.message import Message

from gateway.call import CORRELATION, ENTRY_ID, Call, Handler, correlation_id
from gateway.errors import GatewayError, Kind, Reason
from gateway.ledger.ledger import Ledger
from gateway.ledger.write import Write
from gateway.logs import log_bug, log_facts
from gateway.metrics import caller_label, calls_of, seconds_of
from gateway.pipeline.entries import refusal
from gateway.pipeline.floods import Floods

log = logging.getLogger("gateway.audit")

REFUSALS = (Kind.INVALID_ARGUMENT, Kind.UNAUTHENTICATED, Kind.PERMISSION_DENIED, Kind.RESOURCE_EXHAUSTED)


class Audit:
    """The step."""

    def __init__(self, ledger: Ledger) -> None:
        self._floods = Floods(ledger)

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises only GatewayError and CancelledError: any other exception is a bug and becomes INTERNAL, without details."""
        started = time.perf_counter()
        outcome = "OK"
        call.record.trailers[ENTRY_ID] = call.id
        theirs = correlation_id(call.metadata)
        if theirs:
            call.record.trailers[CORRELATION] = theirs
        try:
            return await next_handler(call)
        except GatewayError as error:
            outcome = error.reason.name
            call.record.note(fields=[v.field for v in error.violations] or None)
            await self._keep(call.record.call or call, error)
            raise
        except asyncio.CancelledError:
            outcome = "CANCELLED"
            raise
        except Exception as exc:  # noqa: BLE001 - the boundary of what nobody foresaw
            outcome = Reason.INTERNAL.name
            log_bug(log, exc, operation=call.operation.name)
            raise GatewayError(Reason.INTERNAL) from None
        finally:
            call, seconds = call.record.call or call, time.perf_counter() - started
            caller = caller_label(call.caller.name if call.caller else "")
            calls_of(call.operation.name, call.door, caller, outcome).inc()
            seconds_of(call.operation.name, call.door).observe(seconds)
            facts = {
                "id": call.id,
                "correlation_id": theirs or None,
                "door": call.door,
                "operation": call.operation.name,
                "caller": call.caller.name if call.caller else None,
                "tenant": call.tenant or None,
                "outcome": outcome,
                "seconds": round(seconds, 6),
            }
            log_facts(log, "call", facts | {k: v for k, v in call.record.facts.items() if v is not None})

    async def _keep(self, call: Call, error: GatewayError) -> None:
        if (isinstance(call.write, Write) and call.write.is_claimed) or error.reason.kind not in REFUSALS:
            return
        writing = self._floods.refused(refusal(call, error))
        if writing and call.caller is not None and error.reason is not Reason.CALLER_TOO_BUSY:
            await asyncio.shield(writing)

    async def close(self) -> None:
        """Writes down what is still only counted."""
        await self._floods.close()
