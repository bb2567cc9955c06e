"""The lease of a policy, the right to write it, as context managers."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from gateway.assignments.policy import Policy
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Permit
from gateway.ledger.ledger import Leases
from gateway.revision import Grant, PolicyName

log = logging.getLogger(__name__)

Permitted = Callable[[], AbstractAsyncContextManager[Permit]]

# Seconds between attempts to get a lease that another gateway holds. The ledger keeps a queue, so that polling starves nobody.
ASK_S = 0.05
# How long a turn of the quota may be held while waiting for a lease: about as long as a round of another gateway takes.
TURN_S = 2.0


@asynccontextmanager
async def leased(policy: Policy, deadline: float) -> AsyncIterator[Grant]:
    """Waits for the policy's lease, and renews it inside the block. The policy's memory then has what others recorded
    meanwhile.

    A lease may be lost inside the block. Nothing here prevents that: the ledger's fence refuses what is recorded under an old
    generation. deadline: event loop's clock. Raises LEASE_HELD if the lease did not come before the deadline,
    LEDGER_UNAVAILABLE."""
    leases, name = policy.deps.leases, policy.name
    while (grant := await leases.acquire(name, max(policy.memory.writes, default=0))) is None:
        if asyncio.get_running_loop().time() + ASK_S >= deadline:
            raise GatewayError(Reason.LEASE_HELD, retry_after=1.0)
        await asyncio.sleep(ASK_S)
    async with held(leases, name, grant.generation, policy.deps.renew_s):
        policy.generation = grant.generation
        policy.memory.recall(grant, policy.now())
        yield grant


@asynccontextmanager
async def leased_for_a_turn(policy: Policy, deadline: float, permit: Permitted) -> AsyncIterator[Permit]:
    """The lease together with the permit (turn and token) of a write. While turns are scarce the turn is taken first, so that
    other replicas may write the policy while this one waits for it. If the lease does not come within TURN_S, the turn is given
    to other policies, and another is taken after the lease. Raises what `leased` and `permit` raise."""
    async with AsyncExitStack() as stack:
        its = await _turn_and_lease(policy, deadline, permit, stack) if policy.turns.are_scarce else None
        if its is None:
            await stack.enter_async_context(leased(policy, deadline))
            its = await stack.enter_async_context(permit())
        yield its


async def _turn_and_lease(policy: Policy, deadline: float, permit: Permitted, stack: AsyncExitStack) -> Permit | None:
    async with AsyncExitStack() as both:
        its = await both.enter_async_context(permit())
        try:
            until = min(deadline, asyncio.get_running_loop().time() + TURN_S)
            await both.enter_async_context(leased(policy, until))
        except GatewayError as error:
            if error.reason is not Reason.LEASE_HELD:
                raise
            return None
        stack.push_async_exit(both.pop_all())
        return its


@asynccontextmanager
async def held(leases: Leases, name: PolicyName, generation: int, renew_s: float) -> AsyncIterator[None]:
    """Renews a granted lease inside the block, and releases it at the end."""
    renewal = asyncio.create_task(_renew(leases, name, generation, renew_s), name="lease renewal")
    try:
        yield
    finally:
        renewal.cancel()
        with contextlib.suppress(GatewayError):  # without the ledger it expires by itself
            await leases.release(name, generation)


async def _renew(leases: Leases, name: PolicyName, generation: int, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        with contextlib.suppress(GatewayError):
            if not await leases.renew(name, generation):
                log.warning("lease lost", extra=name._asdict())
                return
