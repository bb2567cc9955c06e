"""The hash chain finds what was changed, removed or moved."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.entry import Entry
from gateway.ledger.chain import FACTS, START, link, verify
from gateway.ledger.ledger import Ends

CHANGES = {"duration_us": 7, "shared_by": 7, "times": 7, "graph_status": 418}


def chained(count: int, tail: tuple[int, str] = START) -> tuple[list[Entry], Ends]:
    entries, (position, previous) = [], tail
    for number in range(count):
        position += 1
        entry = Entry(id=f"e{number}", caller="c", began_at=f"2026-01-01T00:00:{number:02}.000000Z", outcome="OK")
        previous = link(previous, position, entry)
        entries.append(replace(entry, position=position, hash=previous))
    return entries, Ends(tail, (position, previous))


def test_a_whole_chain_is_whole():
    assert list(verify(*chained(0))) == []
    entries, ends = chained(9)
    assert list(verify(entries, ends)) == []
    assert list(verify(entries[4:], replace(ends, tail=(4, entries[3].hash)))) == [], "the oldest may have been let go"
    assert list(verify(entries, ends, (5, entries[4].hash))) == []


@given(st.integers(0, 8), st.sampled_from(FACTS))
def test_a_changed_fact_is_found(index: int, fact: str):
    entries, ends = chained(9)
    entries[index] = replace(entries[index], **{fact: CHANGES.get(fact, "forged")})
    assert [line.split(":")[0] for line in verify(entries, ends)] == [f"entry {index + 1}"]


@given(st.integers(0, 8), st.integers(1, 9))
def test_removed_entries_are_found(first: int, count: int):
    entries, ends = chained(9)
    del entries[first : first + count]
    assert any("missing" in line for line in verify(entries, ends))


@given(st.lists(st.integers(0, 8), min_size=2, max_size=2, unique=True))
def test_moved_entries_are_found(two: list[int]):
    entries, ends = chained(9)
    one, other = entries[two[0]], entries[two[1]]
    entries[two[0]], entries[two[1]] = (
        replace(other, position=one.position, hash=one.hash),
        replace(one, position=other.position, hash=other.hash),
    )
    assert len(list(verify(entries, ends))) == 2


@given(st.integers(0, 8))
def test_a_chain_that_was_computed_anew_is_found_by_a_noted_head(index: int):
    entries, ends = chained(9)
    noted = entries[-2].position, entries[-2].hash
    if index == len(entries) - 1:
        return
    forged, previous = [], START[1]
    for number, entry in enumerate(entries):
        fresh = replace(entry, caller="forged") if number == index else entry
        previous = link(previous, entry.position, fresh)
        forged.append(replace(fresh, hash=previous))
    ends = Ends(START, (9, previous))
    assert list(verify(forged, ends)) == []
    assert list(verify(forged, ends, noted)) == ["entry 8: its hash is not the one that was noted"]


def test_a_noted_head_that_is_gone_is_found():
    entries, ends = chained(3)
    assert list(verify(entries, ends, (4, "0" * 64))) == ["entry 4: was noted and is missing"]
    assert list(verify(entries[2:], replace(ends, tail=(2, entries[1].hash)), (1, entries[0].hash))) == [
        "entry 1: is older than what is kept"
    ]


def test_another_head_is_found():
    entries, ends = chained(3)
    assert list(verify(entries, replace(ends, head=(3, "0" * 64)))) == ["entry 3: the head of the chain is another"]


def test_a_hash_of_the_first_version_is_still_true():
    """It was computed by the gateway of migration 0001, before there was a correlation_id."""
    first = "dfbd0b4a53ff814c08b15d285efba1a71206d606fac624ce918c0cffdeed9632"
    assert link("0" * 64, 1, Entry(id="e", caller="hr", outcome="OK")) == first
    assert link("0" * 64, 1, Entry(id="e", caller="hr", outcome="OK", correlation_id="c")) != first
