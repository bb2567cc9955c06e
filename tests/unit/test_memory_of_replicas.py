"""What the state machine found in the memory: a late write, a replica's or a deletion is not mistaken for others' changes."""

from dataclasses import replace

import pytest

from gateway.assignments.looks import Bounds, Look
from gateway.assignments.memory import Memory
from gateway.assignments.past_writes import PastWrite
from gateway.assignments.rows import Row, RowSet, Touch, key_of, value_of
from gateway.revision import Grant, Revision
from gateway.sets import COMPLIANCE

LAG, LATE = 1.0, 10.0
OTHERS = Grant(7, 7, ())  # a lease after others wrote
ALONE = Grant(1, 0, ())  # the first lease


def row(number: int, filter_type: str = "none") -> Row:
    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": f"{number:08x}-0000-4000-8000-000000000000"}
    filtered = {
        "deviceAndAppManagementAssignmentFilterId": "51627384-95a6-4b7c-88d9-eafb0c1d2e34",
        "deviceAndAppManagementAssignmentFilterType": filter_type,
    }
    return {"target": target | (filtered if filter_type != "none" else {})}


A, B, FILTERED = row(1), row(2), row(1, "include")
KEY = key_of(A)


def memory() -> Memory:
    return Memory(COMPLIANCE, Bounds(LAG, LATE))


def write(number: int, before: tuple[Row, ...], after: tuple[Row, ...], sent: tuple[Row, ...], at: float) -> PastWrite:
    touched = {key_of((before or after)[0]): Touch(before, after)}
    return PastWrite(COMPLIANCE, "write", touched, RowSet(COMPLIANCE, sent), at, number=number)


def look(asked: float, *rows: Row) -> Look:
    return Look(RowSet(COMPLIANCE, rows), asked)


def test_a_deletion_is_remembered_as_long_as_the_creation_before_it():
    """The late write leaves the row away as the deletion does, so it cannot undo that; what it can undo is the other
    creation."""
    known = memory()
    known.add(write(1, (), (row(3),), (row(3),), 0.0))
    known.doubtful(1, {})
    both = write(2, (), (A,), (A, B), 1.0)
    both = PastWrite(COMPLIANCE, "write", {KEY: Touch((), (A,)), key_of(B): Touch((), (B,))}, both.sent, 1.0, number=2)
    known.add(both)
    known.accepted(2, 1.1)
    known.add(write(3, (A,), (), (B,), 2.0))
    known.accepted(3, 2.1)
    for asked in (3.2, 3.3, 3.4):
        assert known.judge(look(asked, B), asked).repairs == {}
    assert known.judge(look(10.5, row(3)), 10.5).repairs == {key_of(B): (B,)}, "and not A"


def test_a_change_that_a_look_showed_was_undone_by_a_write_that_landed_before_the_look_was_judged():
    """The look comes from a replica that lags: it shows the change after the write that undid it was accepted."""
    known = memory()
    known.add(write(1, (A,), (FILTERED,), (FILTERED,), 1.0))
    known.doubtful(1, {})
    known.add(write(2, (), (B,), (A, B), 2.0))
    known.accepted(2, 2.1)
    assert known.judge(look(2.2, FILTERED), 2.3).old
    assert known.writes[1].acked is not None
    assert known.judge(look(3.5, A, B), 3.5).repairs == {KEY: (FILTERED,)}


def test_a_change_counts_from_when_the_look_was_asked_for_however_much_later_it_is_judged():
    """The gateway was paused between the two; what undid the change landed meanwhile."""
    known = memory()
    known.add(write(1, (A,), (FILTERED,), (FILTERED,), 1.0))
    known.doubtful(1, {})
    known.add(write(2, (), (B,), (A, B), 2.0))
    known.accepted(2, 2.1)
    known.judge(look(2.2, FILTERED), 4.0)
    assert known.judge(look(5.1, A, B), 5.1).repairs == {KEY: (FILTERED,)}


def test_a_late_repair_does_not_bring_back_what_was_deleted_after_it():
    known = memory()
    known.add(write(1, (), (A,), (A,), 1.0))
    known.doubtful(1, {})  # a first attempt; the second one went through
    known.add(write(2, (), (A,), (A,), 2.0))
    known.accepted(2, 2.1)
    known.add(write(3, (A,), (), (), 3.0))
    known.accepted(3, 3.1)
    assert not known.judge(look(4.5), 4.5).repairs
    assert known.judge(look(5.6, A), 5.6).repairs == {KEY: ()}


def test_what_another_replica_wrote_and_settled_meanwhile_is_not_taken_for_our_doing():
    known = memory()
    assert known.judge(look(1.0), 1.0).repairs == {}
    known.recall(OTHERS, 20.0)
    known.add(write(9, (), (B,), (A, B), 20.0))
    known.accepted(9, 20.1)
    verdict = known.judge(look(20.2, A, B), 20.2)
    assert (verdict.repairs, verdict.foreign) == ({}, {})


def test_what_another_replica_settled_meanwhile_is_not_taken_for_the_doing_of_others():
    known = memory()
    known.add(write(1, (), (A,), (A,), 1.0))
    known.doubtful(1, {})
    known.judge(look(2.0), 2.0)
    known.recall(Grant(7, 1, ()), 20.0)
    assert known.judge(look(20.2, A), 20.2).foreign == {}


@pytest.mark.parametrize("grant", [Grant(2, 1, ()), Grant(1, 2, ())], ids=["others had the lease", "there are more revisions"])
def test_what_was_not_saved_is_not_held_against_what_others_said(grant: Grant):
    known = memory()
    known.add(write(1, (), (A,), (A,), 1.0))
    known.doubtful(1, {})
    known.judge(look(2.0, A), 2.0)
    assert known.is_protected({KEY: value_of(COMPLIANCE, (A,))})
    known.recall(replace(grant, revisions=(Revision(number=1, state="doubtful", written_s=19.0),)), 20.0)
    assert not known.is_protected({KEY: value_of(COMPLIANCE, (A,))})


def test_what_is_forgotten_may_be_unsettled_until_it_is_recalled():
    known = memory()
    assert known.ends_at() is None
    known.start_anew()
    assert known.ends_at() is not None
    known.recall(ALONE, 20.0)
    assert known.ends_at() is None


def test_what_others_did_is_told_where_nobody_else_wrote():
    known = memory()
    known.judge(look(1.0), 1.0)
    known.recall(ALONE, 20.0)
    assert list(known.judge(look(20.2, A), 20.2).foreign) == [KEY]


def test_what_others_did_is_kept_until_it_is_recorded():
    """The ledger could not be reached."""
    known = memory()
    known.judge(look(1.0), 1.0)
    known.judge(look(2.0, A), 2.0)
    known.recall(ALONE, 20.0)
    assert len(known.unsaved()[1]) == 1


def test_what_was_concluded_before_another_replica_wrote_is_dropped_but_for_graphs_answers():
    known = memory()
    known.judge(look(1.0), 1.0)
    known.judge(look(2.0, A), 2.0)
    known.add(write(1, (), (B,), (A, B), 3.0))
    known.void(1)
    known.recall(OTHERS, 20.0)
    changes, foreign = known.unsaved()
    assert ([change.number for change in changes], foreign) == ([1], [])


def test_a_move_that_lands_late_is_not_undone_by_half():
    """The state machine, seed 614215126: the place that it left was empty before, shortly ago, so an old read would show that;
    the place that it went to was not taken before."""
    known = memory()
    known.add(write(1, (), (A,), (A,), 0.0))
    known.doubtful(1, {})
    assert known.judge(look(0.5, A), 0.5).repairs == {}
    assert known.writes[1].acked is not None
    known.add(
        PastWrite(COMPLIANCE, "write", {KEY: Touch((A,), ()), key_of(B): Touch((), (B,))}, look(0, B).rows, 2.0, number=2)
    )
    known.doubtful(2, {})
    known.judge(look(2.1, A), 2.1)
    verdict = known.judge(look(3.6, B), 3.6)
    assert (dict(verdict.repairs), known.writes[2].acked) == ({}, 3.6)


def test_what_a_repair_undid_without_knowing_that_it_was_carried_out_is_done_again():
    """The state machine, seed 604154250: a gateway was paused while Graph answered its deletion; another one put the row back,
    since nobody knew yet; the first one woke up, and told its caller what Graph had said."""
    known = memory()
    known.add(write(1, (), (A,), (A,), 0.0))
    known.doubtful(1, {})
    known.judge(look(0.5, A), 0.5)
    known.add(write(2, (A,), (), (), 2.0))
    assert known.judge(look(3.3), 3.3).repairs == {KEY: (A,)}
    back = write(3, (), (A,), (A,), 3.4)
    back.kind = "repair"
    known.add(back)
    known.accepted(3, 3.5)
    known.accepted(2, 4.0)
    assert known.judge(look(5.5, A), 5.5).repairs == {KEY: ()}
    gone = write(4, (A,), (), (), 5.6)
    gone.kind = "repair"
    known.add(gone)
    known.accepted(4, 5.7)
    for asked in (7.0, 12.5, 14.0, 16.0, 18.0):
        verdict = known.judge(look(asked), asked)
        assert (verdict.repairs, verdict.foreign, verdict.old) == ({}, {}, False)
    assert known.writes == {}
