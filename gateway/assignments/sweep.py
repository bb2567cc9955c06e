"""The sweep: reads every policy that the ledger knows at intervals, to find drift that no caller's read shows.

Promises: one gateway of a ledger sweeps a tenant at a time; it uses at most SHARE of the tenant's requests; a gateway that
takes over continues where the last one was.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from gateway.assignments.drift import Drift
from gateway.assignments.lease import held
from gateway.assignments.upstream import Upstream
from gateway.call import Record
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.quota import WINDOW_S
from gateway.ledger.ledger import Leases, Rota
from gateway.metrics import DRIFT_READS
from gateway.revision import PolicyName
from gateway.sets import SETS

SHARE = 0.05
# How long one policy's read may take.
READ_S = 30.0
LONGEST_PAUSE_S = 60.0


class SweepLedger(Leases, Rota, Protocol):
    """What a sweep needs of the ledger."""


class Sweep:
    """graphs: tenant name -> client. every_s: how often each policy is read. requests: the tenant's limit in WINDOW_S. renew_s:
    how often the lease is renewed. sleep: for tests."""

    def __init__(
        self,
        ledger: SweepLedger,
        graphs: Mapping[str, GraphClient],
        drift: Drift,
        every_s: float,
        requests: int,
        renew_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger, self._graphs, self._drift = ledger, graphs, drift
        self._every_s, self._renew_s, self._request_s = every_s, renew_s, WINDOW_S / (SHARE * requests)
        self._sleep = sleep

    @property
    def pause_s(self) -> float:
        """Seconds between two sweeps: the longest that a due policy waits."""
        return min(self._every_s / 10, LONGEST_PAUSE_S)

    async def __call__(self, tenant: str) -> None:
        """Reads all due policies, unless another gateway does or the ledger is down."""
        name = PolicyName(tenant, "drift", "")  # no policy: the right to sweep is leased as the right to write one is
        with contextlib.suppress(GatewayError):
            if (grant := await self._ledger.acquire(name)) is None:
                return
            async with held(self._ledger, name, grant.generation, self._renew_s):
                while await self._ledger.renew(name, grant.generation):
                    policy = await self._ledger.due(tenant, self._every_s)
                    if policy is None:
                        return
                    await self._sleep(await self._read(policy) * self._request_s)

    async def _read(self, policy: PolicyName) -> int:
        """Reads a policy, and returns the number of requests. One that cannot be read is read when it is due again."""
        if policy.set not in SETS:  # of a version that knew more
            return 0
        record, outcome = Record(), "OK"
        upstream = Upstream(self._graphs[policy.tenant], SETS[policy.set], policy.policy, record)
        try:
            look = await upstream.read(asyncio.get_running_loop().time() + READ_S)
        except GatewayError as error:
            outcome = error.reason.name
        else:
            self._drift.read(policy, look.rows)
        DRIFT_READS.labels(policy.tenant, outcome).inc()
        return int(str(record.facts.get("graph_requests", 1)))
