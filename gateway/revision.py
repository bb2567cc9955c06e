"""A revision: the ledger's record of one write of the gateway's to one policy's rows, or of a change by others seen there."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.entry import Entry

# sent -> doubtful (no good answer, or it does not show) -> shown | void (certainly not carried out) -> settled.
State = Literal["sent", "doubtful", "shown", "void", "settled"]
RevisionKind = Literal["write", "restore", "repair", "foreign"]


class PolicyName(NamedTuple):
    """Which policy. tenant: the tenant's configured name. set: the kind of object, as "deviceCompliancePolicies". policy: its
    ID."""

    tenant: str
    set: str
    policy: str


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What one write of the gateway's did to one policy's rows, or what others did, as far as it was seen (foreign).

    number: assigned by the ledger, counts from 1 for each policy, never reused. generation: of the lease under which it was
    recorded. owner: the number of the gateway that recorded it. route, client_request_id: of the write to Graph. touched, sent,
    base: opaque to the ledger: the touched rows; the set that is sent, kept until settled; the whole set before, kept for the
    history. etag_before, etag_after: of the whole set, empty if unknown. changes: what others did, for the entry that records
    it (see gateway.changes); not stored with the revision. written_s, acked_s, landed_s: ages in seconds by the database's
    clock, at the time of reading: since it was recorded, acknowledged, and known to have taken effect; None if it was not."""

    number: int = 0
    generation: int = 0
    owner: int = 0
    kind: RevisionKind = "write"
    route: str = ""
    client_request_id: str = ""
    touched: bytes = b""
    sent: bytes | None = None
    base: bytes | None = None
    etag_before: str = ""
    etag_after: str = ""
    changes: bytes | None = None
    state: State = "sent"
    written_s: float = 0.0
    acked_s: float | None = None
    landed_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A revision in the history: one that took effect, or may have.

    written_at: seconds since 1970 by the database's clock; age_s: seconds from then until it was read. repaired: when the
    gateway restored it after it had been undone; empty if it was not. base: the whole set before; None if it was not requested,
    is no longer kept, or was changed in the database. entries: those of its edits, without `request`, `answer` and `sent`. For
    the other fields see Revision."""

    policy: PolicyName
    number: int
    kind: RevisionKind
    route: str
    client_request_id: str
    state: State
    touched: bytes
    etag_before: str
    etag_after: str
    written_at: float
    age_s: float = 0.0
    repaired: str = ""
    base: bytes | None = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Grant:
    """A granted lease. generation: everything that is recorded under the lease carries it. numbers: how many revisions the
    policy has had.

    revisions: all unsettled ones by number; those that the caller already knows come without `touched` and `sent`. newest: if
    all are settled, the last one that took effect, with its base and without its entries; None if the caller already knows it,
    or if it cannot be determined yet."""

    generation: int
    numbers: int
    revisions: tuple[Revision, ...]
    newest: Kept | None = None


@dataclass(frozen=True)
class Change:
    """A new state of a revision. acked, landed: it was acknowledged, or took effect, by now; the ledger keeps the first time
    that this is reported. answered: Graph's answer says so; otherwise it was concluded from looks.

    touched, etag: what was read back, if it was; replaces what the revision had. changes: for a repair that is acked for the
    first time, what it changed, for the entry that records it; without it there is no entry."""

    number: int
    state: State
    acked: bool = False
    landed: bool = False
    answered: bool = False
    touched: bytes | None = None
    etag: str = ""
    changes: bytes | None = None
