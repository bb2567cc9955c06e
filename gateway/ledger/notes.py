"""Entries without a call: changes by others, and repairs by the gateway. They are in the chain like all entries. Pure."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from gateway.changes import touched_by
from gateway.entry import OK, Entry, utc_text
from gateway.ledger.touches import LONGEST, plain
from gateway.revision import PolicyName, Revision

FOREIGN, REPAIR = "ForeignChange", "Repair"


def took_effect(revision: Revision) -> bool:
    """As far as is known."""
    return revision.acked_s is not None or revision.landed_s is not None


def note(policy: PolicyName, revision: Revision, changes: bytes) -> Entry:
    """Of a revision that took effect; changes: what it did. Finished, and of no caller."""
    entry = Entry(
        id=str(uuid4()),
        tenant=policy.tenant,
        operation=FOREIGN if revision.kind == "foreign" else REPAIR,
        policy=policy.policy,
        target=_targets(changes),
        began_at=utc_text(datetime.now(UTC) - timedelta(seconds=revision.written_s)),
        route=revision.route,
        client_request_id=revision.client_request_id,
        revision=revision.number,
        etag_before=revision.etag_before,
        etag=revision.etag_after,
    )
    return entry.finished(OK).with_changes(changes)


def _targets(changes: bytes) -> str:
    """The first of them; `touches` has all."""
    try:
        return plain(", ".join(target for target, _ in touched_by(changes)[: LONGEST // 8]))
    except ValueError:
        return ""
