"""The hash chain over finished entries: each hash covers the entry's own facts and the previous hash. Somebody who changes,
removes or reorders entries has to recompute all that follow, and the head that an auditor may have noted. Pure."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields
from typing import Any
from uuid import uuid4

from gateway.entry import OK, Entry, claim_of, digest_of, utc_now
from gateway.ledger.ledger import Ends

START = (0, "0" * 64)
AFTER_THE_FACTS = ("state", "owner", "claim", "request", "sent", "answer", "changes", "position", "hash")
FACTS = tuple(field.name for field in fields(Entry) if field.name not in AFTER_THE_FACTS)
# Facts that entries did not always have. A hash covers them where there is something in them: those of old stay true.
LATER_FACTS = ("correlation_id", "revision", "foreign_changes", "answer_digest", "changes_digest", "etag_before", "etag")
# Facts that come after an entry is finished, and so after its hash.
NEVER_COVERED = ("repaired",)
FIRST_FACTS = tuple(name for name in FACTS if name not in LATER_FACTS + NEVER_COVERED)
# The operation of an entry that says what was let go of.
CUT = "ExpireEntries"


def facts(entry: Entry) -> dict[str, Any]:
    """The facts of an entry that the chain covers, in order."""
    return {name: getattr(entry, name) for name in FACTS}


def link(previous: str, position: int, entry: Entry) -> str:
    """The entry's hash at this position: SHA-256 in hex over the hash before, the position and the facts as JSON."""
    covered = [previous, position, *(getattr(entry, name) for name in FIRST_FACTS)]
    covered += ({name: value} for name in LATER_FACTS if (value := getattr(entry, name)))
    return hashlib.sha256(json.dumps(covered, ensure_ascii=True).encode()).hexdigest()


def cut(position: int, last: str) -> Entry:
    """The entry that records an expiry: the entries up to a position, whose hash is `last`, were removed because of their
    age."""
    return Entry(id=str(uuid4()), operation=CUT, target=f"{position}:{last}", began_at=utc_now()).finished(OK)


def is_linked(entry: Entry, previous: str) -> bool:
    """Whether an entry's hash is the one that follows from the hash `previous`."""
    try:
        return entry.hash == link(previous, entry.position or 0, entry)
    except TypeError:  # SQLite takes bytes in a column of text
        return False


def fault(entry: Entry, previous: str) -> str:
    """What is wrong with one entry of the chain after the hash `previous`; empty if nothing is."""
    if not is_linked(entry, previous):
        return "was changed or moved, or the entry before it was"
    if entry.state != "finished":
        return "is marked as unfinished"
    # What older versions answered is not covered.
    if entry.answer is not None and not _is_of(entry.answer, entry.answer_digest):
        return "its answer is not the original"
    if entry.claim is not None and entry.answer is None:
        return "its answer is missing"
    if entry.claim not in (None, claim_of(entry.caller, entry.tenant, entry.request_id)):
        return "it holds a request ID that is not its own"
    return _fault_of_changes(entry)


def _fault_of_changes(entry: Entry) -> str:
    """They are kept as long as the entry; older versions had none."""
    if entry.changes is None:
        return "the record of its changes is missing" if entry.changes_digest else ""
    genuine = entry.changes_digest and _is_of(entry.changes, entry.changes_digest)
    return "" if genuine else "the record of its changes is not the original"


def verify(entries: Iterable[Entry], ends: Ends, noted: Collection[tuple[int, str]] = ()) -> Iterator[str]:
    """What is wrong with the chain, one line for each fault. entries: all that are finished or have a position, in the order of
    positions, those without one first. noted: heads that were noted earlier."""
    position, previous = ends.tail
    named = START
    yield from (f"entry {at}: is older than the oldest entry that is kept" for at, _ in noted if at < position)
    yield from _unlike(noted, position, previous)
    for entry in entries:
        at = entry.position
        if not isinstance(at, int) or not position < at <= ends.head[0]:
            yield f"entry {entry.id}: its position {at} is taken by another entry, or outside the chain"
            continue
        if at > position + 1:
            yield f"entries {position + 1} to {at - 1}: missing"
        if wrong := fault(entry, previous):
            yield f"entry {at}: {wrong} ({entry.id})"
        elif entry.operation == CUT:
            named = _named_by(entry)
        yield from _unlike(noted, at, entry.hash)
        position, previous = at, entry.hash
    yield from _wrong_at_the_ends(ends, (position, previous), named)
    yield from (f"entry {at}: was noted and is missing" for at, _ in noted if at > ends.head[0])


def _is_of(answer: bytes, digest: str) -> bool:
    """Of an older version's answer there is no digest. SQLite takes text in a column of bytes."""
    return isinstance(answer, bytes) and digest in ("", digest_of(answer))


def _wrong_at_the_ends(ends: Ends, last: tuple[int, str], named: tuple[int, str]) -> Iterator[str]:
    """last: of the entries that are kept. named: the end of what the last cut let go of."""
    if last[0] < ends.head[0]:
        yield f"entries {last[0] + 1} to {ends.head[0]}: missing"
    elif last != ends.head:
        yield f"entry {last[0]}: the head of the chain has another hash"
    if ends.tail != named:
        yield f"entry {ends.tail[0]}: the chain begins after it, but the last recorded cut is after entry {named[0]}"


def _unlike(noted: Collection[tuple[int, str]], position: int, known: str) -> Iterator[str]:
    """Whether another hash was noted at this position."""
    if any(at == position and other != known for at, other in noted):
        yield f"entry {position}: its hash is not the one that was noted"


def _named_by(entry: Entry) -> tuple[int, str]:
    """The end of what a cut let go of; -1 where it says none."""
    position, _, last = entry.target.partition(":")
    return (int(position), last) if position.isdecimal() else (-1, "")
