"""A revision: what the ledger keeps of one write of ours to one policy's rows, or of a change by others that was seen there."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.entry import Entry

# sent -> doubtful (no good answer, or it does not show) -> shown | void (surely not carried out) -> settled.
State = Literal["sent", "doubtful", "shown", "void", "settled"]
RevisionKind = Literal["write", "restore", "repair", "foreign"]


class PolicyName(NamedTuple):
    """Which policy. tenant: its configured name; set: the kind of object, as "deviceCompliancePolicies"; policy: its id."""

    tenant: str
    set: str
    policy: str


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What one write of ours did to one policy's rows, or what we saw that others did (foreign).

    number: the ledger's, it counts per policy from 1 and is never given twice; generation: of the lease under which it was
    written down; owner: the number of the gateway that wrote it down. route, client_request_id: the write in Graph.
    touched, sent, base: opaque to the ledger; what was touched, the set that goes out, kept until it is settled, and the whole
    set before, kept for the history. etag_before, etag_after: of the whole set, empty where not known. changes: what others
    did, for the entry that says so (see gateway.changes); it is not kept with the revision. written_s, acked_s, landed_s:
    seconds ago by the database's clock, when it was read: since it was written down, since it was acknowledged, and since it
    was known to have taken effect; None where it was not.
    """

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
    """A revision as history has it: one that took effect, or may have.

    written_at: seconds since 1970 by the database's clock; age_s: seconds from then until it was read. repaired: when the
    gateway put right what had undone it, empty where nothing had. base: the whole set before; None where nobody asked for it,
    where it is not kept, and where what is kept is not what was written down. entries: of the edits that went out in it,
    without `request`, `answer` and `sent`. For the rest see Revision.
    """

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
    """The right to write a policy. generation: of the lease; it goes into what is written down under it.

    revisions: all unsettled ones by number. Those that the asker said it knew come without `touched` and `sent`. newest: where
    all are settled, the last one that took effect, with its base and without its entries; None where the asker said that it
    knew it, or where that cannot be told yet.
    """

    generation: int
    revisions: tuple[Revision, ...]
    newest: Kept | None = None


@dataclass(frozen=True)
class Change:
    """What became of a revision. acked, landed: it happened by now; the first time that is said is kept. answered: Graph's
    answer says so; anything else was concluded from looks.

    touched, etag: what was read back, where it was, instead of what the revision said of it before. changes: of a repair, when
    it is first said to be acked, for the entry that says so; without them there is none.
    """

    number: int
    state: State
    acked: bool = False
    landed: bool = False
    answered: bool = False
    touched: bytes | None = None
    etag: str = ""
    changes: bytes | None = None
