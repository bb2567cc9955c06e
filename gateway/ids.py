"""Ids in one spelling. Graph takes a GUID in any; what is compared, judged, kept or signed here is this one."""

import re
import uuid

GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def canonical_guid(text: str) -> str:
    """A GUID in lower case with its hyphens; every other text as it is."""
    return str(uuid.UUID(text)) if GUID.fullmatch(text) else text


def judged_id(text: str) -> str:
    """An id of a group or a collection as rules judge it: a GUID as above; a collection's in capitals and without blanks at
    its end, which make no difference to Configuration Manager."""
    return canonical_guid(text) if GUID.fullmatch(text) else text.rstrip().upper()
