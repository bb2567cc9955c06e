"""The contract of ledgers for entries. Subclass LedgerContract, and RevisionContract as well, and define `make`: each call
returns the ledger of another gateway over the same records, or None if the kind serves only one gateway. Leases there have to
live for more than a minute."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from gateway.entry import OK, Entry, claim_of, utc_now
from gateway.errors import GatewayError
from gateway.ledger.chain import verify
from gateway.ledger.ledger import Query


async def up(ledger: Any) -> None:
    """Starts the ledger. On a busy machine its database may answer only a later try to open it."""
    await ledger.start()
    async with asyncio.timeout(60):
        while not ledger.up:
            await asyncio.sleep(0.02)


def intent(number: int = 1, digest: str = "d", **fields: Any) -> Entry:
    """A write as `idempotency` claims it."""
    values: dict[str, Any] = {
        "caller": "c", "tenant": "t", "operation": "CreateComplianceAssignment", "policy": "p", "target": f"group {number}"
    }  # fmt: skip
    return Entry(
        id=uuid4().hex,
        request_id=f"r{number}",
        digest=digest,
        began_at=utc_now(),
        claim=claim_of("c", "t", f"r{number}"),
        request=b"request \x00",
        **values | fields,
    )


class Ledgers(ABC):
    """How the contracts come by ledgers."""

    @abstractmethod
    def make(self) -> Any:
        """One gateway's ledger; not started."""

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Any]:
        ledger = self.make()
        await up(ledger)
        try:
            yield ledger
        finally:
            await ledger.close()

    @asynccontextmanager
    async def several(self, count: int) -> AsyncIterator[Any]:
        """The started ledgers of so many gateways; none if the kind serves only one gateway."""
        async with AsyncExitStack() as stack:
            ledgers = [await stack.enter_async_context(self.started())]
            for _ in range(count - 1):
                if (other := self.make()) is None:
                    yield []
                    return
                await other.start()
                stack.push_async_callback(other.close)
                ledgers.append(other)
            yield ledgers


class LedgerContract(Ledgers):
    """See Ledger and LedgerReader."""

    async def test_a_secret_outlives_every_gateway_and_is_shared(self) -> None:
        assert self.make().secret == b""
        async with self.started() as ledger:
            first = ledger.secret
        assert len(first) == 32
        async with self.started() as ledger:
            assert ledger.secret == first
        async with self.several(2) as ledgers:
            assert {ledger.secret for ledger in ledgers} <= {first}

    async def test_a_new_claim_is_new_once(self) -> None:
        async with self.started() as ledger:
            assert ledger.up
            first, second = await ledger.claim(intent()), await ledger.claim(intent())
            assert (first.answer, second.answer) == ("new", "running")
            assert second.entry.id == first.entry.id

    async def test_what_is_done_is_answered_again(self) -> None:
        async with self.started() as ledger:
            claim = await ledger.claim(intent())
            done = replace(claim.entry, assignment="a", graph_status=204, sent=b"s").finished(OK, b"answer \x00\xff")
            assert await ledger.update([done]) == {done.id}
            again = await ledger.claim(intent())
            assert (again.answer, again.entry.answer, again.entry.assignment) == ("done", b"answer \x00\xff", "a")
            assert (again.entry.request, again.entry.sent) == (None, None), "what nobody needs any more is not kept"

    async def test_what_was_not_carried_out_is_free_again(self) -> None:
        async with self.started() as ledger:
            claim = await ledger.claim(intent())
            await ledger.update([claim.entry.finished("NOT_FOUND")])
            assert (await ledger.claim(intent(digest="other"))).answer == "new"
            assert [entry.outcome for entry in ledger.find(Query())] == ["NOT_FOUND", ""]

    async def test_what_is_uncertain_is_the_next_ones_with_what_was_sent(self) -> None:
        async with self.started() as ledger:
            claim = await ledger.claim(intent())
            sent = replace(claim.entry, sent=b"sent", client_request_id="ours")
            assert await ledger.update([sent]) == {sent.id}
            await ledger.update([sent.uncertain("OUTCOME_UNKNOWN")])
            again = await ledger.claim(intent())
            assert (again.answer, again.entry.sent, again.entry.client_request_id) == ("uncertain", b"sent", "ours")
            assert (await ledger.claim(intent())).answer == "running"

    async def test_another_digest_takes_nothing_over(self) -> None:
        async with self.started() as ledger:
            claim = await ledger.claim(intent())
            await ledger.update([replace(claim.entry, sent=b"sent").uncertain("OUTCOME_UNKNOWN")])
            other = await ledger.claim(intent(digest="other"))
            assert (other.answer, other.entry.digest) == ("running", "d")
            assert (await ledger.claim(intent())).answer == "uncertain"

    async def test_request_ids_of_others_are_others(self) -> None:
        async with self.started() as ledger:
            claims = [await ledger.claim(replace(intent(), claim=claim_of(c, t, "r"))) for c in "ab" for t in "xy"]
            assert [claim.answer for claim in claims] == ["new"] * 4

    async def test_many_at_once_are_each_new_once(self) -> None:
        async with self.started() as ledger:
            claims = await asyncio.gather(*(ledger.claim(intent(i % 50)) for i in range(500)))
            new = [claim for claim in claims if claim.answer == "new"]
            assert len(new) == len({claim.entry.request_id for claim in new}) == 50
            await asyncio.gather(*(ledger.update([claim.entry.finished(OK, b"a")]) for claim in new))
            assert {claim.answer for claim in [await ledger.claim(intent(i)) for i in range(50)]} == {"done"}
            with ledger.chained() as (ends, kept):
                assert list(verify(kept, ends)) == []
                assert ends == ledger.ends()

    async def test_refusals_are_finished_entries(self) -> None:
        async with self.started() as ledger:
            refused = replace(intent(), claim=None, request=None).finished("PERMISSION_DENIED")
            assert await ledger.update([refused]) == {refused.id}
            [found] = ledger.find(Query())
            assert (found.outcome, found.position) == ("PERMISSION_DENIED", 1)

    async def test_what_is_finished_stays_as_it_is(self) -> None:
        async with self.started() as ledger:
            claim = await ledger.claim(intent())
            await ledger.update([claim.entry.finished(OK, b"a")])
            assert await ledger.update([replace(claim.entry, assignment="forged").finished(OK, b"b")]) == set()
            assert (await ledger.claim(intent())).entry.answer == b"a"

    async def test_a_gateway_that_closed_leaves_its_work_to_the_next(self) -> None:
        async with self.started() as ledger:
            unsent, sent = [(await ledger.claim(intent(i))).entry for i in (1, 2)]
            await ledger.update([replace(sent, sent=b"sent")])
            assert await ledger.take_over() == [], "it is alive"
        async with self.started() as next_one:
            mine = {entry.id: entry for entry in await next_one.take_over()}
            assert mine.keys() == {unsent.id, sent.id}
            assert (mine[unsent.id].sent, mine[sent.id].sent) == (None, b"sent")
            assert mine[sent.id].request == b"request \x00"
            assert await next_one.take_over() == []
            assert await next_one.update([mine[sent.id].finished(OK, b"a")]) == {sent.id}

    async def test_a_claim_takes_over_what_a_dead_gateway_began(self) -> None:
        async with self.started() as ledger:
            unsent, sent = [(await ledger.claim(intent(i))).entry for i in (1, 2)]
            await ledger.update([replace(sent, sent=b"sent")])
        async with self.started() as next_one:
            assert [(await next_one.claim(intent(i))).answer for i in (1, 2)] == ["new", "uncertain"]
            assert unsent.id in {entry.id for entry in next_one.find(Query(any_id="r1"))}

    async def test_two_gateways_at_once(self) -> None:
        """Where the kind serves one gateway only, the second does not start."""
        async with self.started() as one:
            other = self.make()
            if other is None:
                return
            await other.start()
            try:
                claims = await asyncio.gather(*(ledger.claim(intent(i)) for i in range(40) for ledger in (one, other)))
                assert [claim.answer for claim in claims].count("new") == 40
                assert await other.take_over() == await one.take_over() == []
                mine = (await one.claim(intent(40))).entry
                assert await other.update([mine.finished(OK, b"stolen")]) == set()
                news = [claim.entry for claim in claims if claim.answer == "new"]
                ledgers = {claims[i].entry.id: (one, other)[i % 2] for i in range(80) if claims[i].answer == "new"}
                await asyncio.gather(*(ledgers[entry.id].update([entry.finished(OK, b"a")]) for entry in news))
                assert list(verify(one.find(Query(after=0)), one.ends())) == []
                assert len(list(one.find(Query()))) == 41
            finally:
                await other.close()

    async def test_a_closed_ledger_takes_nothing(self) -> None:
        async with self.started() as ledger:
            pass
        assert not ledger.up
        with pytest.raises(GatewayError, match="LEDGER_UNAVAILABLE"):
            await ledger.claim(intent())

    async def test_filters(self) -> None:
        async with self.started() as ledger:
            for number in range(6):
                ids = {"policy": f"p{number}", "correlation_id": f"x{number}"}
                entry = (await ledger.claim(intent(number, caller="ab"[number % 2], **ids))).entry
                facts = {"graph_request_id": f"g{number}", "client_request_id": f"c{number}", "assignment": f"p_x{number}"}
                await ledger.update([replace(entry, **facts).finished(OK if number else "NOT_FOUND", b"a" if number else None)])
            found = list(ledger.find(Query()))
            assert [entry.request_id for entry in found] == [f"r{i}" for i in range(6)]

            def numbers(**query: Any) -> list[int]:
                return [int(entry.request_id[1:]) for entry in ledger.find(Query(**query))]

            assert numbers(caller="b") == [1, 3, 5]
            assert numbers(caller="b", policy="p3") == numbers(graph_request_id="g3") == numbers(client_request_id="c3") == [3]
            assert numbers(outcome="NOT_FOUND") == [0]
            assert numbers(target="GROUP 4") == numbers(target="_x4") == [4], "as text, not as a pattern"
            assert numbers(target="%") == []
            assert numbers(newest=2) == [4, 5]
            assert numbers(after=4) == [4, 5]
            assert numbers(since=found[2].began_at, until=found[4].began_at) == [2, 3]
            for any_id in ("r3", "x3", "g3", "c3", "p_x3", found[3].id):
                assert numbers(any_id=any_id) == [3]
            assert numbers(operation="DeleteComplianceAssignment") == numbers(tenant="x") == numbers(request_id="r") == []
