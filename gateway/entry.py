"""An entry of the ledger: the record of one write, or of one refused call."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Self

State = Literal["running", "uncertain", "finished"]
OK = "OK"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the ledger.

    For auditors, and covered by the hash chain once the entry is finished: id; caller, tenant, operation, policy, target: who
    asked for what; request_id: the caller's, or one that the gateway generated; correlation_id: the caller's own
    client-request-id; digest: SHA-256 of the request, in hex; began_at, ended_at: UTC, ISO 8601 with microseconds; duration_us;
    outcome: OK or a reason's name, empty while it runs; route, client_request_id, graph_request_id, graph_status: of the write
    to Graph; assignment: its ID; shared_by: how many edits shared that write; times: how many refusals this entry stands for;
    revision: the number of the policy's revision that it is part of; foreign_changes: how many changes by others were seen
    meanwhile; answer_digest, changes_digest: SHA-256 of the answer and of `changes`, in hex, empty if there is none;
    etag_before, etag: of the policy's set before and after, empty if unknown.

    For auditors, but not covered by the chain: repaired: when the gateway restored the write after it had been undone, empty if
    it was not; it may be set long after the entry was finished.

    For the gateway: state; owner: the number of the gateway that works on it, 0 for none; claim: holds the request ID, None
    once it is free again; request: the message; sent: what was sent to Graph, as the policy's writer recorded it before
    sending; answer: the response, kept for replays; changes: what it did to the policy's rows (see gateway.changes), None if it
    did nothing that is known. position, hash: the position in the chain."""

    id: str
    caller: str = ""
    tenant: str = ""
    operation: str = ""
    policy: str = ""
    target: str = ""
    request_id: str = ""
    correlation_id: str = ""
    digest: str = ""
    began_at: str = ""
    ended_at: str = ""
    duration_us: int = 0
    outcome: str = ""
    route: str = ""
    client_request_id: str = ""
    graph_request_id: str = ""
    graph_status: int | None = None
    assignment: str = ""
    shared_by: int = 0
    times: int = 1
    revision: int | None = None
    foreign_changes: int = 0
    answer_digest: str = ""
    changes_digest: str = ""
    etag_before: str = ""
    etag: str = ""
    repaired: str = ""
    state: State = "running"
    owner: int = 0
    claim: str | None = None
    request: bytes | None = None
    sent: bytes | None = None
    answer: bytes | None = None
    changes: bytes | None = None
    position: int | None = None
    hash: str = ""

    def finished(self, outcome: str, answer: bytes | None = None) -> Self:
        """The finished entry. With an answer it was carried out, and the request ID stays taken; without one it was not, and
        the ID is free for another attempt."""
        ended = replace(self.uncertain(outcome), state="finished", request=None, sent=None)
        if answer is None:
            return replace(ended, claim=None).with_changes(None)
        return replace(ended, answer=answer, answer_digest=digest_of(answer)).with_changes(self.changes)

    def with_changes(self, changes: bytes | None) -> Self:
        """The entry with these changes and their digest."""
        return replace(self, changes=changes, changes_digest="" if changes is None else digest_of(changes))

    def uncertain(self, outcome: str) -> Self:
        """The ended entry, of which it is unknown whether it was carried out."""
        now = datetime.now(UTC)
        took = round((now - datetime.fromisoformat(self.began_at)).total_seconds() * 1e6)
        return replace(self, state="uncertain", outcome=outcome, ended_at=utc_text(now), duration_us=took)


def utc_now() -> str:
    """Now, in the format of entries, which sorts as text."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A moment in the format of entries."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def digest_of(kept: bytes) -> str:
    """SHA-256 of an answer, or of what a write did, in hex."""
    return hashlib.sha256(kept).hexdigest()


def claim_of(caller: str, tenant: str, request_id: str) -> str:
    """The claim for a request ID: one value for caller, tenant and ID."""
    return hashlib.sha256(json.dumps([caller, tenant, request_id]).encode()).hexdigest()
