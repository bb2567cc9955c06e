"""No caller has more than so many calls under way: a busy one harms itself, and no other."""

from collections import Counter

from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason

RETRY_S = 1.0


class Limit:
    """The step. in_flight: calls of one caller at a time."""

    def __init__(self, in_flight: int) -> None:
        self._most = in_flight
        self._under_way: Counter[str] = Counter()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises CALLER_TOO_BUSY."""
        assert call.caller
        name = call.caller.name
        if self._under_way[name] >= self._most:
            raise GatewayError(Reason.CALLER_TOO_BUSY, f"{self._most} calls of yours are under way.", retry_after=RETRY_S)
        self._under_way[name] += 1
        try:
            return await next_handler(call)
        finally:
            self._under_way[name] -= 1
            if not self._under_way[name]:
                del self._under_way[name]
