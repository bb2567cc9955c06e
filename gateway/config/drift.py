"""How drift is found: changes that others make, as in the portal, beside the gateway."""

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
    """Changes by others are found by every read, write and watch of a policy; here also where nobody reads."""

    every: Duration | None = None
    """How often each policy that the ledger knows is looked at, as `"15m"`; never if not said. One gateway of a ledger does it,
    within 5 % of a tenant's requests: many policies take longer."""
