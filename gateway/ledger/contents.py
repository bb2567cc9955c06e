"""The sets of rows that revisions refer to: each stored once, compressed, by the SHA-256 of its content. Each function runs
inside the caller's transaction.

A content is deleted when no revision refers to it any more, but never while another transaction is about to refer to it:
whoever keeps one locks its row until the end of the transaction, whether it existed or not; whoever releases one locks it
first, and then checks again who refers to it. All lock in the order of digests, so that nobody deadlocks.
"""

import hashlib
from collections.abc import Collection
from operator import itemgetter

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gateway.ledger.packing import packed, unpacked
from gateway.ledger.schema import contents, revisions

# Sets the digest to what it is, which takes the row's lock; to do nothing would take none.
KEEP = {
    name: (new := insert(contents)).on_conflict_do_update(index_elements=["digest"], set_={"digest": new.excluded.digest})
    for name, insert in (("sqlite", sqlite.insert), ("postgresql", postgresql.insert))
}
THESE = contents.c.digest.in_(sa.bindparam("digests", expanding=True))
LOCK = sa.select(contents.c.digest).where(THESE).order_by(contents.c.digest).with_for_update()
IS_NONES = ~sa.exists().where(revisions.c.base == contents.c.digest)
LET_GO = contents.delete().where(THESE, IS_NONES)


def digest_of(content: bytes) -> bytes:
    """SHA-256: 32 bytes."""
    return hashlib.sha256(content).digest()


def keep(connection: sa.Connection, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """Stores contents before a revision of the same transaction refers to them. Returns their digests."""
    digests = {content: digest_of(content) for content in wanted}
    rows = [{"digest": digest, "body": packed(content)} for content, digest in digests.items()]
    if rows:
        connection.execute(KEEP[connection.dialect.name], sorted(rows, key=itemgetter("digest")))
    return digests


def let_go(connection: sa.Connection, digests: Collection[bytes]) -> None:
    """Deletes those contents that no revision refers to any more, after revisions were deleted in the same transaction."""
    if digests:
        these = {"digests": sorted(set(digests))}
        # Two statements: what the second sees is what was committed when the first got its locks.
        connection.execute(LOCK, these)
        connection.execute(LET_GO, these)


def content_of(digest: bytes | None, body: object) -> bytes | None:
    """What was kept; None where it is something else, or none was."""
    content = unpacked(body)
    return content if isinstance(content, bytes) and digest_of(content) == digest else None
