"""Moments as people say them."""

import re
from datetime import UTC, datetime, timedelta

import typer

from gateway.entry import utc_text

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
RULE = (
    "has to be an ISO 8601 date or time, an age such as 90s, 15m, 2h or 7d, or a past day in words such as yesterday or "
    '"last tuesday"; all in UTC'
)
LONGEST = 64
SETTINGS = {"PREFER_DATES_FROM": "past", "TIMEZONE": "UTC", "RETURN_AS_TIMEZONE_AWARE": True, "RETURN_TIME_AS_PERIOD": True}
LETTERS = re.compile(r"[A-Za-z]{3}")


def moment_of(text: str) -> str:
    """As entries tell the time: an ISO date or time (UTC unless it says otherwise), an age such as 90s, 15m, 2h, 7d, or a past
    moment in English words: a day means its beginning in UTC. Empty for an empty text. Raises BadParameter."""
    if not text:
        return ""
    age = re.fullmatch(r"(\d{1,6})([smhd])", text, re.ASCII)
    try:
        if age:
            return utc_text(datetime.now(UTC) - timedelta(**{UNITS[age[2]]: int(age[1])}))
        moment = _iso(text) or _in_words(text)
        return utc_text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        raise typer.BadParameter(RULE) from None


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _in_words(text: str) -> datetime:
    from dateparser.date import DateDataParser  # noqa: PLC0415 - a third of a second, for who needs it

    parser = DateDataParser(languages=["en"], settings=SETTINGS)
    found = parser.get_date_data(text) if len(text) <= LONGEST and LETTERS.search(text) else None
    moment: datetime | None = found.date_obj if found else None
    if found is None or moment is None or moment > datetime.now(UTC):
        raise typer.BadParameter(RULE)
    return moment if found.period == "time" else moment.replace(hour=0, minute=0, second=0, microsecond=0)
