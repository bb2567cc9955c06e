"""IDs in one spelling. Graph accepts any spelling of a GUID; what the gateway compares, judges, stores or signs is this one."""

import os
import re
import uuid

GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
LENGTH = 36  # with its hyphens
VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def new_guid() -> str:
    """A random one (RFC 9562, version 4): what str(uuid.uuid4()) gives, at a quarter of its price."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


def canonical_guid(text: str) -> str:
    """A GUID in lower case with its hyphens; every other text as it is."""
    if not GUID.fullmatch(text):
        return text
    return text.lower() if len(text) == LENGTH else str(uuid.UUID(text))


def judged_id(text: str) -> str:
    """The ID of a group or a collection as rules see it: a GUID as above; a collection's ID in upper case and without trailing
    blanks, which Configuration Manager does not distinguish."""
    if not GUID.fullmatch(text):
        return text.rstrip().upper()
    return text.lower() if len(text) == LENGTH else canonical_guid(text)
