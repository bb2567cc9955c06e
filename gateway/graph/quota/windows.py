"""The windows of one tenant."""

from gateway.graph.quota.turns import EVENLY, Sharing, Turns
from gateway.graph.quota.window import RESERVE


class Quota:
    """The turns of one tenant. A write, and the reads that it needs, go before callers' reads: writes are few, since their own
    window bounds them, but there may be any number of reads."""

    def __init__(self, writes: int = 100, requests: int = 1000, sharing: Sharing = EVENLY) -> None:
        self.writes, self.requests = Turns("writes", writes, sharing), Turns("requests", requests, sharing, RESERVE, go_on=True)

    def change(self, writes: int, requests: int, sharing: Sharing) -> None:
        """See Turns.change."""
        self.writes.change(writes, sharing)
        self.requests.change(requests, sharing)
