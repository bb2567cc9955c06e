"""One event per call, with what every step noted; the outermost policy, so that refusals and bugs are events too."""

import asyncio
import logging
import time

from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason
from gateway.logs import trace_of

log = logging.getLogger("gateway.audit")


async def audit(call: Call, next_handler: Handler) -> Message:
    """Raises nothing but GatewayError and CancelledError: what nobody foresaw becomes INTERNAL, without detail."""
    started = time.perf_counter()
    outcome = "OK"
    try:
        return await next_handler(call)
    except GatewayError as error:
        outcome = error.reason.name
        call.record.note(fields=[v.field for v in error.violations] or None)
        raise
    except asyncio.CancelledError:
        outcome = "CANCELLED"
        raise
    except Exception as exc:  # noqa: BLE001 - the boundary of what nobody foresaw
        outcome = Reason.INTERNAL.name
        log.error("bug", extra={"operation": call.operation.name, "trace": trace_of(exc)})  # noqa: TRY400
        raise GatewayError(Reason.INTERNAL) from None
    finally:
        facts = {k: v for k, v in call.record.facts.items() if v is not None}
        log.info(
            "call",
            extra={
                "operation": call.operation.name,
                "caller": call.caller.name if call.caller else None,
                "tenant": call.tenant or None,
                "outcome": outcome,
                "seconds": round(time.perf_counter() - started, 6),
                **facts,
            },
        )
