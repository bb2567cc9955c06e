"""Graph's quota for one app in one tenant, kept by the gateway itself: 100 writes and 1,000 requests in 20 s (docs/graph.md
§4). A turn is the permission to send one request.

window.py       how many turns there are, and when; pure
fair_queue.py   which caller gets the next turn; pure
told_times.py   the times at which refused callers are to retry; pure
limit.py        the estimate of the limit after Graph's refusals; pure
turns.py        the four together, for coroutines that wait for a turn
windows.py      the two windows of a tenant
shares.py       what a caller is told of its share
"""

from gateway.graph.quota.fair_queue import Weight
from gateway.graph.quota.limit import WINDOW_S
from gateway.graph.quota.shares import own_share, telling
from gateway.graph.quota.told_times import Bidder
from gateway.graph.quota.turns import ANSWER_S, Bid, Sharing, Turns
from gateway.graph.quota.window import LEASE_S
from gateway.graph.quota.windows import Quota

__all__ = ["ANSWER_S", "LEASE_S", "WINDOW_S", "Bid", "Bidder", "Quota", "Sharing", "Turns", "Weight", "own_share", "telling"]
