"""A write of ours, or a change that others made, as a policy's memory has it; and how the ledger keeps it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.assignments.rows import RowSet, Touch, Value, value_of
from gateway.odata import dumps, loads
from gateway.odata.targets import Key
from gateway.revision import Change, Revision, RevisionKind, State
from gateway.sets import AssignableSet


@dataclass(eq=False)
class PastWrite:
    """touched: what it changed. sent: the set that went out, None where nothing but `touched` did (the documented route; what
    others did). written, acked, landed: when it was written down, acknowledged, and known to have taken effect; the last two
    None where they are not known. answered: how far it has come is Graph's own answer. Times are monotonic seconds. values: of
    `touched`, before and after. told: Graph's ids in its answer, if there was one that said nothing. stored: how far it has
    come by the ledger."""

    of: AssignableSet
    kind: RevisionKind
    touched: Mapping[Key, Touch]
    sent: RowSet | None
    written: float
    number: int = 0
    owner: int = 0
    route: str = ""
    client_request_id: str = ""
    state: State = "sent"
    acked: float | None = None
    landed: float | None = None
    answered: bool = False
    values: Mapping[Key, tuple[Value, Value]] = field(init=False)
    told: Mapping[str, str] = field(default_factory=dict)
    stored: Change | None = None

    def __post_init__(self) -> None:
        self.values = {
            key: (value_of(self.of, before), value_of(self.of, after)) for key, (before, after) in self.touched.items()
        }

    def before(self, key: Key) -> Value | None:
        """What its base had there; None where that is not known."""
        if key in self.values:
            return self.values[key][0]
        return self.sent.value(key) if self.sent is not None else None

    def after(self, key: Key) -> Value | None:
        """What it leaves there when it takes effect; None where it leaves alone what there is."""
        if key in self.values:
            return self.values[key][1]
        return self.sent.value(key) if self.sent is not None else None

    def learn(self, revision: Revision, now: float) -> None:
        """How far it has come, by the ledger: another gateway may have seen sooner that it was carried out."""
        if revision.acked_s is not None:
            self.state = "shown"
            self.acked = min(now - revision.acked_s, self.acked if self.acked is not None else now)
        if self.landed is None and revision.landed_s is not None:
            self.landed = now - revision.landed_s

    def progress(self) -> Change:
        """How far it has come, as the ledger has to have it; `stored` is what it has."""
        acked, landed = self.acked is not None, self.landed is not None
        return Change(self.number, self.state, acked=acked, landed=landed, answered=self.answered)

    def encoded(self) -> Revision:
        """As the ledger keeps it."""
        touched = [(key, before, after) for key, (before, after) in self.touched.items()]
        return Revision(
            kind=self.kind,
            owner=self.owner,
            route=self.route,
            client_request_id=self.client_request_id,
            touched=_bytes(touched),
            sent=_bytes(self.sent.rows) if self.sent is not None else None,
            state=self.state,
        )


def decoded(of: AssignableSet, revision: Revision, now: float) -> PastWrite:
    """The inverse of `encoded`. now: when the ledger said how long ago things were."""
    touched = {
        (key[0], key[1]): Touch(tuple(before), tuple(after))
        for key, before, after in loads(revision.touched.decode("utf-8", "surrogatepass") or "[]")
    }
    sent = None if revision.sent is None else RowSet(of, loads(revision.sent.decode("utf-8", "surrogatepass")))
    write = PastWrite(
        of,
        revision.kind,
        touched,
        sent,
        written=now - revision.written_s,
        number=revision.number,
        owner=revision.owner,
        route=revision.route,
        client_request_id=revision.client_request_id,
        state=revision.state,
        acked=None if revision.acked_s is None else now - revision.acked_s,
        landed=None if revision.landed_s is None else now - revision.landed_s,
    )
    write.stored = write.progress()
    return write


def _bytes(value: Sequence[object]) -> bytes:
    return dumps(value).encode("utf-8", "surrogatepass")
