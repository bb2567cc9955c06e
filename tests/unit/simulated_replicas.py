"""Gateways that edit, preview, are killed and lose their ledger, while others change the set; and judges of what came of it."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from uuid import uuid4

from fake_ledger import NoLedger
from replicas import LAG_S, NAME, Database, World, foreign_of, groups_of, now, replica, row, target

from gateway.assignments.edits import Add, Remove
from gateway.assignments.writers import Writers
from gateway.call import Record
from gateway.entry import Entry, utc_now
from gateway.errors import GatewayError, Reason
from gateway.ledger.write import Write
from gateway.sets import COMPLIANCE

GROUPS = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(4)]
BYSTANDER, *FOREIGN = (f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(6, 10))


@dataclass
class Story:
    """told: begun, answered, group, whether it is there. open: groups of edits of which nobody knows. changes: by others."""

    base: Database
    world: World
    told: list[tuple[float, float, str, bool]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    changes: list[tuple[float, str, bool]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def write(seconds: float = 100) -> Write:
    entry = Entry(id=uuid4().hex, tenant="t", policy="p", operation="CreateComplianceAssignment", began_at=utc_now())
    one = Write(NoLedger(), entry, Record(), now() + seconds)
    one.waiting = 1
    return one


async def edit(story: Story, writers: Writers, group: str, *, there: bool) -> None:
    begun = now()
    try:
        await writers.carry_out(write(), COMPLIANCE, "p", Add(target(group), "replace") if there else Remove(f"p_{group}"))
    except GatewayError as error:
        if error.reason is Reason.NOT_FOUND and not there:
            return
        if error.reason in (Reason.OUTCOME_UNKNOWN, Reason.INTERNAL, Reason.SHUTTING_DOWN):
            story.open.append(group)
        if error.reason is Reason.INTERNAL:
            story.wrong.append("a bug")
    else:
        story.told.append((begun, now(), group, there))


async def previews(writers: Writers, group: str) -> None:
    with contextlib.suppress(GatewayError):
        await writers.preview(NAME, COMPLIANCE, Add(target(group), "replace"), now() + 60)


async def lived(seed: int, route: str = "assign", most: int = 3, *, calm: bool = False) -> Story:
    """most: how many gateways. calm: Graph is as it should be, and nobody is killed."""
    rng = random.Random(seed)
    story = Story(Database(), World(None if calm else random.Random(seed + 1)))
    world, base = story.world, story.base
    world.put((row(BYSTANDER), row(FOREIGN[0])))
    gateways = {
        n: replica(base, world, n, rng.choice(("assign", "documented")) if route == "mixed" else route)
        for n in range(1, min(rng.choice((2, 3, 3)), most) + 1)
    }
    await asyncio.sleep(LAG_S)
    begin = now()
    events: list[tuple[float, str]] = [(rng.uniform(0, 150), "edit") for _ in range(rng.randint(2, 7))]
    events += [(rng.uniform(0, 200), "preview") for _ in range(rng.randint(0, 3))]
    events += [(rng.uniform(0, 220), "foreign") for _ in range(rng.randint(1, 3))]
    events += [(rng.uniform(0, 150), "down")] * (rng.random() < 0.3) + [(rng.uniform(20, 120), "kill")] * (
        rng.random() < 0.3 and not calm and most > 1
    )
    events += [(rng.uniform(0, 150), "failing") for _ in range(rng.choice((0, 0, 1, 2)) * (not calm))]
    events += [(at, "poll") for at in range(5, 900, 5)]
    tasks: list[asyncio.Task[None]] = []
    for at, what in sorted(events):
        await asyncio.sleep(max(begin + at - now(), 0.0))
        alive = rng.choice(list(gateways.values()))
        if what == "edit":
            tasks.append(asyncio.create_task(edit(story, alive, rng.choice(GROUPS), there=rng.random() < 0.65)))
        elif what == "preview":
            tasks.append(asyncio.create_task(previews(alive, rng.choice(GROUPS))))
        elif what == "foreign":
            group = rng.choice((*FOREIGN, *FOREIGN, GROUPS[0]))
            rest = tuple(r for r in world.rows if r["target"]["groupId"] != group)
            world.put(rest if len(rest) < len(world.rows) else (*rest, row(group)))
            story.changes.append((now(), group, len(rest) == len(world.rows) - 1))
        elif what == "down":
            base.down = True
            asyncio.get_running_loop().call_later(rng.choice((0.5, 2, 10)), setattr, base, "down", False)
        elif what == "failing":
            world.failing = True
            asyncio.get_running_loop().call_later(rng.choice((0.5, 2, 10)), setattr, world, "failing", False)
        elif what == "kill":
            number = rng.choice(list(gateways))
            base.living.discard(number)
            await gateways.pop(number).close(0)
        else:
            _take_over(base, gateways)
    await asyncio.gather(*tasks)
    if any(len(one) for one in gateways.values()) or base.unsettled():
        story.wrong.append("does not come to rest")
    story.counts |= {"reads": world.reads, "leases": base.lease.generation, "repairs": _repairs(base)}
    _judge(story)
    world.random = None
    await asyncio.sleep(LAG_S)
    last = replica(base, world, 99)
    last.watch([NAME])  # as when a read shows drift
    await asyncio.sleep(600)
    _judge_others(story)
    return story


def _take_over(base: Database, gateways: dict[int, Writers]) -> None:
    unsettled = base.unsettled().values()
    newest = max((r for r in unsettled if r.kind != "foreign"), key=lambda r: r.number, default=None)
    newest = newest or max(unsettled, key=lambda r: r.number, default=None)
    if newest is not None and newest.owner not in base.living:
        next(iter(gateways.values())).watch([NAME])


def _repairs(base: Database) -> int:
    return sum(r.kind == "repair" for r in base.revisions.values())


def _judge(story: Story) -> None:
    """Of acknowledged wishes for one row, any that no other one began after may be the last."""
    there = groups_of(story.world.rows)
    for group in GROUPS:
        told = [one for one in story.told if one[2] == group]
        last = [one for one in told if not any(begun > one[1] for begun, *_ in told)]
        if not told or group in story.open or (group in there) in [value for *_, value in last]:
            continue
        if any(g == group and at >= last[0][0] - LAG_S for at, g, _ in story.changes):
            continue
        story.wrong.append(f"acknowledged: {group[:1]} is {group in there}, told {last}")
    if BYSTANDER not in there:
        story.wrong.append("a row that nobody touched is gone")


def _judge_others(story: Story) -> None:
    """fought: a repair changed what others did last. untold: a change by others that is still there, and is not recorded."""
    effects, revisions = story.world.effects, story.base.revisions.values()
    repairs = {r.client_request_id for r in revisions if r.kind == "repair"}
    fought = 0
    for at, effect in enumerate(effects):
        if effect.client_request_id not in repairs:
            continue
        for group in (*FOREIGN, GROUPS[0]):
            was = [group in groups_of(e.rows) for e in effects[: at + 1]]
            turns = [n for n in range(1, at + 1) if was[n] != was[n - 1]]
            if len(turns) > 1 and turns[-1] == at and effects[turns[-2]].by == 0:
                fought += 1
    untold = late = 0
    for group in FOREIGN:
        mine = [(at, there) for at, g, there in story.changes if g == group]
        if not mine or (group in groups_of(story.world.rows)) != mine[-1][1]:
            continue
        at = mine[-1][0]
        last = max(
            (
                e.at
                for n, e in enumerate(effects)
                if n and (group in groups_of(e.rows)) != (group in groups_of(effects[n - 1].rows))
            )
        )
        if last != at:  # we undid it in between, and put it back
            continue
        if not any(
            r.kind != "foreign" and at > (story.base.moments[n]["written"] or 0.0) for n, r in story.base.revisions.items()
        ):
            continue  # nobody had looked before
        found = [story.base.moments[n]["written"] or 0.0 for n, r in foreign_of(story.base) if group in r.touched.decode()]
        untold += not any(moment >= at for moment in found)
        late += any(moment >= at for moment in found) and not any(at <= moment <= at + 2 * LAG_S for moment in found)
    story.counts |= {"fought": fought, "untold": untold, "late": late, "changes": len(story.changes)}
