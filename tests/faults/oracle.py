"""The judge of a run with faults: compares Graph's state at rest with what callers were told. It shares no code with the
gateway.

Its evidence is what the emulator recorded (every change of a set with its writer, every request), what the callers requested
and were answered, and the ledger and the log. It finds every row that was lost, came back, was changed twice or without a
request, and reports each with a line that says why.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asks import ABSENT, ANY, BAD, OK, OPEN, Ask, Value, after, undo_of, wanted
from moves import Move, Place, Row, moves_of, place_of, value_of

SLOW_S = 0.25  # a request that takes longer is late: its sender may have been killed meanwhile


class Booked(NamedTuple):
    """The ledger's record of a request ID. write: the client-request-id of the last write that carried it."""

    outcome: str
    write: str = ""
    foreign_changes: int = 0


@dataclass(frozen=True)
class Evidence:
    """starts, finals: the sets before the run and at rest, by policy. effects: oldest first; each has at, policy, by, before,
    after. requests: the emulator's log; a read has `shown`, what it showed. told: the IDs of rows that the log reports
    as changed by others. repairs: writes that the ledger calls repairs. lag: seconds. entries: by request ID; None if there is
    no ledger. written: when a write was recorded in the ledger, by client-request-id. late: the seconds after that within which
    it may take effect; the promises hold only within this bound."""

    starts: Mapping[str, Sequence[Row]]
    finals: Mapping[str, Sequence[Row]]
    effects: Sequence[Any]
    asks: Sequence[Ask]
    requests: Sequence[Mapping[str, Any]] = ()
    entries: Mapping[str, Booked] | None = None
    told: Collection[str] = ()
    repairs: Collection[str] = ()
    lag: float = 0.0
    written: Mapping[str, float] = field(default_factory=dict)
    late: float = float("inf")


WRONG = ("lost", "undead", "unasked", "foreign", "bystanders", "twice", "outcomes", "surprises")


@dataclass
class Verdict:
    """wrong: lines by kind of violation. counts: figures that are not violations."""

    wrong: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in WRONG})
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        return not any(self.wrong.values())

    def __str__(self) -> str:
        lines = [f"{name}: {line}" for name, found in self.wrong.items() for line in found[:20]]
        return "\n".join((str({name: len(found) for name, found in self.wrong.items()} | dict(self.counts)), *lines))


def judge(evidence: Evidence) -> Verdict:
    return _Judge(evidence).verdict


class _Judge:
    def __init__(self, evidence: Evidence) -> None:
        self.e, self.verdict = evidence, Verdict()
        self.moves = moves_of(evidence.effects)
        self.finals = {place_of(policy, row): row for policy, rows in evidence.finals.items() for row in rows}
        posts = [r for r in evidence.requests if r["method"] == "POST"]
        self.posts = {r["headers"].get("client-request-id", ""): r for r in posts}
        self.reads = [r for r in evidence.requests if r["method"] == "GET"]
        written = evidence.written
        self.too_late = {e.policy for e in evidence.effects if e.at > written.get(e.by, e.at) + evidence.late}
        self.asks: dict[Place, list[Ask]] = defaultdict(list)
        for ask in evidence.asks:
            for group in ask.op.groups:
                self.asks[ask.policy, group].append(ask)
        self._owned()
        self._others()
        self._bystanders()
        self._outcomes()

    def _say(self, kind: str, place: Place, words: str) -> None:
        if place[0] in self.too_late:
            self.verdict.counts[f"{kind}, beyond the bound"] += 1
        else:
            self.verdict.wrong[kind].append("\n    ".join((f"{' '.join(place)}: {words}", *self._story(place))))

    def _story(self, place: Place) -> list[str]:
        """The last events of a row, for a person to read."""
        wishes = [(ask, self._wished(ask, place[1])) for ask in self.asks[place]]
        told = [
            (ask.answered, f"{ask.caller} {ask.op.name} {wish} {ask.asked % 1000:.2f}: {ask.answer} {ask.request_id[:8]}")
            for ask, wish in wishes
        ]
        mine = {b.write: request_id[:8] for request_id, b in (self.e.entries or {}).items()}
        seen = [
            (
                m.at,
                f"-> {value_of(m.after)} by {m.by[:8]} {'late ' if self._is_late(m) else ''}{mine.get(m.by, '')}"
                + (f" posted {self.posts[m.by]['at'] % 1000:.2f}" if m.by in self.posts else ""),
            )
            for m in self.moves[place]
        ]
        return [f"{at % 1000:.2f} {words}" for at, words in sorted(told + seen)[-12:]]

    def _is_late(self, move: Move) -> bool:
        """Whether the write took effect long after it was sent."""
        post = self.posts.get(move.by)
        return post is not None and (bool(post.get("late")) or move.at - post["at"] > SLOW_S)

    def _strays(self, place: Place) -> list[float]:
        """The times of changes that no answer explains: by others, or by operations whose caller gave up."""
        opened = [(ask.answered, self._wished(ask, place[1])) for ask in self.asks[place] if ask.answer == OPEN]
        return [
            move.at
            for move in self.moves[place]
            if not move.ours or any(move.at > at and value_of(move.after) in values for at, values in opened)
        ]

    @staticmethod
    def _wished(ask: Ask, group: str) -> set[Value]:
        """The values that the operation may leave for the group."""
        return wanted(ask, dict.fromkeys(ask.op.groups, ANY)).get(group, set())

    # Callers' own rows.

    def _owned(self) -> None:
        possible: dict[Place, frozenset[Value]] = {}
        windows: list[tuple[Place, Ask, set[Value]]] = []
        certain: set[str] = set()  # request ids, of which can be told what undoes them
        for ask in sorted(self.e.asks, key=lambda ask: ask.answered):
            places = {group: (ask.policy, group) for group in ask.op.groups}
            self._let_others_in(places.values(), possible, ask)
            own = {group: possible.get(place, ABSENT) for group, place in places.items()}
            windows += [(places[group], ask, values) for group, values in wanted(ask, own).items()]
            left = after(ask, own)
            if ask.op.name == "undo" and ask.op.undoes not in certain:
                left = dict.fromkeys(own, ANY)
            if left is None:
                dues = {name: sorted(map(str, values)) for name, values in own.items()}
                if ask.op.name != "poison" or ask.answer != BAD:
                    self._say("surprises", next(iter(places.values())), f"{ask.op.name} {ask.answer}, while it had {dues}")
                left = dict.fromkeys(own, ANY)
            possible |= {places[group]: values for group, values in left.items()}
            self._touched_meanwhile(places.values(), possible, ask)
            if undo_of(ask, own, {group: possible[place] for group, place in places.items()}) is not None:
                certain.add(ask.request_id)
        for place in self.asks:
            self._at_rest(place, possible.get(place, ABSENT))
        self._count_arrivals(windows)

    def _let_others_in(self, places: Iterable[Place], possible: dict[Place, frozenset[Value]], ask: Ask) -> None:
        """Allows every value for places that others changed since the previous answer."""
        for place in places:
            since = max((a.answered for a in self.asks[place] if a.answered < ask.answered), default=0.0)
            if any(since - self.e.lag <= at <= ask.answered for at in self._strays(place)):
                possible[place] = ANY

    def _touched_meanwhile(self, places: Iterable[Place], possible: dict[Place, frozenset[Value]], ask: Ask) -> None:
        for place in places:
            if any(ask.asked - self.e.lag <= at <= ask.answered for at in self._strays(place)):
                possible[place] = ANY

    def _at_rest(self, place: Place, possible: frozenset[Value]) -> None:
        found, asks = value_of(self.finals.get(place)), self.asks[place]
        last = max((ask for ask in asks if ask.answer == OK), key=lambda ask: ask.answered, default=None)
        if found in possible:
            return
        if any(at >= (last.asked - self.e.lag if last else 0.0) for at in self._strays(place)):
            self.verdict.counts["own rows that others changed"] += 1
        else:
            kind = "unasked" if last is None else "undead" if possible == ABSENT else "lost"
            self._say(kind, place, f"{found} at rest, not {sorted(map(str, possible))}")

    def _count_arrivals(self, windows: Sequence[tuple[Place, Ask, set[Value]]]) -> None:
        """Counts how often a change took effect between its owner's request and the owner's next request."""
        times: dict[Place, list[float]] = {place: sorted(ask.asked for ask in asks) for place, asks in self.asks.items()}
        for place, ask, values in windows:
            end = next((at for at in times[place] if at > ask.asked), float("inf"))
            moves = [m for m in self.moves[place] if ask.asked <= m.at < end]
            arrivals = [m for m in moves if m.ours and value_of(m.after) in values and value_of(m.before) != value_of(m.after)]
            booked = (self.e.entries or {}).get(ask.request_id)
            for again in arrivals[1:]:
                twice = booked is not None and again.by == booked.write != arrivals[0].by
                gone = max((m for m in moves if m.at <= again.at and m is not again), key=lambda m: m.at)
                if not twice:
                    self.verdict.counts["put back"] += 1
                elif self._is_late(arrivals[0]):
                    self.verdict.counts["twice, the first one late"] += 1
                elif not self._was_seen(place, arrivals[0], gone, again):
                    self.verdict.counts["twice, nobody could see the first"] += 1
                elif gone.ours:
                    self.verdict.counts["twice, undone by ours between"] += 1
                else:
                    self._say("twice", place, f"{ask.request_id[:8]} {ask.op.name} again: {again.by[:8]}")
            if ask.answer not in (OK, OPEN) and booked is not None and any(m.by == booked.write for m in arrivals):
                self._say("outcomes", place, f"{ask.request_id[:8]} was told {ask.answer}, and took effect")

    def _was_seen(self, place: Place, came: Move, went: Move, again: Move) -> bool:
        """Whether the gateway that repeated a change could know, before the change was undone, that the row had come or gone:
        it had read so itself, or another gateway had read so, and had recorded it with a later write (old reads may show it for
        a while). What another gateway read before it was killed, without recording it, is not known."""
        post = self.posts[again.by]
        posts = [p for p in self.posts.values() if place[0] in p["path"] and p["at"] < post["at"]]
        based = [(p["bearer"], self._base_read(p, place[0]), p["at"]) for p in posts if p["bearer"] != post["bearer"]]
        reads = (r for r in self.reads if came.at <= r["at"] <= went.at + self.e.lag and place[0] in r["path"])
        return any(
            r["shown"].get(place[1]) == value_of(came.after)
            for r in reads
            if r.get("shown") is not None
            and (r["bearer"] == post["bearer"] or any(b == r["bearer"] and at <= r["at"] <= end for b, at, end in based))
        )

    # Others' rows.

    def _others(self) -> None:
        for place, moves in self.moves.items():
            last = next((i for i, move in reversed(list(enumerate(moves))) if not move.ours), None)
            if place in self.asks or last is None:
                continue
            left, found = moves[last].after, self.finals.get(place)
            self.verdict.counts["foreign rows"] += 1
            if found == left:
                self.verdict.counts["foreign rows put back"] += len(moves) > last + 1
                continue
            departures = [m for m in moves[last + 1 :] if m.before == left and m.after != left]
            undoing = departures[-1]
            if left is None and undoing.by in self.e.repairs:  # the watch may err so, and says so in the ledger
                self.verdict.counts["removals taken for ours"] += 1
                continue
            if all(moves[last].at < self._base_read(self.posts[m.by], place[0]) - self.e.lag for m in departures):
                self._say(
                    "foreign", place, f"{value_of(left)} by others, {value_of(found)} at rest, undone by {undoing.by[:8]}"
                )
                continue
            self.verdict.counts["gaps"] += 1
            self.verdict.counts[f"gaps {self._how_told(place, moves[last], undoing)}"] += 1

    def _base_read(self, post: Mapping[str, Any], policy: str) -> float:
        """When the set that a write was built upon was requested: the last list before the write, with the same bearer."""
        return max(
            (
                read["at"]
                for read in self.reads
                if read["at"] <= post["at"]
                and read["bearer"] == post["bearer"]
                and read["path"].endswith(f"{policy}/assignments")
            ),
            default=0.0,
        )

    def _how_told(self, place: Place, theirs: Move, undoing: Move) -> str:
        row = theirs.after or theirs.before or {}
        booked = any(b.write == undoing.by and b.foreign_changes for b in (self.e.entries or {}).values())
        if booked or str(row.get("id", "")).lower() in self.e.told or place[1] in self.e.told:
            return "told"
        seen = any(
            read["shown"].get(place[1]) == value_of(theirs.after)
            for read in self.reads
            if theirs.at <= read["at"] < undoing.at and place[0] in read["path"] and read.get("shown") is not None
        )
        return "untold" if seen else "that nobody could see"

    def _bystanders(self) -> None:
        replaced = {ask.policy for ask in self.e.asks if ask.op.name == "replace"}
        for policy, rows in self.e.starts.items():
            for row in rows:
                place = place_of(policy, row)
                touched = place in self.asks or (policy in replaced and row["source"] != "policySets")
                if touched or any(not move.ours for move in self.moves[place]):
                    continue
                if repr(self.finals.get(place)) != repr(row):
                    self._say("bystanders", place, f"{row} was there, and is {self.finals.get(place)}")

    # The ledger.

    def _outcomes(self) -> None:
        if self.e.entries is None:
            return
        for ask in self.e.asks:
            booked = self.e.entries.get(ask.request_id)
            self.verdict.counts["entries OK"] += booked is not None and booked.outcome == OK
            if ask.answer == OK and (booked is None or booked.outcome != OK):
                self._say("outcomes", (ask.policy, ask.request_id), f"told OK, {booked}")
            elif ask.answer not in (OK, OPEN) and booked is not None and booked.outcome == OK:
                self._say("outcomes", (ask.policy, ask.request_id), f"told {ask.answer}, {booked}")
