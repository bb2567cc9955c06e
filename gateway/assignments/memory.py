"""What is known of a policy: the gateway's writes that may still matter, and the changes by others that it saw meanwhile.

Promises: a read that may be older than an acknowledged write is never taken for the present state; what the gateway's own
writes undid is distinguished from what others changed; a write is forgotten only when it can undo nothing any more. Only this
class has the state of a policy; the ledger keeps it durably (see `recall`, `unsaved`). No I/O; all times are monotonic seconds.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from gateway.assignments.looks import Bounds, Look, Verdict
from gateway.assignments.past_writes import PastWrite, decoded, decoded_rows, decoded_touches
from gateway.assignments.precedence import comes_before, explains_alone, last_said
from gateway.assignments.rows import ABSENT, Row, RowSet, Touch, Value, otherwise_changed, value_of
from gateway.odata.targets import Key
from gateway.revision import Change, Grant, Revision
from gateway.sets import AssignableSet

NUMBER = attrgetter("number")


class Memory:
    """The memory of one policy. writes: the unsettled ones by number. newest: the number of this gateway's last write."""

    def __init__(self, of: AssignableSet, bounds: Bounds) -> None:
        self.of, self._bounds = of, bounds
        self.writes: dict[int, PastWrite] = {}
        self.newest = 0
        self._foreign: list[PastWrite] = []  # not in the ledger yet
        self._ended: list[Change] = []
        self._known: Look | None = None  # the newest look that was accepted
        self._is_exact = True  # whether its rows are exactly Graph's, with the properties that do not count
        self._first_asked = 0.0
        self._generation = self._numbers = 0  # of the last lease, and how many revisions this gateway knows that there are
        self._is_forgotten = False  # until `recall`, it is unknown whether everything is settled
        self._seen: dict[Key, tuple[PastWrite, float, float]] = {}  # by what, asked for when, judged when

    # What the ledger has, and what it does not have yet.

    def recall(self, grant: Grant, now: float) -> None:
        """Takes over what the ledger has: the revisions of other replicas and earlier processes, and the state of known ones.

        If others had the lease in between, they may have answered callers: what was concluded from looks and not saved is given
        up, and the last look is no longer compared with; also if there are unknown revisions, from a commit whose answer was
        lost. If everything is settled, the newest revision defines the expected set; others have changed whatever differs."""
        if (grant.generation, grant.numbers) != (self._generation + 1, self._numbers):
            self._known, self._foreign = None, []
            self._ended = [change for change in self._ended if change.answered]
            for write in self.writes.values():
                write.forget_unsaved()
        self._generation, self._numbers, self._is_forgotten = grant.generation, grant.numbers, False
        found, newest = {revision.number: revision for revision in grant.revisions}, grant.newest
        self.writes = {number: write for number, write in self.writes.items() if number in found}
        for number, revision in found.items():
            if number in self.writes:
                self.writes[number].learn(revision, now)
            else:
                self.writes[number] = decoded(self.of, revision, now)
        if self._known is None and not self.writes and newest is not None and newest.base is not None:
            rows = decoded_rows(self.of, newest.base).changed_by(decoded_touches(newest.touched))
            self._known, self._first_asked = Look(rows, now - newest.age_s), float("-inf")
            self._is_exact = rows.etag == newest.etag_after

    def add(self, write: PastWrite) -> None:
        """Adds a write that is in the ledger and about to be sent."""
        write.stored = write.progress()
        self.writes[write.number] = write
        self.newest = self._numbers = write.number

    def accepted(self, number: int, now: float) -> None:
        """Graph answered that the write was carried out: no look can prove more."""
        write = self.writes[number]
        write.state, write.acked, write.landed, write.answered = "shown", now, now, True

    def doubtful(self, number: int, told: Mapping[str, str]) -> None:
        """No good answer came: the write may have been carried out, or may still be. told: Graph's IDs, if it answered."""
        write = self.writes[number]
        write.state, write.told, write.answered = "doubtful", told, True

    def void(self, number: int) -> None:
        """The write was certainly not carried out: Graph said so, or it was never sent."""
        self.writes.pop(number, None)
        self._ended.append(Change(number, "void", answered=True))

    def missing(self, asked: float) -> bool:
        """A look that was requested then did not find the policy: that settles everything, unless the look may be stale.
        Returns whether everything is settled."""
        if any(asked <= self.end_of(write) for write in self.writes.values()):
            return False
        self._ended += [write.settled() for write in self.writes.values()]
        self.writes.clear()
        return True

    def start_anew(self) -> None:
        """Forgets everything, since others may have written and conclusions may be wrong; `recall` comes next."""
        self.writes, self._seen, self._known = {}, {}, None
        self._ended, self._foreign, self._is_forgotten = [], [], True

    def unsaved(self) -> tuple[list[Change], list[Revision]]:
        """What the ledger does not have yet: changes of states, and foreign revisions; see Revisions.conclude."""
        moved = [progress for write in self.writes.values() if (progress := write.progress()) != write.stored]
        return [*moved, *self._ended], [write.encoded() for write in self._foreign]

    def saved(self, numbers: Iterable[int]) -> None:
        """The ledger has recorded what `unsaved` returned. numbers: those of the foreign revisions."""
        for number, write in zip(numbers, self._foreign, strict=True):
            write.number = self._numbers = number
            self.writes[number] = write
        for write in self.writes.values():
            write.stored = write.progress()
        self._ended, self._foreign = [], []

    # What a look means.

    def expected(self) -> dict[Key, PastWrite]:
        """By key, the write that determines the expected row; see precedence.last_said."""
        return last_said((*sorted(self.writes.values(), key=NUMBER), *self._foreign))

    def judge(self, look: Look, now: float) -> Verdict:
        """Judges a look: whether it may be stale, what has to be repaired, what others changed. Looks have to come in the order
        of their requests."""
        self._acknowledge(look, now)
        expected = self.expected()
        differing = self._differing(look, expected, now)
        waiting = [self._certain_at(key, expected.get(key), look) for key in differing]
        if any(look.asked <= at for at in waiting):
            return Verdict(old=True, fresh_at=max(waiting))
        repairs: dict[Key, tuple[Row, ...]] = {}
        foreign: dict[Key, Touch] = {}
        for key in differing:
            write = expected.get(key)
            rows = write.touched[key].after if write else self._known_rows(key)
            if self._we_undid(key, write, look):
                repairs[key] = rows
            else:
                foreign[key] = Touch(rows, look.rows.direct.get(key, ()))
        # If nothing is unsettled, changes of properties that do not count are by others too.
        if self._known and self._is_exact and not (repairs or self.writes or self._foreign):
            foreign |= otherwise_changed(self._known.rows, look.rows)
        if foreign:
            self.concede(foreign, now, look.rows)
        if not repairs:
            self._first_asked = self._first_asked if self._known else look.asked
            self._known, self._is_exact = look, True
            self._note_read(look)
            self._settle(look)
        repaired = frozenset(expected[key].number for key in repairs if key in expected)
        return Verdict(repairs=repairs, repaired=repaired, foreign=foreign)

    def concede(self, changes: Mapping[Key, Touch], now: float, rows: RowSet) -> None:
        """Records changes by others: they determine the expected rows from now on. rows: the set with these changes."""
        base = rows.without(changes)
        write = PastWrite(
            self.of, "foreign", changes, None, now, state="shown", acked=now, landed=now, base=base, etag=rows.etag
        )
        self._foreign.append(write)

    def hold(self, found: Mapping[Key, Touch], now: float, rows: RowSet) -> None:
        """Protects rows that a caller is told are there already, while a write of the gateway's may still undo them."""
        new = {key: touch for key, touch in found.items() if not self.is_protected({key: value_of(self.of, touch.after)})}
        if new and self.writes:
            self.concede(new, now, rows)

    def ends_at(self) -> float | None:
        """The moment after which a look has to be requested to settle everything; None if everything is settled."""
        writes = (*self.writes.values(), *self._foreign)
        return max((self.end_of(write) for write in writes), default=0.0 if self._ended or self._is_forgotten else None)

    def end_of(self, write: PastWrite) -> float:
        """The moment after which a requested look shows the full effect of the write."""
        return self._landed_by(write) + self._bounds.lag

    def is_protected(self, values: Mapping[Key, Value]) -> bool:
        """Whether acknowledged writes already make all of these values the expected ones."""
        expected = self.expected()
        return all(key in expected and expected[key].after(key) == value for key, value in values.items())

    def _acknowledge(self, look: Look, now: float) -> None:
        """Acknowledges writes without a good answer whose changes all show, unless an older state explains what shows. That
        does not prove that the write took effect: somebody else may have made the same change, and the write may still come."""
        known = (*self.writes.values(), *self._foreign)
        for write in self.writes.values():
            # What a repair restores was there before, so a stale read shows it as well.
            old = write.written + (self._bounds.lag if write.kind == "repair" else 0.0)
            if write.acked is not None or look.asked < old or not write.shows(look.rows):
                continue
            as_before = any(self._was_so_before(write, key, look) for key in write.touched)
            explained = not as_before or any(explains_alone(write, key, known) for key in write.touched)
            if not explained or self.is_protected({key: write.values[key][1] for key in write.touched}):
                continue
            write.state, write.acked, write.answered = "shown", now, False

    def _was_so_before(self, write: PastWrite, key: Key, look: Look) -> bool:
        """Whether the key had this value before another known change, recently enough for a stale read to show it."""
        value = write.after(key)
        return any(
            key in other.touched and other.before(key) == value and self._landed_by(other) >= look.asked - self._bounds.lag
            for other in (*self.writes.values(), *self._foreign)
            if other is not write
        )

    def _differing(self, look: Look, expected: Mapping[Key, PastWrite], now: float) -> list[Key]:
        """The keys whose rows differ from the expected ones. Notes for the others when they were seen."""
        differing = []
        for key, write in expected.items():
            if look.rows.value(key) == write.after(key):
                self._seen[key] = (write, max(look.asked, self._seen_at(key, write)), now)
            else:
                differing.append(key)
        if self._known is not None:
            before = self._known.rows.values
            keys = before.keys() | look.rows.values.keys()
            differing += [key for key in keys if key not in expected and before.get(key, ABSENT) != look.rows.value(key)]
        return differing

    def _certain_at(self, key: Key, write: PastWrite | None, look: Look) -> float:
        """Until when a requested look that shows another row for the key may be stale: a read may be older than an earlier
        read. A row that was seen is not given up for a look that may be older than the first one."""
        if write is not None:
            by, _, judged = self._seen.get(key, (None, 0.0, 0.0))
            return max(write.acked or 0.0, judged if by is write else 0.0) + self._bounds.lag
        return self._first_asked + self._bounds.lag if key not in look.rows.direct else float("-inf")

    def _we_undid(self, key: Key, write: PastWrite | None, look: Look) -> bool:
        """Whether a write of the gateway's explains what shows: it leaves that row there, and may have taken effect after the
        expected row was written and after a look last showed it. The moment at which a write took effect is known only to lie
        between its record and Graph's answer. For rows that others left: a look requested after Graph's good answer to a write
        is believed, and a row in a set that Graph accepted was there at that time."""
        lag, known = self._bounds.lag, self._known
        if write is not None:
            value, asked = write.after(key), self._seen_at(key, write)
            since = max(asked - lag, write.written - (lag if write.kind == "foreign" else 0.0))
            if write.landed is None and since <= write.written:
                return True  # acknowledged by a look that may be older than the write, which may never have taken effect
            if any(w.acked is None and w.values.get(key, (None, None))[1] == value for w in self.writes.values()):
                return True  # another write is restoring it already, and its outcome is unknown
        elif known is not None:
            value, asked = known.rows.value(key), known.asked
            since = asked - lag
        else:
            return False
        if write is None or write.kind == "foreign":
            taken = (w for w in self.writes.values() if w.landed is not None)
            since = max((since, *(w.written for w in taken if w.after(key) == value)))
        else:
            asked = since
        return any(
            other is not write
            and (key not in other.touched or (write is not None and comes_before(other, write)))
            and other.sent is not None
            and other.after(key) not in (value, None)
            and other.after(key) == look.rows.value(key)
            and self._landed_by(other) >= (since if other.landed is None else max(since, asked))
            for other in self.writes.values()
        )

    def _note_read(self, look: Look) -> None:
        """Notes what Graph made of each write that shows for the first time."""
        for write in self.writes.values():
            if write.acked is not None and write.read_back is None and write.kind != "foreign" and write.shows(look.rows):
                write.read(look.rows, is_last=write.number == max(self.writes))

    def _settle(self, look: Look) -> None:
        """Settles the writes that can undo nothing any more and that nothing can undo. Oldest first: if a later change were
        forgotten before an earlier one of the same key, the earlier one would determine the expected row again."""
        kept: set[Key] = set()
        for write in sorted(self.writes.values(), key=NUMBER):
            if kept.isdisjoint(write.touched) and self._is_over(write, look):
                del self.writes[write.number]
                self._ended.append(write.settled())
            else:
                kept.update(write.touched)

    def _is_over(self, write: PastWrite, look: Look) -> bool:
        """Whether the look shows the full effect of the write, and no write that may still take effect conflicts with it: none
        touches its keys or carries a set without its changes, and it cannot have undone changes of one of them."""
        if look.asked <= self.end_of(write):
            return False
        for other in self.writes.values():
            if other is write or look.asked > self.end_of(other):
                continue
            if any(other.after(key) not in (write.after(key), None) or key in other.touched for key in write.touched):
                return False
            differs = any(write.after(key) not in (other.after(key), None) for key in other.touched)
            if other.landed is None and differs and self._landed_by(write) >= other.written:
                return False
        return True

    def _landed_by(self, write: PastWrite) -> float:
        """The latest time at which the write takes effect, if it does."""
        return write.landed if write.landed is not None else write.written + self._bounds.late

    def _seen_at(self, key: Key, write: PastWrite) -> float:
        """When the newest look that showed the change was requested; when the write was recorded, if none did."""
        by, asked, _ = self._seen.get(key, (None, 0.0, 0.0))
        return asked if by is write else write.written

    def _known_rows(self, key: Key) -> tuple[Row, ...]:
        return self._known.rows.direct.get(key, ()) if self._known else ()
