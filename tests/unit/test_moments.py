"""What people say for a moment, as entries tell it."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from gateway.cli.moments import moment_of

NOW = datetime.now(UTC)
LAST_TUESDAY = (NOW - timedelta(days=(NOW.weekday() - 1) % 7 or 7)).date()
DAYS = {
    "yesterday": NOW.date() - timedelta(days=1),
    "Today": NOW.date(),
    "last tuesday": LAST_TUESDAY,
    "3 days ago": NOW.date() - timedelta(days=3),
    "jan 31 2026": "2026-01-31",
    "2026-01-31": "2026-01-31",
}


def test_nothing_is_nothing():
    assert moment_of("") == ""


@pytest.mark.parametrize("text", DAYS)
def test_a_day_is_its_beginning(text: str):
    assert moment_of(text) == f"{DAYS[text]}T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-01-31T12:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31T12:00+02:00", "2026-01-31T10:00:00.000000Z"),
        ("last tuesday 09:30", f"{LAST_TUESDAY}T09:30:00.000000Z"),
    ],
)
def test_a_time_is_in_utc_unless_it_says_otherwise(text: str, found: str):
    assert moment_of(text) == found


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), ("2 hours ago", 7200)])
def test_an_age_is_counted_from_now(text: str, seconds: int):
    age = (datetime.now(UTC) - datetime.fromisoformat(moment_of(text))).total_seconds()
    assert age == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "12",
        "tomorrow",
        "in 2 days",
        "999999d",
        "2026-13-01",
        "0001-01-01T00:00+10:00",
        "x" * 1000,
        "\u0661h",
        "\x1b[",
    ],
)
def test_what_is_no_past_moment_is_refused(text: str):
    with pytest.raises(typer.BadParameter, match="ISO 8601"):
        moment_of(text)
