"""The right to write a policy, as a block of code has it."""

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

# How often a lease that others hold is asked for.
ASK_S = 0.05
# How long a turn of the quota waits for one: about as long as another's round takes.
TURN_S = 2.0


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
async def leased_for_a_turn(policy: Policy, deadline: float, permit: Permitted) -> AsyncIterator[Permit]:
    """The lease, and what a write waits for beside it. While turns are scarce the turn comes first, so that other replicas may
    write meanwhile. Where others have the lease for long, the turn is for other policies, and another comes after the lease.
    Raises what both raise."""
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
