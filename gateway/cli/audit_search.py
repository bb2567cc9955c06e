"""Which entries are about a target: those that changed its row, and those whose request only named it, such as refused ones."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.changes import How
from gateway.entry import Entry
from gateway.ledger.ledger import LedgerReader, Query

# Rows that were changed are found by an index, names in requests by reading: 7 s in a million entries. So names are looked for
# in the newest only, unless somebody asks for them alone.
NAMED_IN_NEWEST = 50_000


def find(reader: LedgerReader, query: Query, target: str, how: How | None) -> list[Entry]:
    """As the query says, oldest first. target: empty for any. how: only entries that did that to it."""
    query = replace(query, touched=target, how=how or "")
    changed = list(reader.find(query))
    if not target or how:
        return changed
    named = reader.find(replace(query, touched="", target=target, since=max(query.since, _long_ago(reader, query))))
    return _newest({entry.id: entry for entry in (*named, *changed)}.values(), query)


def is_partial(reader: LedgerReader) -> bool:
    """Whether the ledger has more entries than names are looked for in."""
    ends = reader.ends()
    return ends.head[0] - ends.tail[0] > NAMED_IN_NEWEST


def _long_ago(reader: LedgerReader, query: Query) -> str:
    """When the first of the newest entries began; empty where all are."""
    if query.after is not None or not is_partial(reader):
        return ""
    first = next(iter(reader.find(Query(after=reader.ends().head[0] - NAMED_IN_NEWEST))), None)
    return first.began_at if first else ""


def _newest(entries: Iterable[Entry], query: Query) -> list[Entry]:
    if query.after is not None:
        return sorted(entries, key=lambda entry: entry.position or 0)
    ordered = sorted(entries, key=lambda entry: (entry.began_at, entry.id))
    return ordered[-query.newest :] if query.newest is not None else ordered
