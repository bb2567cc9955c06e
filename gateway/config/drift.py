"""How drift is found: changes that others make without the gateway, for example in the portal."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from gateway.config.base import Section

LEAST, MOST = timedelta(minutes=1), timedelta(days=30)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(text: object) -> timedelta:
    """As `15m`."""
    found = re.fullmatch(r"([0-9]{1,7})([smhd])", text) if isinstance(text, str) else None
    duration = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not LEAST <= duration <= MOST:
        raise ValueError('has to be a whole number with s, m, h or d, as "15m", from 1m to 30d')
    return duration


Duration = Annotated[timedelta, BeforeValidator(_duration), WithJsonSchema({"type": "string", "format": "duration"})]


class Drift(Section):
    """How changes by others are found. Every read, write and watch of a policy finds them; the sweep also finds those in
    policies that nobody reads."""

    every: Duration | None = None
    """How often the sweep reads each policy that the ledger knows, such as `"15m"`; without it there is no sweep. One replica
    does it, with at most 5 % of a tenant's requests, so many policies take longer."""
