"""What a caller is told of its share of a window, in headers or trailers: fields of draft-ietf-httpapi-ratelimit-headers-10."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.call import Record
from gateway.errors import GatewayError, Reason
from gateway.graph.quota.limit import WINDOW_S
from gateway.graph.quota.turns import Turns

POLICY, LEFT = "ratelimit-policy", "ratelimit"


@contextmanager
def telling(record: Record, turns: Turns) -> Iterator[None]:
    """Whatever the block comes to, the record has the share of its caller then."""
    told = None
    try:
        yield
    except GatewayError as error:
        told = error.retry_after if error.reason is Reason.QUOTA_EXHAUSTED else None
        raise
    finally:
        record.trailers |= own_share(turns, record.caller, told)


def own_share(turns: Turns, caller: str, told: float | None = None) -> dict[str, str]:
    """What the caller has of a window and has left. told: in how many seconds it is to come back, where it was refused; there
    is more for it then, as the draft has it."""
    share = turns.share_of(caller)
    left = max(share - turns.used_by().get(caller, 0), 0)
    wait = math.ceil(told or turns.wait_now(caller))
    return {POLICY: f'"{turns.name}";q={share};w={WINDOW_S:.0f}', LEFT: f'"{turns.name}";r={0 if wait else left};t={wait}'}
