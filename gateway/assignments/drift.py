"""Finds drift: changes by others in policies that this gateway is not writing. If a read shows another set than the newest
revision left, the policy's writer looks at it, as after a write; what that look finds becomes a revision of kind `foreign`."""

import asyncio
from collections.abc import Callable

from gateway.assignments.rows import RowSet
from gateway.assignments.writers import Writers
from gateway.errors import GatewayError
from gateway.ledger.ledger import History
from gateway.revision import PolicyName

# Of how many policies the last comparison is remembered, and how many may be compared at once.
MOST_KNOWN, MOST_ASKED = 10_000, 8
# For how long a set that differs is not compared again: the look that was asked for may fail, and what only rows of policy sets
# differ in it does not find.
DIFFERENT_S = 60.0


class Drift:
    """Compares what reads show, in the background. now: monotonic seconds."""

    def __init__(self, history: History, writers: Writers, now: Callable[[], float]) -> None:
        self._history, self._writers, self._now = history, writers, now
        self._known: dict[
            PolicyName, tuple[str, float]
        ] = {}  # the etag of the last set that was compared, and until when it is
        self._asking: dict[PolicyName, asyncio.Task[None]] = {}

    def read(self, policy: PolicyName, rows: RowSet) -> None:
        """Takes note of a whole set that was read."""
        etag, until = self._known.get(policy, ("", 0.0))
        is_known = etag == rows.etag and self._now() < until
        if not is_known and policy not in self._asking and len(self._asking) < MOST_ASKED:
            task = asyncio.create_task(self._compare(policy, rows.etag), name="drift")
            self._asking[policy] = task
            task.add_done_callback(lambda _: self._asking.pop(policy, None))

    async def close(self) -> None:
        """Stops all comparisons."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _compare(self, policy: PolicyName, etag: str) -> None:
        """Compares with what the newest revision left. If that is not settled, a writer watches the policy anyway."""
        try:
            newest = next(iter(await self._history.page(policy, None, 1)), None)
        except GatewayError:  # the next read asks again
            return
        differs = newest is not None and newest.etag_after != etag
        if differs and newest is not None and newest.state == "settled":
            self._writers.watch([policy])
        self._known.pop(policy, None)
        self._known[policy] = etag, self._now() + DIFFERENT_S if differs else float("inf")
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
