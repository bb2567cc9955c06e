"""Edm.DateTimeOffset <-> google.protobuf.Timestamp. Graph writes up to seven fractional digits, which datetime cannot hold."""

import re
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

PATTERN = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,12}))?([Zz]|[+-]\d\d:\d\d)")


def parse_timestamp(text: str) -> Timestamp:
    """Raises ValueError, or TypeError for what is no string. Digits beyond nanoseconds are cut off."""
    match = PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("not a DateTimeOffset")
    whole, fraction, zone = match.groups()
    moment = datetime.fromisoformat(whole + zone.upper())
    return Timestamp(seconds=int(moment.timestamp()), nanos=int((fraction or "").ljust(9, "0")[:9]))


def format_timestamp(timestamp: Timestamp) -> str:
    """UTC, with seven fractional digits where there is a fraction, as Graph writes it."""
    whole = datetime.fromtimestamp(timestamp.seconds, UTC).replace(tzinfo=None).isoformat()
    fraction = f".{timestamp.nanos:09d}"[:8].rstrip("0") if timestamp.nanos >= 100 else ""
    return f"{whole}{fraction}Z"
