"""A revision: what the ledger keeps of one write of ours to one policy's rows, or of a change by others that was seen there."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

# sent -> doubtful (no good answer, or it does not show) -> shown | void (surely not carried out) -> settled.
State = Literal["sent", "doubtful", "shown", "void", "settled"]
RevisionKind = Literal["write", "repair", "foreign"]


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
    touched, sent: opaque to the ledger; what was touched, and the set that goes out. written_s, acked_s, landed_s: seconds
    ago by the database's clock, when it was read: since it was written down, since it was acknowledged, and since it was
    known to have taken effect; None where it was not.
    """

    number: int = 0
    generation: int = 0
    owner: int = 0
    kind: RevisionKind = "write"
    route: str = ""
    client_request_id: str = ""
    touched: bytes = b""
    sent: bytes | None = None
    state: State = "sent"
    written_s: float = 0.0
    acked_s: float | None = None
    landed_s: float | None = None


@dataclass(frozen=True)
class Grant:
    """The right to write a policy. generation: of the lease; it goes into what is written down under it.

    revisions: all unsettled ones by number. Those that the asker said it knew come without `touched` and `sent`.
    """

    generation: int
    revisions: tuple[Revision, ...]


@dataclass(frozen=True)
class Change:
    """What became of a revision. acked, landed: it happened by now; the first time that is said is kept. answered: Graph's
    answer says so; anything else was concluded from looks."""

    number: int
    state: State
    acked: bool = False
    landed: bool = False
    answered: bool = False
