"""The decision to send a read again; a write is its sender's to repeat."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.graph.retries import LONGEST_BACKOFF_S, Again, Tried, again, backoff, parse_retry_after

TABLE = [
    # a try of a read: sent again? on a new connection?
    (Tried(429), (True, False)),
    (Tried(503), (True, True)),
    (Tried(None, sent=False), (True, True)),
    (Tried(None, sent=True), (True, True)),
    (Tried(500), (True, True)),
    (Tried(502), (True, True)),
    (Tried(504), (True, True)),
    (Tried(400), None),
    (Tried(401), None),
    (Tried(404), None),
    (Tried(409), None),
]


@pytest.mark.parametrize(("tried", "expected"), TABLE)
def test_the_table(tried: Tried, expected: tuple | None):
    decision = again(tried, 1, 0.5)
    assert (decision and (True, decision.fresh)) == expected


def test_graphs_own_time_goes_before_ours():
    assert again(Tried(429, retry_after=7.5), 1, 0) == Again(7.5, False)
    assert again(Tried(429, retry_after=0), 1, 0) == Again(0, False)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_grows_and_stays_within_its_bounds(attempt: int, jitter: float):
    assert 0.25 <= backoff(attempt, jitter) <= LONGEST_BACKOFF_S
    assert backoff(attempt, jitter) <= backoff(attempt + 1, jitter)


NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("2.128", 2.128),
        (" 3 ", 3.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30),
        ("Tue Nov 24 12:00:30 2026", 30),
        ("soon", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        ("-1", None),
        ("1e9", None),
        ("99999999999999999999", None),
        ("Inf", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_in_every_spelling(value: str | None, seconds: float | None):
    assert parse_retry_after(value, NOW) == seconds
