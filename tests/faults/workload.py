"""A random workload over many callers and policies with faults, and the model that judges it at the end.

Each caller owns groups of its own, so that it knows what has to be there; policies are shared. What a caller was told is
checked against what the emulator has at the end: every acknowledged edit is there, every refused one is not, rows that
nobody edited are byte for byte the same. Where the answer was "unknown" or too late, both are right.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from rig import unthrottle

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import ROWS

CALLERS, GROUPS = 64, 3
SHARED = [f"shared-{i}" for i in range(8)]
OWN = [f"own-{i}" for i in range(CALLERS)]  # for the operation that concerns a whole policy: Replace
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"
Kind = tuple[str, str]  # ("group" | "exclusion", "none" | "include" | "exclude")


class Actor(Protocol):
    """One way to edit. Each answers "ok", "no" (surely not carried out), "exists", "missing" or "unknown"."""

    async def create(self, policy: str, group: str, kind: Kind, if_exists: str) -> str: ...
    async def update(self, policy: str, group: str, to_group: str, kind: Kind, filter_only: bool) -> str: ...
    async def delete(self, policy: str, group: str) -> str: ...
    async def replace(self, policy: str, wanted: dict[str, Kind]) -> str: ...
    async def read(self, policy: str) -> dict[str, Kind] | None: ...
    async def poison(self, policy: str) -> str: ...
    async def settle(self, policy: str) -> None:
        """Returns once nothing that was asked before is still under way."""
        ...


@dataclass
class Report:
    """What happened. lost: acknowledged edits that are not there; extra: refused ones that are; damaged: others' rows."""

    operations: int = 0
    outcomes: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = {name: len(getattr(self, name)) for name in ("lost", "extra", "damaged", "surprises")}
        return f"{self.operations} operations {dict(self.outcomes)} -> {wrong}"

    @property
    def good(self) -> bool:
        return not (self.lost or self.extra or self.damaged or self.surprises)


def group_id(caller: int, number: int) -> str:
    return f"{caller:08x}-{number:04x}-4000-8000-000000000000"


def kinds_of(rows: list[dict]) -> dict[str, Kind]:
    """group id -> kind of the direct rows with groups."""
    found = {}
    for row in rows:
        target = row["target"]
        if row["source"] == "direct" and "groupId" in target:
            name = "exclusion" if "exclusion" in target["@odata.type"] else "group"
            found[target["groupId"]] = (name, target["deviceAndAppManagementAssignmentFilterType"])
    return found


class Workload:
    """seed: of everything random but time. actor: for a caller number."""

    def __init__(self, emulator: Emulator, seed: int, operations: int, actor: Callable[[int], Actor]) -> None:
        self.emulator, self.operations, self.actor = emulator, operations, actor
        self.random = random.Random(seed)
        self.report = Report()
        self.maybe: dict[tuple[str, str], list[Kind | None]] = {}
        self.expected: dict[tuple[str, str], Kind | None] = {}
        self.gates = {policy: Gate() for policy in SHARED}
        self.foreign: dict[str, set[str]] = {policy: set() for policy in SHARED}
        self.over = False

    async def run(self) -> Report:
        intune = self.emulator.world.intune
        unthrottle(self.emulator)
        self.emulator.world.graph.page_size = 64
        for policy in (*SHARED, *OWN):
            intune.add_policy(policy, policy, ROWS)
        seeds = {policy: {json.dumps(row) for row in intune.policies[policy].rows} for policy in (*SHARED, *OWN)}
        others = [asyncio.create_task(work()) for work in (self._chaos, self._foreign_writer)]
        await asyncio.gather(*(self._caller(number) for number in range(CALLERS)))
        self.over = True
        await asyncio.gather(*others)
        self.emulator.world.faults.clear()
        intune.lag = 0.0
        await asyncio.gather(*(self.actor(0).settle(policy) for policy in (*SHARED, *OWN)))
        await self._judge(seeds)
        return self.report

    async def _caller(self, number: int) -> None:
        rng, actor = random.Random(self.random.random()), self.actor(number)
        for _ in range(-(-self.operations // CALLERS)):
            whole = rng.random() < 0.1
            policy = OWN[number] if whole else rng.choice(SHARED)
            if whole:
                await self._whole(policy, number, rng, actor)
            else:
                async with self.gates[policy].shared():
                    await self._one(policy, number, rng, actor)
            self.report.operations += 1

    async def _one(self, policy: str, number: int, rng: random.Random, actor: Actor) -> None:
        group = group_id(number, rng.randrange(GROUPS))
        state = await self._state(policy, group, actor)
        kind: Kind = rng.choice([("group", "none"), ("group", "include"), ("group", "exclude"), ("exclusion", "none")])
        operation = rng.choices(["create", "update", "delete", "read", "poison"], [5, 3, 3, 1, 0.3])[0]
        if operation == "poison":
            self._tell(policy, group, await actor.poison(policy), state, state, {"bad"})
        elif operation == "read":
            self._look(policy, number, await actor.read(policy))
        elif operation == "create":
            if_exists = rng.choice(["fail", "fail", "keep", "replace"])
            after, expected = kind, {"ok"}
            if state is not None and (if_exists == "fail" or state[0] != kind[0]):
                after, expected = state, {"exists"}
            elif state is not None and if_exists == "keep":
                after = state
            answer = await actor.create(policy, group, kind, if_exists)
            self._tell(policy, group, answer, state, after, expected)
        elif operation == "delete":
            answer = await actor.delete(policy, group)
            self._tell(policy, group, answer, state, None, {"missing"} if state is None else {"ok"})
        else:
            filter_only = state is not None and state[0] == kind[0]
            after, expected = (state, {"missing"}) if state is None else (kind, {"ok"})
            answer = await actor.update(policy, group, group, kind, filter_only)
            self._tell(policy, group, answer, state, after, expected)

    async def _whole(self, policy: str, number: int, rng: random.Random, actor: Actor) -> None:
        groups = [group_id(number, i) for i in range(GROUPS)]
        states = {group: await self._state(policy, group, actor) for group in groups}
        wanted: dict[str, Kind] = {
            g: ("group", rng.choice(["none", "include"])) for g in rng.sample(groups, rng.randrange(1, 4))
        }
        answer = await actor.replace(policy, wanted)
        for group in groups:
            self._tell(policy, group, answer, states[group], wanted.get(group), {"ok"})

    async def _state(self, policy: str, group: str, actor: Actor) -> Kind | None:
        """What is there now; after an unknown outcome the emulator says, once that is settled."""
        if (policy, group) in self.maybe:
            await actor.settle(policy)
            found = kinds_of(self.emulator.world.intune.policies[policy].rows).get(group)
            possible = self.maybe.pop((policy, group))
            if found not in possible:
                self.report.lost.append(f"{policy} {group}: {found} is none of {possible}")
            self.expected[policy, group] = found
        return self.expected.get((policy, group))

    def _tell(self, policy: str, group: str, answer: str, before: Kind | None, after: Kind | None, expected: set[str]) -> None:
        self.report.outcomes[answer] += 1
        if answer == "ok" and "ok" in expected:
            self.expected[policy, group] = after
        elif answer == "unknown":
            self.maybe[policy, group] = [before, after]
        elif answer != "no" and answer not in expected:
            self.report.surprises.append(f"{policy} {group}: {answer}, expected {expected}, before {before}")

    def _look(self, policy: str, number: int, found: dict[str, Kind] | None) -> None:
        for i in range(GROUPS):
            group = group_id(number, i)
            if (
                found is not None
                and (policy, group) not in self.maybe
                and found.get(group) != self.expected.get((policy, group))
            ):
                self.report.surprises.append(f"{policy} {group}: read {found.get(group)}")
        self.report.outcomes["read"] += 1

    async def _chaos(self) -> None:
        """Faults, one kind after the other, and lag that comes and goes."""
        rng = random.Random(self.random.random())
        assign, listing = {"method": "POST", "path": "/assign$"}, {"method": "GET", "path": "/assignments"}
        faults = [
            {**assign, "status": 429, "retry_after": "0.05"},
            {**assign, "status": 429},
            {**assign, "status": 500},
            {**assign, "status": 503},
            {**assign, "cut": "before"},
            {**assign, "cut": "after"},
            {**assign, "delay_s": 0.1},
            {**listing, "status": 500},
            {**listing, "status": 429, "retry_after": "0.02"},
            {**listing, "cut": "before"},
        ]
        met = 0
        while not self.over:  # one request in about forty, however many there are
            if len(self.emulator.world.requests) >= met:
                met = len(self.emulator.world.requests) + rng.randrange(10, 70)
                self.emulator.world.faults.order([Fault(**rng.choice(faults))])
                self.emulator.world.intune.lag = rng.choice([0, 0, 0, 0.05, 0.2])
            await asyncio.sleep(0.01)

    async def _foreign_writer(self) -> None:
        """Adds and removes rows of its own behind the gateway's back, when no call of ours is on the policy: between a read
        and a write of ours it would be undone, and that has a test of its own."""
        rng = random.Random(self.random.random())
        intune, number = self.emulator.world.intune, 0
        while not self.over:
            policy = rng.choice(SHARED)
            async with self.gates[policy].alone():
                await asyncio.sleep(0.25)  # longer than any lag, and than a write whose caller gave up
                rows, mine = intune.policies[policy].rows, self.foreign[policy]
                if mine and rng.random() < 0.4:
                    gone = rng.choice(sorted(mine))
                    mine.discard(gone)
                    rows = [row for row in rows if row["target"].get("groupId") != gone]
                else:
                    number += 1
                    mine.add(group_id(0xF0, number))
                    target = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": group_id(0xF0, number)}
                    rows = [*rows, {"target": target}]
                intune.set_rows(policy, rows)
                await asyncio.sleep(0.25)
            await asyncio.sleep(rng.random())

    async def _judge(self, seeds: dict[str, set[str]]) -> None:
        for policy in (*SHARED, *OWN):
            rows = self.emulator.world.intune.policies[policy].rows
            found = kinds_of(rows)
            texts = {json.dumps(row) for row in rows}
            whole = policy in OWN
            self.report.damaged += [f"{policy}: {text}" for text in seeds[policy] - texts if not whole or "policySets" in text]
            for group in self.foreign.get(policy, ()):
                if group not in found:
                    self.report.damaged.append(f"{policy}: foreign {group} is gone")
        for policy, group in {*self.expected, *self.maybe}:
            expected = await self._state(policy, group, self.actor(0))
            found = kinds_of(self.emulator.world.intune.policies[policy].rows).get(group)
            if found != expected:
                (self.report.extra if expected is None else self.report.lost).append(
                    f"{policy} {group}: {found}, not {expected}"
                )


class Gate:
    """Many share it, or one has it alone."""

    def __init__(self) -> None:
        self._condition, self._inside, self._waiting = asyncio.Condition(), 0, False

    def shared(self) -> "Pass":
        return Pass(self._enter, self._leave)

    def alone(self) -> "Pass":
        return Pass(self._enter_alone, self._leave_alone)

    async def _enter(self) -> None:
        async with self._condition:
            await self._condition.wait_for(lambda: not self._waiting)
            self._inside += 1

    async def _leave(self) -> None:
        async with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    async def _enter_alone(self) -> None:
        async with self._condition:
            self._waiting = True
            await self._condition.wait_for(lambda: self._inside == 0)

    async def _leave_alone(self) -> None:
        async with self._condition:
            self._waiting = False
            self._condition.notify_all()


@dataclass
class Pass:
    """An async context manager of two functions."""

    enter: Callable[[], Awaitable[None]]
    leave: Callable[[], Awaitable[None]]

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *_: object) -> None:
        await self.leave()
