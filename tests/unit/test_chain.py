"""The hash chain finds what was changed, removed or moved."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.entry import OK, Entry, claim_of
from gateway.ledger.chain import FACTS, NEVER_COVERED, START, cut, link, verify
from gateway.ledger.ledger import Ends

CHANGES = {"duration_us": 7, "shared_by": 7, "times": 7, "graph_status": 418, "revision": 7, "foreign_changes": 7}


def chained(count: int, tail: tuple[int, str] = START) -> tuple[list[Entry], Ends]:
    entries, (position, previous) = [], tail
    for number in range(count):
        position += 1
        entry = Entry(id=f"e{number}", caller="c", began_at=f"2026-01-01T00:00:{number:02}.000000Z").finished(OK)
        previous = link(previous, position, entry)
        entries.append(replace(entry, position=position, hash=previous))
    return entries, Ends(tail, (position, previous))


def test_a_whole_chain_is_whole():
    assert list(verify(*chained(0))) == []
    entries, ends = chained(9)
    assert list(verify(entries, ends)) == []
    assert list(verify(entries, ends, [(5, entries[4].hash), (1, entries[0].hash)])) == []


@given(st.integers(0, 8), st.sampled_from([fact for fact in FACTS if fact not in NEVER_COVERED]))
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
    assert list(verify(forged, ends, [noted])) == ["entry 8: its hash is not the one that was noted"]


def let_go(entries: list[Entry], ends: Ends, count: int) -> tuple[list[Entry], Ends]:
    """The same chain after expiry."""
    last = entries[count - 1]
    said, position = cut(count, last.hash), ends.head[0] + 1
    said = replace(said, position=position, hash=link(ends.head[1], position, said))
    return [*entries[count:], said], Ends((count, last.hash), (position, said.hash))


@given(st.integers(1, 9), st.integers(1, 9))
def test_the_oldest_may_be_let_go_where_an_entry_says_so(count: int, other: int):
    whole = chained(9)
    entries, ends = let_go(*whole, count)
    assert list(verify(entries, ends)) == []
    elsewhere = [*whole[0][other:], entries[-1]], replace(ends, tail=(other, whole[0][other - 1].hash))
    said = f"entry {other}: the chain begins after it, but the last recorded cut is after entry {count}"
    assert list(verify(*elsewhere)) == ([] if other == count else [said])


def test_a_chain_of_which_nothing_was_let_go_begins_at_its_beginning():
    entries, ends = chained(9)
    assert list(verify(entries[4:], replace(ends, tail=(4, entries[3].hash)))) == [
        "entry 4: the chain begins after it, but the last recorded cut is after entry 0"
    ]
    assert list(verify(entries, replace(ends, tail=(0, "f" * 64))))


def test_a_noted_head_that_is_gone_is_found():
    entries, ends = chained(3)
    assert list(verify(entries, ends, [(4, "0" * 64)])) == ["entry 4: was noted and is missing"]
    hashes = [entry.hash for entry in entries]
    kept = let_go(entries, ends, 2)
    assert list(verify(*kept, [(1, hashes[0])])) == ["entry 1: is older than the oldest entry that is kept"]
    assert list(verify(*kept, [(2, hashes[1])])) == [], "the last that is not kept is known by its hash"
    assert list(verify(*kept, [(2, "f" * 64)])) == ["entry 2: its hash is not the one that was noted"]


@pytest.mark.parametrize("position", [None, -1, 0, 4, 99, 2.5, "x"])
def test_what_is_finished_and_has_no_place_in_the_chain_is_found(position: object):
    entries, ends = chained(3)
    hidden = replace(entries[0], id="hidden", position=position)
    order = [*entries, hidden] if position in (4, 99, "x") else [hidden, *entries]
    assert list(verify(order, ends)) == [
        f"entry hidden: its position {position} is taken by another entry, or outside the chain"
    ]


@given(st.integers(0, 2))
def test_twins_are_found(index: int):
    entries, ends = chained(3)
    entries.insert(index + 1, replace(entries[index], id="twin"))
    assert list(verify(entries, ends)) == [
        f"entry twin: its position {index + 1} is taken by another entry, or outside the chain"
    ]


BEGUN = Entry(
    id="e", caller="c", tenant="t", request_id="r", began_at="2026-01-01T00:00:00.000000Z", claim=claim_of("c", "t", "r")
)
ANSWERED = replace(BEGUN, changes=b"changes", etag_before="a", etag="b").finished(OK, b"answer")
FORGED = {
    "another answer": {"answer": b"forged"},
    "no answer": {"answer": None},
    "another's request id": {"claim": claim_of("c", "t", "another's")},
    "not finished": {"state": "running"},
    "bytes for text": {"caller": b"c"},
    "no digest": {"answer_digest": "", "answer": b"forged"},
    "other changes": {"changes": b"forged"},
    "no changes": {"changes": None},
    "no changes and no digest": {"changes": None, "changes_digest": ""},
    "changes without a digest": {"changes_digest": ""},
    "changes as text": {"changes": "changes"},
    "another set before": {"etag_before": "c"},
    "another set after": {"etag": ""},
}


@pytest.mark.parametrize("name", FORGED)
def test_what_an_entry_is_answered_with_is_covered(name: str):
    entry = replace(ANSWERED, position=1, hash=link(START[1], 1, ANSWERED))
    ends = Ends(START, (1, entry.hash))
    assert list(verify([entry], ends)) == []
    assert list(verify([replace(entry, claim=None, answer=None)], ends)) == [], "answers are forgotten"
    assert len(list(verify([replace(entry, **FORGED[name])], ends))) == 1


def test_what_was_added_to_an_entry_that_did_nothing_is_found():
    nothing = BEGUN.finished(OK, b"answer")
    entry = replace(nothing, position=1, hash=link(START[1], 1, nothing))
    forged = replace(entry, changes=b"forged")
    assert len(list(verify([forged], Ends(START, (1, entry.hash))))) == 1


def test_what_was_not_carried_out_did_nothing():
    begun = replace(BEGUN, changes=b"changes")
    assert [begun.uncertain("OUTCOME_UNKNOWN").changes, begun.finished("NOT_FOUND").changes] == [b"changes", None]
    assert begun.finished("SET_CHANGED", b"").changes == b"changes", "carried out, and there is no answer to it"
    assert (begun.finished("NOT_FOUND").changes_digest, begun.uncertain("OUTCOME_UNKNOWN").changes_digest) == ("", "")


def test_another_head_is_found():
    entries, ends = chained(3)
    assert list(verify(entries, replace(ends, head=(3, "0" * 64)))) == ["entry 3: the head of the chain has another hash"]


def test_what_comes_after_the_end_does_not_break_the_chain():
    entries, ends = chained(3)
    entries[1] = replace(entries[1], repaired="2026-01-01T00:00:09.000000Z")
    assert list(verify(entries, ends)) == []


def test_hashes_of_earlier_versions_are_still_true():
    """They were computed by the gateways of migrations 0001 and 0002, before there was a correlation_id, and a revision."""
    first = "dfbd0b4a53ff814c08b15d285efba1a71206d606fac624ce918c0cffdeed9632"
    assert link("0" * 64, 1, Entry(id="e", caller="hr", outcome="OK")) == first
    assert link("0" * 64, 1, Entry(id="e", caller="hr", outcome="OK", correlation_id="c")) != first
    second = "992394e8aadbabf37f3b49726eda29b1f7d7c76ade6bcc2c445fccee1852cbda"
    entry = Entry(id="e", caller="hr", outcome="OK", correlation_id="c")
    assert link("0" * 64, 1, entry) == second
    hashes = {link("0" * 64, 1, replace(entry, revision=r, foreign_changes=f)) for r in (None, 1) for f in (0, 1)}
    assert len(hashes) == 4
    facts = ("changes_digest", "etag_before", "etag")
    assert {link("0" * 64, 1, replace(entry, **dict.fromkeys(facts, ""))), second} == {second}
    assert len({link("0" * 64, 1, replace(entry, **{name: "x"})) for name in facts} | {second}) == 4
