"""The contract of ledgers for the leases of policies. See ledger_contract for how to use it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.entry import Entry
from gateway.errors import GatewayError
from gateway.ledger.ledger import Query
from gateway.revision import Change, Grant, PolicyName, Revision
from gateway.testing.ledger_contract import Ledgers, intent

POLICY = PolicyName("t", "deviceCompliancePolicies", "p")
ASK_AGAIN_S = 0.02


async def granted(ledger: Any, policy: PolicyName = POLICY, after: int = 0) -> Grant:
    """The grant, asked for until it comes; before a lease of the contract's passes by itself."""
    async with asyncio.timeout(60):
        while (grant := await ledger.acquire(policy, after)) is None:
            await asyncio.sleep(ASK_AGAIN_S)
    return grant  # type: ignore[no-any-return]


async def written(ledger: Any, *entries: Entry, policy: PolicyName = POLICY, **fields: Any) -> int:
    """The number of a new revision, under a lease of its own."""
    grant = await granted(ledger, policy)
    number, ours = await ledger.write_down(policy, Revision(generation=grant.generation, **fields), entries)
    assert ours == {entry.id for entry in entries}
    await ledger.release(policy, grant.generation)
    return number  # type: ignore[no-any-return]


async def concluded(
    ledger: Any, changes: Sequence[Change], foreign: Sequence[Revision] = (), policy: PolicyName = POLICY
) -> list[int]:
    """Under a lease of its own; the numbers of `foreign`."""
    grant = await granted(ledger, policy)
    numbers = await ledger.conclude(policy, grant.generation, changes, foreign)
    await ledger.release(policy, grant.generation)
    return numbers  # type: ignore[no-any-return]


async def known(ledger: Any, after: int = 0) -> dict[int, Revision]:
    grant = await granted(ledger, after=after)
    await ledger.release(POLICY, grant.generation)
    assert [revision.number for revision in grant.revisions] == sorted(revision.number for revision in grant.revisions)
    return {revision.number: revision for revision in grant.revisions}


class LeaseContract(Ledgers):
    """See Leases, and the fence of Revisions.write_down."""

    async def test_each_grant_has_a_higher_generation(self) -> None:
        async with self.started() as ledger:
            first = await ledger.acquire(POLICY)
            assert await ledger.renew(POLICY, first.generation)
            await ledger.release(POLICY, first.generation)
            await ledger.release(POLICY, first.generation)
            assert not await ledger.renew(POLICY, first.generation), "it was let go"
            second = await ledger.acquire(POLICY)
            assert second.generation > first.generation
            assert not await ledger.renew(POLICY, first.generation)
            await ledger.release(POLICY, first.generation)
            assert await ledger.renew(POLICY, second.generation), "only its holder releases it"

    async def test_asking_again_lets_go_of_what_was_granted(self) -> None:
        """The answer to the first may have been lost."""
        async with self.started() as ledger:
            first, second = await ledger.acquire(POLICY), await ledger.acquire(POLICY)
            assert not await ledger.renew(POLICY, first.generation)
            assert await ledger.renew(POLICY, second.generation)

    async def test_policies_are_told_apart_by_all_of_their_name(self) -> None:
        others = [POLICY._replace(**{name: "other"}) for name in PolicyName._fields]
        async with self.started() as ledger:
            grants = await asyncio.gather(*(ledger.acquire(policy) for policy in (POLICY, *others)))
            await written(ledger, touched=b"t")
            assert [await ledger.renew(policy, 1) for policy in others] == [grant.generation == 1 for grant in grants[1:]]
            assert [(await granted(ledger, policy)).revisions for policy in others] == [(), (), ()]

    async def test_a_grant_says_how_many_revisions_there_were(self) -> None:
        """Whatever became of them."""
        async with self.started() as ledger:
            found = [(await granted(ledger)).numbers]
            await written(ledger, touched=b"t")
            grant = await granted(ledger)
            await ledger.conclude(POLICY, grant.generation, [Change(1, "void", answered=True)], [Revision(kind="foreign")])
            found += [grant.numbers, (await granted(ledger)).numbers, (await granted(ledger)).numbers]
            assert found == [0, 1, 2, 2]

    async def test_the_fence(self) -> None:
        async with self.started() as ledger:
            stale, fresh = await ledger.acquire(POLICY), await ledger.acquire(POLICY)
            entry = (await ledger.claim(intent())).entry
            for generation in (stale.generation, 0, fresh.generation + 1):
                revision = Revision(generation=generation)
                with pytest.raises(GatewayError, match="LEASE_LOST"):
                    await ledger.write_down(POLICY, revision, [replace(entry, route="assign")])
            await ledger.release(POLICY, fresh.generation)
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await ledger.write_down(POLICY, Revision(generation=fresh.generation), [])
            assert await known(ledger) == {}
            assert [found.route for found in ledger.find(Query())] == [""], "nothing is written"
            assert await written(ledger) == 1, "and no number used up"

    async def test_a_lease_of_an_earlier_life_is_free(self) -> None:
        async with self.started() as ledger:
            held = await ledger.acquire(POLICY)
        async with self.started() as ledger:
            fresh = await granted(ledger)  # that the other is gone may take a moment to be known
            assert fresh.generation > held.generation

    async def test_who_lets_go_comes_after_who_waits(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            one, other = ledgers
            held = await one.acquire(POLICY)
            assert await other.acquire(POLICY) is None
            await one.release(POLICY, held.generation)
            assert await one.acquire(POLICY) is None
            taken = await other.acquire(POLICY)
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await one.write_down(POLICY, Revision(generation=held.generation), [])
            await other.release(POLICY, taken.generation)
            assert (await one.acquire(POLICY)).generation > taken.generation > held.generation

    async def test_who_lost_the_answer_does_not_keep_others_out(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            one, other = ledgers
            await one.acquire(POLICY)
            assert await other.acquire(POLICY) is None
            assert await one.acquire(POLICY) is None, "the other is before it"
            assert await other.acquire(POLICY) is not None

    async def test_what_a_dead_gateway_holds_or_waits_for_is_free(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            async with self.started() as holder, self.started() as first_in_line:
                await holder.acquire(POLICY)
                assert [await ledger.acquire(POLICY) for ledger in (first_in_line, ledgers[0])] == [None, None]
            assert await granted(ledgers[0])

    async def test_each_of_three_that_keep_asking_gets_its_turn(self) -> None:
        async with self.several(3) as ledgers:
            turns = [0] * len(ledgers)

            async def take_turns(number: int) -> None:
                while max(turns) < 12:
                    grant = await granted(ledgers[number])
                    turns[number] += 1
                    await asyncio.sleep(0)
                    await ledgers[number].release(POLICY, grant.generation)

            await asyncio.gather(*map(take_turns, range(len(ledgers))))
            assert not ledgers or min(turns) >= 6, turns

    async def test_each_policy_that_was_written_is_due_once(self) -> None:
        """See Rota."""
        names = [PolicyName("t", POLICY.set, f"p{number}") for number in range(3)]
        async with self.started() as ledger:
            assert await ledger.due("t", 60) is None
            for name in names:
                await written(ledger, policy=name)
            await granted(ledger, PolicyName("t", POLICY.set, "never written"))
            await written(ledger, policy=PolicyName("another", POLICY.set, "p0"))
            due = [await ledger.due("t", 60) for _ in (1, 2, 3)]
            assert sorted(due) == names
            assert await ledger.due("t", 60) is None
            assert [await ledger.due("t", 0) for _ in range(6)] == due * 2, "who was due longest ago is first"
        async with self.started() as ledger:
            assert await ledger.due("t", 60) is None, "the next gateway goes on where this one was"

    async def test_what_is_due_waits_for_no_lock(self) -> None:
        async with self.several(2) as ledgers:
            names = [PolicyName("t", POLICY.set, f"p{number}") for number in range(20)]
            for name in names if ledgers else ():
                await written(ledgers[0], policy=name)
            found = await asyncio.gather(*(ledger.due("t", 60) for ledger in ledgers for _ in names))
            given = sorted(filter(None, found))
            assert len(set(given)) == len(given), "none is given twice"
            assert set(given) <= set(names)
