"""Refusals that are alike become few entries, which say how many they were; the first is in the ledger when it is answered."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.entry import Entry
from gateway.errors import GatewayError, Reason
from gateway.pipeline import floods
from gateway.pipeline.floods import KINDS_OF_A_CALLER, Floods

REFUSED = Entry(
    id="e", caller="hr", tenant="t", operation="GetComplianceAssignment", policy="p", began_at="2026-01-01T00:00:00.000000Z"
).finished("CALLER_NOT_PERMITTED")


class Kept:
    """A ledger that keeps what it is told, or cannot for a while."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.error: Exception | None = None

    async def update(self, entries: Sequence[Entry]) -> set[str]:
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        self.entries += entries
        return {entry.id for entry in entries}


async def after_refusals(ledger: Kept, refusals: Sequence[Entry]) -> list[Entry]:
    refused = Floods(ledger)
    for entry in refusals:
        refused.refused(entry)
    await refused.close()
    return ledger.entries


async def test_the_first_of_a_kind_is_in_the_ledger_when_it_is_answered():
    ledger = Kept()
    refused = Floods(ledger)
    await refused.refused(REFUSED)
    assert ledger.entries == [REFUSED]
    assert refused.refused(REFUSED) is None
    assert ledger.entries == [REFUSED], "those alike are counted"
    await refused.close()
    assert [entry.times for entry in ledger.entries] == [1, 1]


@pytest.mark.parametrize("caller", ["hr", ""])
async def test_those_alike_are_one_entry_more(caller: str):
    alike = [replace(REFUSED, id=f"e{number}", caller=caller, request_id=f"r{number}") for number in range(1000)]
    first, rest = await after_refusals(Kept(), alike)
    assert (first, rest.times) == (alike[0], 999)
    assert (rest.policy, rest.request_id) == ("p", ""), "what all of them say, and nothing else"


@pytest.mark.parametrize("name", ["caller", "tenant", "operation", "policy", "outcome"])
async def test_what_differs_in_what_an_auditor_asks_for_is_not_alike(name: str):
    kept = await after_refusals(Kept(), [REFUSED, replace(REFUSED, id="f", **{name: "other"})])
    assert [entry.times for entry in kept] == [1, 1]
    assert {getattr(entry, name) for entry in kept} == {getattr(REFUSED, name), "other"}


@pytest.mark.parametrize("name", ["target", "assignment"])
async def test_an_entry_for_many_names_no_target_that_not_all_of_them_had(name: str):
    refused = [replace(REFUSED, id=f"e{number}", **{name: value}) for number, value in enumerate("aaab")]
    first, rest = await after_refusals(Kept(), refused)
    assert (getattr(first, name), rest.times, getattr(rest, name)) == ("a", 3, "")


@pytest.mark.parametrize(("caller", "most"), [("hr", KINDS_OF_A_CALLER + 2), ("", 2)])
async def test_a_caller_who_asks_for_another_policy_each_time_fills_no_disk(caller: str, most: int):
    refusals = [replace(REFUSED, id=f"e{number}", caller=caller, policy=f"p{number}") for number in range(1000)]
    kept = await after_refusals(Kept(), refusals)
    assert len(kept) == most
    assert sum(entry.times for entry in kept) == 1000
    assert kept[-1].policy == "", "of many policies"


async def test_a_kind_is_written_down_again_after_a_second(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(floods, "SECOND", 0.01)
    ledger = Kept()
    refused = Floods(ledger)
    for _ in range(5):
        refused.refused(REFUSED)
    async with asyncio.timeout(60):
        while sum(entry.times for entry in ledger.entries) < 5 or refused.busy:
            await asyncio.sleep(0.01)
        await refused.refused(REFUSED)
        assert [entry.times for entry in ledger.entries] == [1, 4, 1]
    await refused.close()


@pytest.mark.parametrize("error", [GatewayError(Reason.INTERNAL), RuntimeError("a bug")], ids=["down", "a bug"])
async def test_a_ledger_that_takes_nothing_ends_no_counting_and_no_call(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog
):
    monkeypatch.setattr(floods, "SECOND", 0.01)
    ledger = Kept()
    ledger.error = error
    refused = Floods(ledger)
    await refused.refused(REFUSED)
    async with asyncio.timeout(60):
        while refused.busy:
            await asyncio.sleep(0.01)
    assert "a refusal could not be recorded in the ledger" in caplog.text
    ledger.error = None
    await refused.refused(REFUSED)
    assert ledger.entries == [REFUSED]
    await refused.close()
