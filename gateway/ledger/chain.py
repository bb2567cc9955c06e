"""The hash chain over finished entries: each one's hash covers its own facts and the hash before it. Whoever changes, removes
or reorders entries has to compute anew all that follow, and the head that an auditor may have noted. Pure."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from gateway.entry import Entry
from gateway.ledger.ledger import Ends

START = (0, "0" * 64)
AFTER_THE_FACTS = ("state", "owner", "claim", "request", "sent", "answer", "position", "hash")
FACTS = tuple(field.name for field in fields(Entry) if field.name not in AFTER_THE_FACTS)
# Facts that entries did not always have. A hash covers them where there is something in them: those of old stay true.
LATER_FACTS = ("correlation_id", "revision", "foreign_changes")
# Facts that come after an entry is finished, and so after its hash.
NEVER_COVERED = ("repaired",)
FIRST_FACTS = tuple(name for name in FACTS if name not in LATER_FACTS + NEVER_COVERED)


def facts(entry: Entry) -> dict[str, Any]:
    """What an auditor reads of an entry, in order."""
    return {name: getattr(entry, name) for name in FACTS}


def link(previous: str, position: int, entry: Entry) -> str:
    """The entry's hash at this position: SHA-256 in hex over the hash before, the position and the facts as JSON."""
    covered = [previous, position, *(getattr(entry, name) for name in FIRST_FACTS)]
    covered += ({name: value} for name in LATER_FACTS if (value := getattr(entry, name)))
    return hashlib.sha256(json.dumps(covered, ensure_ascii=True).encode()).hexdigest()


def verify(entries: Iterable[Entry], ends: Ends, noted: tuple[int, str] | None = None) -> Iterator[str]:
    """What is wrong with the chain, a line each. entries: in the order of positions. noted: a head of an earlier day."""
    position, previous = ends.tail
    if noted is not None and noted[0] <= position:
        yield f"entry {noted[0]}: is older than what is kept"
    for entry in entries:
        at = entry.position or 0
        if at != position + 1:
            yield f"entries {position + 1} to {at - 1}: missing"
        if entry.hash != link(previous, at, entry):
            yield f"entry {at}: changed or moved, or the one before it is ({entry.id})"
        if noted is not None and noted[0] == at and noted[1] != entry.hash:
            yield f"entry {at}: its hash is not the one that was noted"
        position, previous = at, entry.hash
    if position != ends.head[0]:
        yield f"entries {position + 1} to {ends.head[0]}: missing"
    elif previous != ends.head[1]:
        yield f"entry {position}: the head of the chain is another"
    if noted is not None and noted[0] > position:
        yield f"entry {noted[0]}: was noted and is missing"
