"""What is kept in few bytes (zlib), and how entries stand in their table. Whoever can write to the database can put anything
there: what was not packed here is read as it stands, for who checks an entry to find (see chain.fault). Pure."""

import zlib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gateway.entry import Entry

# The most that is unpacked. A set of 2,000 rows, before and after, has 2 MB.
MOST_BYTES = 64 * 1024 * 1024
COLUMNS = tuple(field.name for field in fields(Entry))
# For which no caller outside the gateway has a use, or which they may not see.
BODIES = ("request", "sent", "answer")


# Half the time of zlib's usual level, for which all who write wait; a set of 2,000 rows has 82 kB then instead of 74.
LEVEL = 1


def packed(content: bytes) -> bytes:
    """In few bytes."""
    return zlib.compress(content, LEVEL)


def unpacked(content: Any) -> Any:
    """The inverse; what is not packed, or is too much, as it is."""
    if not isinstance(content, bytes):
        return content
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(content, MOST_BYTES)
    except zlib.error:
        return content
    return found if unpacking.eof else content


def row_of(entry: Entry) -> dict[str, Any]:
    """By column. Not to be changed."""
    return vars(entry) if entry.changes is None else vars(entry) | {"changes": packed(entry.changes)}


def entry_of(row: Mapping[Any, Any]) -> Entry:
    """The inverse. The row may lack bodies, and have columns of other tables."""
    values = {name: row[name] for name in COLUMNS if name in row}
    if values.get("changes") is not None:
        values["changes"] = unpacked(values["changes"])
    return Entry(**values)
