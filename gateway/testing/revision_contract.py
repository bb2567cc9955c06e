"""The contract of ledgers for the revisions of policies. See ledger_contract for how to use it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.entry import OK
from gateway.errors import GatewayError
from gateway.ledger.chain import verify
from gateway.ledger.ledger import Query
from gateway.revision import Change, PolicyName, Revision, State
from gateway.testing.lease_contract import POLICY, LeaseContract, concluded, granted, known, written
from gateway.testing.ledger_contract import intent


async def state(ledger: Any, number: int) -> State:
    return (await ledger.recall(POLICY, number)).state  # type: ignore[no-any-return]


class RevisionContract(LeaseContract):
    """See Revisions, and what holds for Leases."""

    async def test_a_revision_is_known_to_whoever_is_granted_the_policy(self) -> None:
        async with self.started() as ledger:
            entry = (await ledger.claim(intent())).entry
            facts: dict[str, Any] = {"kind": "repair", "route": "assign", "client_request_id": "c", "touched": b"\x00t"}
            assert await written(ledger, replace(entry, route="assign"), **facts, sent=b"\xff" * 1000) == 1
            assert await written(ledger) == 2
            found = await known(ledger)
            assert [(r.state, r.acked_s, r.landed_s) for r in found.values()] == [("sent", None, None)] * 2
            assert {name: getattr(found[1], name) for name in facts} == facts
            assert (found[1].sent, found[2].sent, found[2].touched) == (b"\xff" * 1000, None, b"")
            assert (found[1].owner, found[2].generation - found[1].generation) == (entry.owner, 1)
            assert found[1].written_s >= found[2].written_s >= 0
            [kept] = ledger.find(Query())
            assert (kept.revision, kept.route) == (1, "assign")

    async def test_what_the_asker_knows_comes_without_its_body(self) -> None:
        async with self.started() as ledger:
            for number in (1, 2, 3):
                assert await written(ledger, touched=b"t", sent=b"s") == number
            found = await known(ledger, after=2)
            assert [(r.touched, r.sent) for r in found.values()] == [(b"", None), (b"", None), (b"t", b"s")]

    async def test_revisions_of_many_policies_at_once(self) -> None:
        policies = [POLICY._replace(policy=f"p{number}") for number in range(64)]
        async with self.started() as ledger:

            async def rounds(policy: PolicyName) -> None:
                for number in (1, 2, 3):
                    entry = (await ledger.claim(intent(hash((policy, number)), policy=policy.policy))).entry
                    assert await written(ledger, entry, policy=policy, sent=policy.policy.encode()) == number
                    await concluded(ledger, [Change(number, "shown", acked=True)], policy=policy)
                grant = await ledger.acquire(policy)
                assert [(r.number, r.state, r.sent) for r in grant.revisions] == [
                    (number, "shown", policy.policy.encode()) for number in (1, 2, 3)
                ]

            await asyncio.gather(*map(rounds, policies))
            assert sorted(entry.revision for entry in ledger.find(Query())) == sorted([1, 2, 3] * 64)

    async def test_entries_that_are_not_ours_are_not_sent(self) -> None:
        async with self.started() as ledger:
            mine, done = [(await ledger.claim(intent(number))).entry for number in (1, 2)]
            await ledger.update([done.finished(OK, b"a")])
            grant = await ledger.acquire(POLICY)
            revision = Revision(generation=grant.generation)
            assert await ledger.write_down(POLICY, revision, [mine, done]) == (0, {mine.id})
            assert {entry.revision for entry in ledger.find(Query())} == {None}
            assert await ledger.write_down(POLICY, revision, [mine]) == (1, {mine.id}), (
                "the rest goes out, under the same lease"
            )

    @pytest.mark.parametrize(
        ("states", "end"),
        [
            (["doubtful", "shown", "settled"], "settled"),
            (["doubtful", "sent"], "doubtful"),
            (["shown", "doubtful"], "shown"),
            (["shown", "void"], "shown"),
            (["doubtful", "void"], "doubtful"),
            (["void"], "void"),
            (["void", "doubtful"], "void"),
            (["void", "shown"], "void"),
            (["settled", "shown"], "settled"),
        ],
    )
    async def test_states_move_forward_and_evidence_counts(self, states: list[State], end: State) -> None:
        async with self.started() as ledger:
            number = await written(ledger)
            for then in states:
                assert await concluded(ledger, [Change(number, then), Change(99, then)]) == []
            assert await state(ledger, number) == end

    async def test_what_happened_is_kept_as_of_the_first_time(self) -> None:
        async with self.started() as ledger:
            number = await written(ledger)
            await concluded(ledger, [Change(number, "shown", acked=True)])
            first: Any = (await known(ledger))[number]
            assert first.landed_s is None
            await asyncio.sleep(0.05)
            await concluded(ledger, [Change(number, "shown", acked=True, landed=True)])
            then: Any = (await known(ledger))[number]
            assert then.written_s >= then.acked_s > then.landed_s >= 0
            assert then.written_s - then.acked_s == pytest.approx(first.written_s - first.acked_s, abs=1e-3)
            await concluded(ledger, [Change(number, "void", acked=True)])
            assert (await known(ledger))[number].state == "shown"

    async def test_what_others_did_has_its_numbers_too(self) -> None:
        async with self.started() as ledger:
            await written(ledger)
            seen = [Revision(touched=b"x", sent=b"y"), Revision(touched=b"z")]
            assert await concluded(ledger, [Change(1, "settled")], seen) == [2, 3]
            found = await known(ledger)
            assert [(r.number, r.kind, r.state, r.touched) for r in found.values()] == [
                (2, "foreign", "shown", b"x"),
                (3, "foreign", "shown", b"z"),
            ]
            assert all(r.acked_s is not None and r.landed_s is not None for r in found.values())
            assert await written(ledger) == 4

    async def test_numbers_are_never_given_twice(self) -> None:
        async with self.started() as ledger:
            await concluded(ledger, [Change(await written(ledger), "settled")])
        async with self.started() as ledger:
            assert await written(ledger) == 2

    async def test_entries_say_when_they_were_repaired(self) -> None:
        async with self.started() as ledger:
            done, running, other = [(await ledger.claim(intent(number))).entry for number in (1, 2, 3)]
            await written(ledger, done, running)
            await written(ledger, other)
            assert await ledger.update([done.finished(OK, b"a")]) == {done.id}, "its revision it need not say"
            seen = []
            for _ in range(2):
                grant = await ledger.acquire(POLICY)
                revision = Revision(generation=grant.generation, kind="repair")
                await ledger.write_down(POLICY, revision, [], repaired=[1])
                found = {entry.id: entry for entry in ledger.find(Query())}
                seen.append([found[entry.id].repaired for entry in (done, running)])
            assert all(seen[0])
            assert seen[0] == seen[1], "the first time is kept"
            assert (found[other.id].repaired, found[other.id].revision) == ("", 2)
            await ledger.update([replace(running, revision=1, foreign_changes=2).finished(OK, b"a")])
            kept = {entry.id: entry for entry in ledger.find(Query(after=0))}
            assert (kept[running.id].repaired, kept[running.id].foreign_changes) == (seen[0][1], 2)
            assert (kept[done.id].revision, kept[done.id].outcome) == (1, OK)
            assert list(verify(kept.values(), ledger.ends())) == []

    async def test_a_dead_gateway_leaves_its_policies_to_others(self) -> None:
        other = POLICY._replace(policy="other")
        async with self.started() as ledger:
            entry = (await ledger.claim(intent())).entry
            await written(ledger, entry, sent=b"s")
            await written(ledger, policy=other)
            await concluded(ledger, [Change(1, "settled")], [Revision()], other)
            assert await ledger.unsettled() == []
        async with self.started() as ledger:
            async with asyncio.timeout(60):
                while not (left := await ledger.unsettled()):
                    await asyncio.sleep(0.02)  # that the other is gone may take a moment to be known
            assert sorted(left) == sorted([POLICY, other]), "what others did is to be settled as well"
            [found] = (await known(ledger)).values()
            assert (found.sent, found.state, found.owner) == (b"s", "sent", entry.owner)
            await concluded(ledger, [Change(2, "settled", acked=True)], policy=other)
            await written(ledger)
            assert await ledger.unsettled() == [], "who wrote last watches"
            await concluded(ledger, [Change(1, "settled"), Change(2, "settled")])
        async with self.started() as ledger:
            assert await ledger.unsettled() == []
            assert await known(ledger) == {}

    async def test_the_sender_of_a_write_knows_best(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            sender, other = ledgers
            number = await written(sender)
            await concluded(other, [Change(number, "doubtful")])
            assert await state(other, number) == "sent", "whether there was an answer is the sender's to say"
            await concluded(other, [Change(number, "void")])
            assert await state(other, number) == "sent", "and so is that it was surely not carried out"
            await concluded(other, [Change(number, "shown", acked=True)])
            found = (await known(other))[number]
            assert (found.state, found.acked_s is None, found.landed_s) == ("shown", False, None)
            await concluded(sender, [Change(number, "shown", acked=True, landed=True)])
            await concluded(other, [Change(number, "settled", acked=True)])
            await concluded(sender, [Change(number, "shown", acked=True)])
            assert await state(sender, number) == "settled"
            void = await written(sender)
            await concluded(sender, [Change(void, "void")])
            assert await known(other) == {}, "what surely was not carried out needs no watch"

    async def test_who_lost_the_lease_can_say_what_became_of_a_write_and_nothing_else(self) -> None:
        async with self.started() as ledger:
            number = await written(ledger)
            stale = (await ledger.acquire(POLICY)).generation
            assert await ledger.acquire(POLICY) is not None
            changes = [Change(number, "shown", acked=True, answered=True), Change(number, "settled")]
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await ledger.conclude(POLICY, stale, changes, [Revision()])
            found = await known(ledger)
            assert [(r.number, r.state, r.acked_s is None) for r in found.values()] == [(number, "shown", False)]

    async def test_what_was_concluded_without_knowing_of_an_acknowledgement_is_not_taken(self) -> None:
        """Another one said meanwhile what Graph had answered: whoever looked has to look anew."""
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            paused, other = ledgers
            grant = await granted(paused)
            number, _ = await paused.write_down(POLICY, Revision(generation=grant.generation), [])
            await paused.release(POLICY, grant.generation)
            later = await granted(other)
            answered = [Change(number, "shown", acked=True, landed=True, answered=True)]
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await paused.conclude(POLICY, grant.generation, answered)
            with pytest.raises(GatewayError, match="LEASE_LOST"):
                await other.conclude(POLICY, later.generation, [Change(number, "settled")])
            assert await other.conclude(POLICY, later.generation, [Change(number, "shown", acked=True)]) == []
            assert await state(other, number) == "shown"

    async def test_the_entries_of_a_write_are_its_senders_whoever_took_them_over(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            sender, other = ledgers
            mine, early = [(await sender.claim(intent(number))).entry for number in (1, 2)]
            await written(sender, mine)
            await sender.update([replace(mine, revision=1).uncertain("OUTCOME_UNKNOWN"), early.uncertain("OUTCOME_UNKNOWN")])
            taken, unsent = [(await other.claim(intent(number))).entry for number in (1, 2)]
            assert await sender.update([early.finished(OK, b"a")]) == set(), "what it never sent is the other's alone"
            assert await sender.update([replace(mine, revision=1).finished(OK, b"seen")]) == {mine.id}
            assert await other.update([taken.finished("NOT_CARRIED_OUT"), unsent.finished(OK, b"a")]) == {unsent.id}
            assert (await other.claim(intent(1))).entry.answer == b"seen"
            assert list(verify(other.find(Query(after=0)), other.ends())) == []

    async def test_a_write_of_one_who_took_over_is_its_own(self) -> None:
        async with self.several(2) as ledgers:
            if not ledgers:
                return
            sender, other = ledgers
            mine = (await sender.claim(intent())).entry
            await written(sender, mine)
            await sender.update([replace(mine, revision=1).uncertain("OUTCOME_UNKNOWN")])
            taken = (await other.claim(intent())).entry
            assert taken.revision == 1
            assert await written(other, taken) == 2
            assert await sender.update([replace(mine, revision=1).finished(OK, b"a")]) == set()

    async def test_a_closed_ledger_grants_nothing(self) -> None:
        async with self.started() as ledger:
            pass
        for asked in (ledger.acquire(POLICY), ledger.conclude(POLICY, 0, []), ledger.unsettled(), ledger.renew(POLICY, 1)):
            with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
                await asked
