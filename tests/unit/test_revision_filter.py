"""The filter of a list of revisions: all of its comparisons hold."""

import pytest

from gateway.assignments.history import Wanted, wanted_of

EARLY, LATE = 'write_time {} "2001-01-01T00:00:00Z"', 'write_time {} "2031-01-01T01:00:00+01:00"'
EARLY_S, LATE_S = 978307200.0, 1924992000.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Wanted()),
        ("kind = FOREIGN", Wanted(("foreign",))),
        ('kind = "WRITE" AND kind = WRITE', Wanted(("write",))),
        (f"{EARLY.format('>=')} AND {LATE.format('>=')}", Wanted(since=LATE_S)),
        (f"{LATE.format('>=')} AND {EARLY.format('>=')}", Wanted(since=LATE_S)),
        (f"{LATE.format('<')} AND {EARLY.format('<')}", Wanted(until=EARLY_S)),
        (f"{EARLY.format('<')} AND {LATE.format('<')}", Wanted(until=EARLY_S)),
        (f"{EARLY.format('<')} AND {LATE.format('>=')}", Wanted(since=LATE_S, until=EARLY_S)),
    ],
)
def test_every_comparison_counts(text: str, wanted: Wanted):
    assert wanted_of(text) == wanted


@pytest.mark.parametrize("more", ["", f" AND {EARLY.format('<')}"])
def test_no_revision_is_of_two_kinds(more: str):
    assert wanted_of(f"kind = WRITE AND kind = RESTORE{more}").until == float("-inf")
