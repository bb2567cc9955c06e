"""Bounds the concurrent calls of one caller, separately for reads and writes, so that a busy caller does not affect others."""

from collections import Counter

from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.config.doors import InFlight
from gateway.errors import GatewayError, Reason

RETRY_S = 1.0


class Limit:
    """The step. in_flight: the most concurrent calls of one caller."""

    def __init__(self, in_flight: InFlight) -> None:
        self._most = {"reads": in_flight.reads, "writes": in_flight.writes}
        self._under_way: Counter[tuple[str, str]] = Counter()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises CALLER_TOO_BUSY."""
        assert call.caller
        kind = "writes" if call.operation.writes else "reads"
        which, most = (call.caller.name, kind), self._most[kind]
        if self._under_way[which] >= most:
            words = f"You already have {most} concurrent {kind}, the most that one caller may have."
            raise GatewayError(Reason.CALLER_TOO_BUSY, words, retry_after=RETRY_S)
        self._under_way[which] += 1
        try:
            return await next_handler(call)
        finally:
            self._under_way[which] -= 1
            if not self._under_way[which]:
                del self._under_way[which]
