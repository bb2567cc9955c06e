"""Applies the call's deadline to all inner steps."""

import asyncio

from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason


async def deadline(call: Call, next_handler: Handler) -> Message:
    """Cancels the inner steps when the deadline passes. Raises DEADLINE_EXCEEDED."""
    try:
        async with asyncio.timeout_at(call.deadline):
            return await next_handler(call)
    except TimeoutError as exc:
        raise GatewayError(Reason.DEADLINE_EXCEEDED) from exc
