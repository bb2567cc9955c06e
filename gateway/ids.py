"""Ids in one spelling. Graph takes a GUID in any; what is compared, judged, kept or signed here is this one."""

import re
import uuid

GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
LENGTH = 36  # with its hyphens


def canonical_guid(text: str) -> str:
    """A GUID in lower case with its hyphens; every other text as it is."""
    if not GUID.fullmatch(text):
        return text
    return text.lower() if len(text) == LENGTH else str(uuid.UUID(text))


def judged_id(text: str) -> str:
    """An id of a group or a collection as rules judge it: a GUID as above; a collection's in capitals and without blanks at
    its end, which make no difference to Configuration Manager."""
    canonical = canonical_guid(text)
    return canonical if canonical is not text or GUID.fullmatch(text) else text.rstrip().upper()
