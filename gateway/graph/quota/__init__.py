"""Graph's quota for one app in one tenant, kept from our side: 100 writes and 1,000 requests in 20 s (docs/graph.md §4).

window.py       how many turns there are, and when: pure
fair_queue.py   whose turn it is: pure
told_times.py   when those come back who were refused, and who of them is served: pure
limit.py        what the limit is taken to be after Graph's own refusals: pure
turns.py        the four together, for who waits on an event loop
windows.py      the turns of a tenant's two windows
"""

from gateway.graph.quota.fair_queue import Weight
from gateway.graph.quota.limit import WINDOW_S
from gateway.graph.quota.told_times import Bidder
from gateway.graph.quota.turns import ANSWER_S, Bid, Sharing, Turns
from gateway.graph.quota.window import LEASE_S
from gateway.graph.quota.windows import Quota

__all__ = ["ANSWER_S", "LEASE_S", "WINDOW_S", "Bid", "Bidder", "Quota", "Sharing", "Turns", "Weight"]
