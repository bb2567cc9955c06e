"""A random workload on many policies: each caller makes operations of all kinds, one after the other, on groups of its own;
foreign writers write at any time; and Graph has faults. The oracle judges the result."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from actors import Answer, graph_row
from asks import ABSENT, ANY, BAD, KINDS, OK, OPEN, Ask, Op, Value, after, undo_of
from moves import shown_by
from rig import unthrottle

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import ROWS

GROUPS = 3
# How often, beside each other.
WEIGHTS = {"create": 6, "update": 3, "move": 1, "delete": 2, "replace": 1, "edit": 2, "undo": 7, "read": 1, "poison": 0.3}
SHARED = [f"shared-{i}" for i in range(8)]
FOREIGN = "000000f0"  # the groups of others begin so
ASSIGN, LIST = {"method": "POST", "path": "/assign$"}, {"method": "GET", "path": "/assignments"}
PATIENCE_S, TIMEOUT_S = 60.0, 20.0


class Way(Protocol):
    """A way to edit."""

    async def attempt(self, policy: str, op: Op, request_id: str, timeout: float) -> Answer: ...
    async def read(self, policy: str) -> None: ...


@dataclass
class Load:
    """The amounts. late_s, lag_s: the most, in seconds; both have to be below the gateway's bounds. foreign_s: seconds between
    two foreign writes, on average. faults_each: requests between two faults, on average."""

    operations: int
    callers: int = 64
    lag_s: float = 0.5
    late_s: float = 1.5
    foreign_s: float = 0.3
    faults_each: int = 15


@dataclass
class Figures:
    """Figures about the run beside the oracle's."""

    operations: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    unknown: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    foreign: int = 0
    undone: int = 0


def group_id(caller: int, number: int) -> str:
    return f"{caller:08x}-{number:04x}-4000-8000-000000000000"


class Caller:
    """Makes one operation after the other, each under one request ID until it is answered. Some callers only create rows and
    delete them again; some have so short a timeout that they ask often; sometimes one gives up."""

    def __init__(self, number: int, way: Way, rng: random.Random, say: Callable[[Ask], None], figures: Figures) -> None:
        self.number, self.way, self.rng, self.say, self.figures = number, way, rng, say, figures
        self.own = f"own-{number}"  # the policy for the operation that concerns a whole one
        self.groups = [group_id(number, i) for i in range(GROUPS)]
        self.possible: dict[tuple[str, str], frozenset[Value]] = {}
        self.timeout = 0.4 if number % 8 == 0 else TIMEOUT_S
        self.undos: list[tuple[str, Op]] = []  # of the last changes that it is sure of
        self._plan = self._in_turn() if number % 3 == 0 else self._at_random()

    async def work(self, operations: int, is_enough: Callable[[], bool]) -> None:
        for _ in range(operations):
            if is_enough():
                return
            self.figures.operations += 1
            policy, op = next(self._plan)
            if op is None:
                await self.way.read(policy)
            else:
                await self._ask(policy, op)

    def _in_turn(self) -> Iterator[tuple[str, Op]]:
        while True:
            policy = self.rng.choice(SHARED)
            for group in self.groups:
                if_exists = "replace" if len(self._of(policy, group)) > 1 else "fail"
                yield policy, Op("create", group, self.rng.choice(KINDS), if_exists)
            if self.rng.random() < 0.5:
                yield policy, self._edit(policy)
            for group in self.groups:
                yield self._undo() or (policy, Op("delete", group))

    def _at_random(self) -> Iterator[tuple[str, Op | None]]:
        while True:
            rng, policy = self.rng, self.rng.choice(SHARED)
            group, other = rng.sample(self.groups, 2)
            kind = rng.choice(KINDS)
            name = rng.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
            match name:
                case "create":
                    yield policy, Op("create", group, kind, rng.choice(["fail", "fail", "keep", "replace"]))
                case "update":
                    same = all(value and value[0] == kind[0] for value in self._of(policy, group))
                    yield policy, Op("update", group, kind, filter_only=same)
                case "move":
                    yield policy, Op("move", group, kind, to=other)
                case "replace":
                    yield self.own, self._replacement()
                case "read":
                    yield self.own, None
                case "edit":
                    yield policy, self._edit(policy)
                case "undo":
                    yield self._undo() or (policy, Op("delete", group))
                case "poison":
                    yield policy, Op("poison", group)
                case _:
                    yield policy, Op("delete", group)

    def _edit(self, policy: str) -> Op:
        """Edits of two groups in one write; seldom refused."""
        parts = []
        for group in self.rng.sample(self.groups, 2):
            there = self._of(policy, group) != ABSENT and self.rng.random() < 0.95
            names = ["delete", "update"] if there else ["create"]
            parts.append(Op(self.rng.choice(names), group, self.rng.choice(KINDS)))
        return Op("edit", parts=tuple(parts))

    def _undo(self) -> tuple[str, Op] | None:
        """Undoes the last change, in nine cases of ten."""
        return self.undos.pop(-1 if self.rng.random() < 0.9 else 0) if self.undos else None

    def _replacement(self) -> Op:
        kept = set(self.rng.sample(self.groups, self.rng.randrange(1, len(self.groups) + 1)))
        return Op("replace", whole=tuple((g, self.rng.choice(KINDS[:2]) if g in kept else None) for g in self.groups))

    def _of(self, policy: str, group: str) -> frozenset[Value]:
        return self.possible.get((policy, group), ABSENT)

    async def _ask(self, policy: str, op: Op) -> None:
        request_id, asked = str(uuid.UUID(int=self.rng.getrandbits(128), version=4)), time.time()
        gives_up = self.rng.random() < 0.02
        attempts = unknown = 0
        while True:
            attempts += 1
            answer = await self.way.attempt(policy, op, request_id, self.timeout)
            unknown += answer.unknown
            if answer.name or gives_up or time.time() - asked > PATIENCE_S:
                break
            await asyncio.sleep(answer.wait)
        ask = Ask(str(self.number), policy, op, request_id, answer.name or OPEN, asked, time.time(), attempts, unknown)
        before = {group: self._of(policy, group) for group in op.groups}
        left = after(ask, before) or dict.fromkeys(op.groups, ANY)
        if (undo := undo_of(ask, before, left)) is not None:
            self.undos = [*self.undos[-3:], (policy, undo)]
        self.possible |= {(policy, group): values for group, values in left.items()}
        self.figures.answers[ask.answer] += 1
        self.figures.undone += op.name == "undo" and ask.answer == OK
        self.figures.attempts += attempts
        self.figures.unknown += unknown
        if ask.answer != BAD or op.name != "poison":
            self.say(ask)


class Workload:
    """seed: of all random choices except times. way: caller's number -> its way to edit. enough: set it to end before all
    operations are done."""

    def __init__(self, emulator: Emulator, seed: int, load: Load, way: Callable[[int], Way]) -> None:
        self.emulator, self.load, self.way = emulator, load, way
        self.random = random.Random(seed)
        self.asks: list[Ask] = []
        self.figures = Figures()
        self.policies = [*SHARED, *(f"own-{i}" for i in range(load.callers))]
        self.over = self.enough = False
        self._condensed = 0

    def prepare(self) -> Mapping[str, Sequence[dict]]:
        """Adds the policies, and returns their initial sets."""
        intune = self.emulator.world.intune
        unthrottle(self.emulator)
        self.emulator.world.graph.page_size = 1000
        for policy in self.policies:
            intune.add_policy(policy, policy, ROWS)
        return self.sets()

    def sets(self) -> dict[str, Sequence[dict]]:
        return {policy: self.emulator.world.intune.policies[policy].rows for policy in self.policies}

    async def run(self) -> None:
        """Runs until all callers are done, faults have ended, and late requests have taken effect."""
        world = self.emulator.world
        others = [asyncio.create_task(work()) for work in (self._faults, self._foreign, self._condense)]
        each = -(-self.load.operations // self.load.callers)
        new = lambda n: Caller(n, self.way(n), random.Random(self.random.random()), self.asks.append, self.figures)  # noqa: E731
        await asyncio.gather(*(new(number).work(each, lambda: self.enough) for number in range(self.load.callers)))
        self.over = True
        await asyncio.gather(*others)
        world.faults.clear()
        while world.late:
            await asyncio.sleep(0.05)

    def _fault(self, rng: random.Random) -> dict[str, Any]:
        late = {**ASSIGN, "effect": "late", "late_s": rng.uniform(0.05, self.load.late_s)}
        return rng.choice(
            [
                {**late, "status": rng.choice([503, 504])},
                {**late, "cut": "before"},
                {**late, "cut": "before"},
                {**ASSIGN, "status": 504, "effect": "now"},
                {**ASSIGN, "cut": "after"},
                {**ASSIGN, "cut": "before"},
                {**ASSIGN, "status": 503, **rng.choice([{}, {"retry_after": "0.1"}])},
                {**ASSIGN, "status": 500},
                {**ASSIGN, "status": 429, "retry_after": "0.1"},
                {**ASSIGN, "status": 409},
                {**ASSIGN, "status": 401, "body": {"error": {"code": "InvalidAuthenticationToken", "message": "It expired."}}},
                {**ASSIGN, "delay_s": rng.uniform(0.05, 0.6)},
                {**LIST, "status": 500},
                {**LIST, "status": 429, "retry_after": "0.02"},
                {**LIST, "cut": "before"},
                {**LIST, "delay_s": rng.uniform(0.05, 0.6)},
            ]
        )

    async def _faults(self) -> None:
        """Orders a fault every `faults_each` requests on average, and changes the lag, which is seldom zero."""
        rng, world = random.Random(self.random.random()), self.emulator.world
        met, token_at = 0, 0.0  # two refusals of tokens in one call are an end of it (GRAPH_TOKEN_REFUSED), and no fault
        while not self.over:
            if len(world.requests) >= met:
                met = len(world.requests) + rng.randrange(self.load.faults_each // 2, self.load.faults_each * 3 // 2)
                fault = self._fault(rng)
                if fault.get("status") == 401 and time.monotonic() < token_at:
                    continue
                token_at = time.monotonic() + PATIENCE_S + TIMEOUT_S if fault.get("status") == 401 else token_at
                name = "late" if fault.get("effect") == "late" else str(fault.get("status") or fault.get("cut") or "slow")
                self.figures.faults[name] += 1
                world.faults.order([Fault(**fault)])
                world.intune.lag, world.intune.hops = rng.uniform(0.0, self.load.lag_s), rng.random() < 0.8
            await asyncio.sleep(0.01)
        world.intune.lag = 0.0

    async def _foreign(self) -> None:
        """Foreign writers add, change and remove rows of their own at random times, seldom a caller's row, seldom from a stale
        set."""
        rng, intune = random.Random(self.random.random()), self.emulator.world.intune
        while not self.over:
            await asyncio.sleep(rng.expovariate(1 / self.load.foreign_s))
            policy = rng.choice(SHARED)
            rows = intune.policies[policy].rows
            if rng.random() < 0.03:
                await asyncio.sleep(0.1)
            self.figures.foreign += 1
            intune.set_rows(policy, _changed_by_others(rows, group_id(0xF0, self.figures.foreign), rng))

    async def _condense(self) -> None:
        """Keeps only what the oracle needs of each answer."""
        while not self.over:
            await asyncio.sleep(0.2)
            requests = self.emulator.world.requests
            for request in requests[self._condensed : max(len(requests) - 500, 0)]:
                _condense(request)
                self._condensed += 1

    def all_condensed(self) -> list[dict]:
        for request in self.emulator.world.requests:
            _condense(request)
        return self.emulator.world.requests


def _changed_by_others(rows: Sequence[dict], new: str, rng: random.Random) -> list[dict]:
    theirs = [row for row in rows if str(row["target"].get("groupId", "")).startswith(FOREIGN)]
    callers = [row for row in rows if "-4000-8000-" in str(row["target"].get("groupId", "")) and row not in theirs]
    choice = rng.random()
    if choice < 0.03 and callers:
        gone = rng.choice(callers)
        return [row for row in rows if row is not gone]
    if choice < 0.45 and theirs:
        one = rng.choice(theirs)
        changed = [] if rng.random() < 0.6 else [graph_row(one["target"]["groupId"], rng.choice(KINDS))]
        return [*(row for row in rows if row is not one), *changed]
    return [*rows, graph_row(new, rng.choice(KINDS))]


def _condense(request: dict) -> None:
    answer = request.get("answer")
    if isinstance(answer, dict) and isinstance(answer.get("value"), list) and "@odata.nextLink" not in answer:
        request["shown"] = shown_by(answer["value"])
    request["answer"] = request["body"] = None
