"""Gateways that edit, preview, are killed and lose their ledger, while others change the set; and a judge of the outcome."""

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

from replicas import BYSTANDER, LAG_S, NAME, A, B, C, Database, F, World, groups_of, now, replica, row, target, write

from gateway.assignments.edits import Add, Remove
from gateway.assignments.writers import Writers
from gateway.errors import GatewayError, Reason
from gateway.sets import COMPLIANCE

GROUPS = [A, B, C, F]
FOREIGN = [f"{i}b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f" for i in range(7, 10)]


@dataclass
class Story:
    """told: begun, answered, group, whether it is there. open: groups of edits of which nobody knows. changes: when others
    changed which group."""

    base: Database
    world: World
    told: list[tuple[float, float, str, bool]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    changes: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def edit(story: Story, writers: Writers, group: str, *, there: bool) -> None:
    begun = now()
    try:
        await writers.carry_out(write(100), COMPLIANCE, "p", Add(target(group), "replace") if there else Remove(f"p_{group}"))
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


async def lived(seed: int, route: str) -> list[str]:
    """What was wrong with one story. route: to Graph, or "mixed"."""
    rng = random.Random(seed)
    story = Story(Database(), World(random.Random(seed + 1)))
    world, base = story.world, story.base
    world.put((row(BYSTANDER), row(FOREIGN[0])))
    gateways = {
        n: replica(base, world, n, rng.choice(("assign", "documented")) if route == "mixed" else route)
        for n in range(1, rng.choice((2, 3, 3)) + 1)
    }
    await asyncio.sleep(LAG_S)
    begin = now()
    events: list[tuple[float, str]] = [(rng.uniform(0, 150), "edit") for _ in range(rng.randint(2, 7))]
    events += [(rng.uniform(0, 200), "preview") for _ in range(rng.randint(0, 3))]
    events += [(rng.uniform(0, 220), "foreign") for _ in range(rng.randint(1, 3))]
    events += [(rng.uniform(0, 150), "down")] * (rng.random() < 0.3)
    events += [(rng.uniform(20, 120), "kill")] * (rng.random() < 0.3)
    events += [(rng.uniform(0, 150), "failing") for _ in range(rng.choice((0, 0, 1, 2)))]
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
            story.changes.append((now(), group))
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
    _judge(story)
    return story.wrong


def _take_over(base: Database, gateways: dict[int, Writers]) -> None:
    unsettled = base.unsettled().values()
    newest = max((r for r in unsettled if r.kind != "foreign"), key=lambda r: r.number, default=None)
    newest = newest or max(unsettled, key=lambda r: r.number, default=None)
    if newest is not None and newest.owner not in base.living:
        next(iter(gateways.values())).watch([NAME])


def _judge(story: Story) -> None:
    """Of acknowledged wishes for one row, any that no other one began after may be the last."""
    there = groups_of(story.world.rows)
    for group in GROUPS:
        told = [one for one in story.told if one[2] == group]
        last = [one for one in told if not any(begun > one[1] for begun, *_ in told)]
        if not told or group in story.open or (group in there) in [value for *_, value in last]:
            continue
        if any(g == group and at >= last[0][0] - LAG_S for at, g in story.changes):
            continue
        story.wrong.append(f"acknowledged: {group[:1]} is {group in there}, told {last}")
    if BYSTANDER not in there:
        story.wrong.append("a row that nobody touched is gone")
