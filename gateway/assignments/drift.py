"""Drift: what others changed in a policy that nobody of ours writes just now. A read that shows another set than our newest
revision left has the policy looked at, as after a write; what that look finds becomes a revision of kind `foreign`."""

import asyncio

from gateway.assignments.rows import RowSet
from gateway.assignments.writers import Writers
from gateway.errors import GatewayError
from gateway.ledger.ledger import History
from gateway.revision import PolicyName

# Of how many policies the last etag is remembered, and how many may be asked about at once.
MOST_KNOWN, MOST_ASKED = 10_000, 8


class Drift:
    """Sees what callers' reads show; it costs them nothing."""

    def __init__(self, history: History, writers: Writers) -> None:
        self._history, self._writers = history, writers
        self._known: dict[PolicyName, str] = {}  # by policy, the etag of the last set that was compared
        self._asking: dict[PolicyName, asyncio.Task[None]] = {}

    def read(self, policy: PolicyName, rows: RowSet) -> None:
        """Somebody read this whole set."""
        if self._known.get(policy) != rows.etag and policy not in self._asking and len(self._asking) < MOST_ASKED:
            task = asyncio.create_task(self._compare(policy, rows.etag), name="drift")
            self._asking[policy] = task
            task.add_done_callback(lambda _: self._asking.pop(policy, None))

    async def close(self) -> None:
        """Asks nothing more."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _compare(self, policy: PolicyName, etag: str) -> None:
        """With what our newest revision left. Where that is not settled, somebody watches the policy anyhow."""
        try:
            newest = next(iter(await self._history.page(policy, None, 1)), None)
        except GatewayError:  # the next read asks again
            return
        if newest is not None and newest.state == "settled" and newest.etag_after != etag:
            self._writers.watch([policy])
        self._known.pop(policy, None)
        self._known[policy] = etag
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
