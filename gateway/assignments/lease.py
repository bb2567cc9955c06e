"""The right to write a policy, as a block of code has it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.assignments.policy import Policy
from gateway.errors import GatewayError, Reason
from gateway.ledger.ledger import Leases
from gateway.revision import Grant, PolicyName

log = logging.getLogger(__name__)

# How often a lease that others hold is asked for.
ASK_S = 0.05


@asynccontextmanager
async def leased(policy: Policy, deadline: float) -> AsyncIterator[Grant]:
    """Waits for the policy's lease, and renews it inside the block. What others have written down meanwhile is in its memory.

    That a lost lease writes nothing down is the work of the ledger's fence, not ours. Raises LEASE_HELD where its turn does not
    come before `deadline` (event loop's clock), LEDGER_UNAVAILABLE.
    """
    leases, name = policy.deps.leases, policy.name
    while (grant := await leases.acquire(name, max(policy.memory.writes, default=0))) is None:
        if asyncio.get_running_loop().time() + ASK_S >= deadline:
            raise GatewayError(Reason.LEASE_HELD, retry_after=1.0)
        await asyncio.sleep(ASK_S)
    async with held(leases, name, grant.generation, policy.deps.renew_s):
        policy.generation = grant.generation
        policy.memory.recall(grant.revisions, grant.generation, policy.now(), grant.newest)
        yield grant


@asynccontextmanager
async def held(leases: Leases, name: PolicyName, generation: int, renew_s: float) -> AsyncIterator[None]:
    """Renews a lease that was granted, and gives it back at the end of the block."""
    renewal = asyncio.create_task(_renew(leases, name, generation, renew_s), name="lease renewal")
    try:
        yield
    finally:
        renewal.cancel()
        with contextlib.suppress(GatewayError):  # it ends by itself
            await leases.release(name, generation)


async def _renew(leases: Leases, name: PolicyName, generation: int, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(GatewayError):
            if not await leases.renew(name, generation):
                log.warning("lease lost", extra=name._asdict())
                return
