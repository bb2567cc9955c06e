"""A write of the gateway's, or a change by others, in a policy's memory; and its form in the ledger."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.assignments.rows import RowSet, Touch, Value, target_of, value_of
from gateway.changes import RowChange
from gateway.changes import encoded as encoded_changes
from gateway.odata import dumps, loads
from gateway.odata.targets import Key, text_of_json
from gateway.pace import at_once
from gateway.revision import Change, Revision, RevisionKind, State
from gateway.sets import AssignableSet


@dataclass(eq=False)
class PastWrite:
    """touched: what it changed, as sent, and once it was read back as Graph has it. base: the set before. sent: the set that
    went out, None where nothing but `touched` did (the documented route; what others did). written, acked, landed: when it was
    written down, acknowledged, and known to have taken effect; the last two None where they are not known. answered: how far
    it has come is Graph's own answer. Times are monotonic seconds. values: of `touched`, before and after. told: Graph's ids in
    its answer, if there was one that said nothing. stored: how far it has come by the ledger. etag: of the set after it, where
    that was seen. read_back: `touched` as it was, encoded."""

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
    base: RowSet | None = None
    etag: str = ""
    read_back: bytes | None = None

    def __post_init__(self) -> None:
        self.values = {
            key: (value_of(self.of, before), value_of(self.of, after)) for key, (before, after) in self.touched.items()
        }

    def before(self, key: Key) -> Value | None:
        """The value in its base; None if that is unknown."""
        if key in self.values:
            return self.values[key][0]
        return self.sent.value(key) if self.sent is not None else None

    def after(self, key: Key) -> Value | None:
        """The value that the write leaves for the key; None if it leaves the key as it is."""
        if key in self.values:
            return self.values[key][1]
        return self.sent.value(key) if self.sent is not None else None

    def learn(self, revision: Revision, now: float) -> None:
        """Takes over the state in the ledger: another gateway may have learnt first that the write was carried out."""
        if revision.acked_s is not None:
            self.state = "shown"
            self.acked = min(now - revision.acked_s, self.acked if self.acked is not None else now)
        if self.landed is None and revision.landed_s is not None:
            self.landed = now - revision.landed_s

    def forget_unsaved(self) -> None:
        """Gives up an acknowledgement that was concluded from a look and that the ledger does not have."""
        if self.stored is not None and self.acked is not None and not (self.stored.acked or self.answered):
            self.state, self.acked = self.stored.state, None

    def progress(self) -> Change:
        """The state that the ledger has to have; `stored` is the state that it has."""
        acked, landed = self.acked is not None, self.landed is not None
        facts = {"acked": acked, "landed": landed, "answered": self.answered}
        repaired = encoded_changes(changes_of(self.touched)) if self.kind == "repair" and acked else None
        return Change(self.number, self.state, **facts, touched=self.read_back, etag=self.etag, changes=repaired)

    def settled(self) -> Change:
        """The same, once it can undo nothing any more and nothing can undo it."""
        return replace(self.progress(), state="settled", answered=False)

    def shows(self, rows: RowSet) -> bool:
        """Whether these rows show every change of the write."""
        return bool(self.touched) and all(rows.value(key) == self.after(key) for key in self.touched)

    def read(self, rows: RowSet, *, is_last: bool) -> None:
        """The write shows in these rows. is_last: nothing was written after it, so that these rows are the set that it left."""
        self.touched = {key: touch._replace(after=rows.direct.get(key, ())) for key, touch in self.touched.items()}
        self.read_back = encoded_touches(self.touched)
        self.etag = rows.etag if is_last else ""

    def encoded(self) -> Revision:
        """The form in the ledger."""
        return at_once(self.encoding())

    def encoding(self) -> Generator[None, None, Revision]:
        """The same in steps."""
        changes = changes_of(self.touched) if self.kind == "foreign" else ()
        touched = encoded_touches(self.touched)
        yield
        sent = self.sent.json.encode("utf-8", "surrogatepass") if self.sent is not None else None
        yield
        base = _bytes(self.base.rows) if self.base is not None else None
        yield
        return Revision(
            kind=self.kind,
            owner=self.owner,
            route=self.route,
            client_request_id=self.client_request_id,
            touched=touched,
            sent=sent,
            state=self.state,
            base=base,
            etag_before=self.base.etag if self.base is not None else "",
            etag_after=self.etag,
            changes=encoded_changes(changes) if changes else None,
        )


def decoded(of: AssignableSet, revision: Revision, now: float) -> PastWrite:
    """The inverse of `encoded`. now: when the ledger reported the ages."""
    touched = decoded_touches(revision.touched)
    sent = None if revision.sent is None else decoded_rows(of, revision.sent)
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


def changes_of(touched: Mapping[Key, Touch]) -> list[RowChange]:
    """What was changed, for readers of the ledger; rows that were only found to be there are left out."""
    found = [(next(iter((*after, *before)), {}), before, after) for before, after in touched.values() if before != after]
    return [RowChange(text_of_json(target_of(row)), before, after) for row, before, after in found]


def encoded_touches(touched: Mapping[Key, Touch]) -> bytes:
    """As the ledger keeps them."""
    return _bytes([(key, before, after) for key, (before, after) in touched.items()])


def decoded_touches(touched: bytes) -> dict[Key, Touch]:
    """The inverse."""
    values = loads(touched.decode("utf-8", "surrogatepass") or "[]")
    return {(key[0], key[1]): Touch(tuple(before), tuple(after)) for key, before, after in values}


def decoded_rows(of: AssignableSet, rows: bytes) -> RowSet:
    """A whole set, as the ledger keeps it."""
    return RowSet(of, loads(rows.decode("utf-8", "surrogatepass")))


def _bytes(value: Sequence[object]) -> bytes:
    return dumps(value).encode("utf-8", "surrogatepass")
