"""The contract of ledgers for the history of policies. See ledger_contract for how to use it."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.changes import RowChange, encoded
from gateway.entry import OK, Entry
from gateway.errors import GatewayError
from gateway.ledger.chain import verify
from gateway.ledger.ledger import Query
from gateway.revision import Change, PolicyName, Revision
from gateway.testing.lease_contract import POLICY, concluded, granted, written
from gateway.testing.ledger_contract import Ledgers, intent

GROUP, OTHER = "0b1c2d3e-1111-4222-8333-444455556666", "0B1C9999-1111-4222-8333-444455556666"
ROW, THEN = {"id": "p_g", "target": {"groupId": GROUP}}, {"id": "p_g", "target": {"groupId": GROUP, "n": 1}}
ADDED, CHANGED = RowChange(f"group {GROUP}", (), (ROW,)), RowChange(f"group {GROUP}", (ROW,), (THEN,))
REMOVED = RowChange(f"exclusion_group {OTHER}", (ROW,), ())
EVERYONE = RowChange("all_devices", (ROW,), ())
UNKNOWN = RowChange("unknown #microsoft.graph.Odd\x00\ud800Target", (), ({"\ud800": "\x00"},))
PATIENCE_S = 60


async def did(ledger: Any, number: int, *changes: RowChange, **facts: Any) -> Entry:
    """A finished entry of a write that changed rows."""
    entry = (await ledger.claim(intent(number, target=""))).entry
    done: Entry = replace(entry, changes=encoded(changes), **facts).finished(OK, b"a")
    assert await ledger.update([done]) == {done.id}
    return done


async def acked(ledger: Any, **fields: Any) -> int:
    """The number of a new revision that took effect."""
    number = await written(ledger, **fields)
    await concluded(ledger, [Change(number, "shown", acked=True, landed=True)])
    return number


async def settled(ledger: Any, **fields: Any) -> int:
    number = await acked(ledger, **fields)
    await concluded(ledger, [Change(number, "settled", acked=True)])
    return number


def chain_of(ledger: Any) -> list[str]:
    with ledger.chained() as (ends, kept):
        return list(verify(kept, ends))


class HistoryContract(Ledgers):
    """See History, and what else of Query, Revision, Change and Grant is of the past."""

    async def test_what_a_write_did_is_kept_with_its_entry(self) -> None:
        async with self.started() as ledger:
            done = await did(ledger, 1, CHANGED, UNKNOWN, etag_before='"a"', etag='"b"')
            claim = await ledger.claim(intent(2, target=""))
            await ledger.update([replace(claim.entry, changes=encoded([ADDED])).finished("NOT_FOUND")])
            found = {entry.request_id: entry for entry in ledger.find(Query())}
            assert found["r1"].changes == done.changes == encoded([CHANGED, UNKNOWN])
            assert (found["r1"].etag_before, found["r1"].etag) == ('"a"', '"b"')
            assert (found["r2"].changes, found["r2"].changes_digest) == (None, ""), "it was not carried out"
            assert (await ledger.claim(intent(1, target=""))).answer == "done"
            assert chain_of(ledger) == []

    async def test_what_a_write_is_about_to_do_outlives_its_gateway(self) -> None:
        changes = encoded([ADDED])
        async with self.started() as ledger:
            entry = (await ledger.claim(intent())).entry
            await written(ledger, replace(entry, sent=b"s", changes=changes, etag_before="b"))
            await ledger.update([replace(entry, sent=b"s", changes=changes).uncertain("OUTCOME_UNKNOWN")])
            assert list(ledger.find(Query(touched=GROUP))) == [], "nobody knows yet"
        async with self.started() as ledger:
            [taken] = await ledger.take_over()
            assert taken.changes == changes
            await ledger.update([taken.finished(OK, b"a")])
            assert [found.changes for found in ledger.find(Query(touched=GROUP))] == [changes]
            assert chain_of(ledger) == []

    async def test_entries_are_found_by_whom_they_touched(self) -> None:
        async with self.started() as ledger:
            for number, changes in enumerate([(ADDED,), (CHANGED, REMOVED), (REMOVED,), (EVERYONE,), (UNKNOWN,), ()]):
                await did(ledger, number, *changes)

            def numbers(touched: str, how: Any = "", **more: Any) -> list[int]:
                return [int(entry.request_id[1:]) for entry in ledger.find(Query(touched=touched, how=how, **more))]

            assert numbers(f"group {GROUP}") == numbers(GROUP) == numbers(GROUP.upper()) == numbers("0b1c2d3e") == [0, 1]
            assert numbers("group") == numbers("Group 0b1c") == [0, 1]
            assert numbers("0b1c") == numbers("0B1C") == [0, 1, 2]
            assert numbers("exclusion_group") == numbers(OTHER.lower()) == numbers("exclusion_group 0b1c") == [1, 2]
            assert numbers("0b1") == numbers("roup") == numbers("1111") == numbers("%b1c") == numbers("group 0b1") == []
            assert numbers("all_devices") == numbers("ALL_DEVICES", "removed") == [3]
            assert numbers("unknown") == numbers("#microsoft.graph.odd") == numbers("microsoft.graph.odd") == [4]
            assert numbers("\x00\ud800") == []
            assert [numbers("0b1c", how) for how in ("added", "changed", "removed")] == [[0], [1], [1, 2]]
            assert numbers("", "added") == [0, 4]
            assert numbers("0b1c", newest=2) == [1, 2]
            assert numbers("0b1c", after=1) == [1, 2]
            assert numbers("0b1c", caller="x") == []
            assert len({entry.id for entry in ledger.find(Query(touched="0b1c"))}) == 3, "each once"

    async def test_the_revisions_of_a_policy_newest_first(self) -> None:
        async with self.started() as ledger:
            entry = (await ledger.claim(intent())).entry
            facts: dict[str, Any] = {"kind": "restore", "route": "assign", "client_request_id": "c", "touched": b"\x00t"}
            one = await acked(ledger, **facts, sent=b"s", base=b"[1]", etag_before="e0", etag_after="e1")
            two = await settled(ledger, base=b"[2]")
            void, doubtful, running = [await written(ledger) for _ in range(3)]
            await concluded(ledger, [Change(void, "void"), Change(doubtful, "doubtful")])
            await concluded(ledger, [Change(doubtful, "settled")])
            [foreign] = await concluded(ledger, [], [Revision(touched=b"f", base=b"[2]")])
            six = await written(ledger, replace(entry, changes=encoded([ADDED])))
            await concluded(ledger, [Change(six, "shown", acked=True)])
            numbers = [kept.number for kept in await ledger.page(POLICY, None, 10)]
            assert numbers == [six, foreign, two, one], "what was not carried out, or nobody knows of, is no history"
            first, last = (await ledger.page(POLICY, two, 10))[0], (await ledger.page(POLICY, None, 1))[0]
            assert {name: getattr(first, name) for name in facts} == facts
            assert (first.policy, first.number, first.etag_before, first.etag_after) == (POLICY, one, "e0", "e1")
            assert (first.state, first.base, first.entries, first.repaired) == ("shown", None, (), "")
            assert first.written_at == pytest.approx(time.time(), abs=PATIENCE_S)
            assert 0 <= last.age_s <= first.age_s < PATIENCE_S
            [found] = last.entries
            assert (found.id, found.changes, found.request, found.answer) == (entry.id, encoded([ADDED]), None, None)
            assert [k.number for k in await ledger.page(POLICY, None, 9, kinds=["foreign", "restore"])] == [foreign, one]
            assert [k.number for k in await ledger.page(POLICY, None, 9, since=last.written_at)] == [six]
            assert [k.number for k in await ledger.page(POLICY, None, 9, until=last.written_at)] == [foreign, two, one]
            assert await ledger.page(POLICY._replace(policy="other"), None, 9) == []
            assert [kept.number for kept in ledger.revisions(policy="p")] == numbers
            assert [kept.number for kept in ledger.revisions("t", "p", "deviceCompliancePolicies", 2)] == numbers[:2]
            assert list(ledger.revisions("x")) == []
            assert (await ledger.kept(POLICY, void, whole=True), await ledger.kept(POLICY, running, whole=False)) == (
                None,
                None,
            )

    async def test_a_revision_has_the_whole_set_before_it(self) -> None:
        async with self.started() as ledger:
            number = await settled(ledger, base=b"[\xff]" * 100, touched=b"t")
            assert (await ledger.kept(POLICY, number, whole=False)).base is None
            assert (await ledger.kept(POLICY, number, whole=True)).base == b"[\xff]" * 100
            assert ledger.revision(POLICY, number).base == b"[\xff]" * 100
            other = await settled(ledger, base=b"[\xff]" * 100)
            assert ledger.revision(POLICY, other).base == b"[\xff]" * 100, "the same again"
            assert ledger.revision(POLICY, await settled(ledger)).base is None
            assert ledger.revision(POLICY, 99) is None
            assert await ledger.kept(POLICY._replace(tenant="x"), number, whole=True) is None

    async def test_when_which_revision_was_the_newest(self) -> None:
        async with self.started() as ledger:
            assert (await ledger.first(POLICY), await ledger.at(POLICY, 2e9)) == (None, None)
            numbers = []
            for _ in range(3):
                numbers.append(await acked(ledger))
                await asyncio.sleep(0.02)
            times = [kept.written_at for kept in reversed(await ledger.page(POLICY, None, 9))]
            assert [await ledger.at(POLICY, moment) for moment in times] == numbers
            assert [await ledger.at(POLICY, moment - 1e-3) for moment in times] == [None, *numbers[:2]]
            assert await ledger.at(POLICY, 4e9) == numbers[-1]
            assert await ledger.first(POLICY) == numbers[0]
            assert await ledger.at(POLICY._replace(set="x"), 4e9) is None

    async def test_what_was_read_back_counts(self) -> None:
        async with self.started() as ledger:
            number = await written(ledger, touched=b"sent", etag_after="guess")
            await concluded(ledger, [Change(number, "shown", acked=True, touched=b"seen", etag="seen")])
            await concluded(ledger, [Change(number, "settled", acked=True)])
            kept = await ledger.kept(POLICY, number, whole=False)
            assert (kept.touched, kept.etag_after) == (b"seen", "seen")
            await concluded(ledger, [Change(number, "settled", acked=True, touched=b"late", etag="late")])
            assert (await ledger.kept(POLICY, number, whole=False)) == replace(kept, age_s=pytest.approx(0, abs=PATIENCE_S))

    async def test_the_newest_is_told_to_who_does_not_know_it_once_all_is_settled(self) -> None:
        async with self.started() as ledger:
            assert (await granted(ledger)).newest is None
            number = await acked(ledger, base=b"[0]", touched=b"t", etag_after="e")
            assert (await granted(ledger)).newest is None, "it is not settled"
            await concluded(ledger, [Change(number, "settled", acked=True)])
            newest: Any = (await granted(ledger)).newest
            assert (newest.number, newest.base, newest.touched, newest.etag_after) == (number, b"[0]", b"t", "e")
            assert 0 <= newest.age_s < PATIENCE_S
            assert (await granted(ledger, after=number)).newest is None
            void = await written(ledger)
            await concluded(ledger, [Change(void, "void")])
            newest = (await granted(ledger)).newest
            assert newest.number == number
            assert (await granted(ledger, after=number)).newest is None
        async with self.started() as ledger:
            newest = (await granted(ledger)).newest
            assert newest.base == b"[0]", "another life asks"

    async def test_what_others_did_is_an_entry_too(self) -> None:
        async with self.started() as ledger:
            changes = encoded([ADDED, REMOVED])
            seen = [Revision(touched=b"x", changes=changes, etag_before="e0", etag_after="e1"), Revision(touched=b"y")]
            seen.append(Revision(touched=b"z", changes=encoded([])))
            assert await concluded(ledger, [], seen) == [1, 2, 3]
            [entry] = ledger.find(Query())
            assert (entry.operation, entry.caller, entry.tenant, entry.policy) == ("ForeignChange", "", "t", "p")
            assert (entry.revision, entry.outcome, entry.state, entry.changes) == (1, OK, "finished", changes)
            assert (entry.etag_before, entry.etag, entry.position) == ("e0", "e1", 1)
            assert GROUP in entry.target
            assert [found.id for found in ledger.find(Query(touched=OTHER))] == [entry.id]
            [kept] = (await ledger.kept(POLICY, 1, whole=False)).entries
            assert kept.id == entry.id
            assert await ledger.take_over() == []
            assert chain_of(ledger) == []

    async def test_a_repair_is_an_entry_once_it_took_effect(self) -> None:
        async with self.started() as ledger:
            number = await written(ledger, kind="repair", route="assign", client_request_id="c", etag_before="e0")
            changes = encoded([ADDED])
            await concluded(ledger, [Change(number, "doubtful", changes=changes)])
            assert list(ledger.find(Query())) == []
            for state in ("shown", "settled"):
                change = Change(number, state, acked=True, landed=True, changes=changes, etag="e1")
                await concluded(ledger, [change])
                [entry] = ledger.find(Query())
            assert (entry.operation, entry.revision, entry.route, entry.client_request_id) == ("Repair", number, "assign", "c")
            assert (entry.changes, entry.etag_before, entry.etag, entry.outcome) == (changes, "e0", "e1", OK)
            other = await written(ledger)
            await concluded(ledger, [Change(other, "shown", acked=True, changes=changes)])
            assert len(list(ledger.find(Query()))) == 1, "a write has its entries"
            assert chain_of(ledger) == []

    async def test_an_entry_by_its_id(self) -> None:
        async with self.started() as ledger:
            done = await did(ledger, 1, ADDED)
            found = await ledger.entry("t", "p", done.id)
            assert (found.id, found.changes, found.answer, found.request) == (done.id, done.changes, None, None)
            assert [await ledger.entry(*names) for names in (("x", "p", done.id), ("t", "x", done.id), ("t", "p", "x"))] == [
                None
            ] * 3
            running = (await ledger.claim(intent(2))).entry
            assert (await ledger.entry("t", "p", running.id)).state == "running"
            for beginning in (done.id, done.id[:-1], done.id[:8]):
                assert [entry.id for entry in ledger.entries_named(beginning)] == [done.id]
            assert ledger.entries_named("%%%%") == ledger.entries_named(done.id[:3]) == ledger.entries_named("") == []

    async def test_policies_by_the_beginning_of_an_id(self) -> None:
        one, two = (POLICY._replace(policy=f"1a2b{end}") for end in ("%_", "xy"))
        async with self.started() as ledger:
            for policy in (one, two, two._replace(tenant="other")):
                await written(ledger, policy=policy)
            assert ledger.policies_named("1a2b", "t") == [one, two]
            assert ledger.policies_named("1a2bx") == [two._replace(tenant="other"), two]
            assert ledger.policies_named("1a2b%_") == [one]
            assert ledger.policies_named("1a2") == ledger.policies_named("") == ledger.policies_named("1a2b_") == []

    async def test_what_was_done_is_told_by_an_open_ledger_only(self) -> None:
        ledger = self.make()
        for _ in range(2):
            asked = (ledger.page(POLICY, None, 1), ledger.kept(POLICY, 1, whole=True), ledger.at(POLICY, 0.0))
            for one in (*asked, ledger.first(POLICY), ledger.entry("t", "p", "e")):
                with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
                    await one
            if not ledger.fault.startswith("not"):
                break
            await ledger.start()
            await ledger.close()

    async def test_others_policies_are_others(self) -> None:
        async with self.started() as ledger:
            number = await settled(ledger, base=b"[0]")
            assert (await ledger.recall(POLICY, number)).base == b"[0]"
            for name in PolicyName._fields:
                other = POLICY._replace(**{name: "other"})
                assert await ledger.page(other, None, 9) == []
                assert (await granted(ledger, other)).newest is None
                assert await ledger.page(POLICY._replace(**{name: ""}), None, 9) == []
