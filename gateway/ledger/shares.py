"""How replicas divide a window of the quota: leases of capacity that follow demand, as in Doorman. Pure.

Promise: what all replicas hold together never exceeds the limit. A replica may take what it holds. It holds more only as far as
others hold less, and reports that it holds less only after it has stopped taking it. No clock of another machine is trusted: a
replica whose row does not change while another one watches it for LAPSE_S is dead, and its requests no longer count at Graph. A
replica that has lost its connection cannot record a revision and so sends no write; what it did not use is free at once.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from gateway.stake import Granted, Stake

LAPSE_S = 40.0  # what a replica took is sent within 20 s, or its revision is not written down; then it counts for 20 s
GONE_S = 30.0  # of a replica that has lost its connection
# It may live, and read on without the ledger: so long others leave it its part; all of them half of the window at most, so that
# one which dies again and again does not take all.
ALONE_S = 600.0
LOOKS_S = 5.0  # a replica that looked longer ago cannot judge how long others have been silent
NOTHING_COUNTS = -1  # `used` in the row of a replica that is gone for so long
UNTOLD = 0.1  # of the window: what may be used before it is said
LEAST = 0.01  # of the window: what a replica has that wants nothing, so that a lone edit does not wait


@dataclass(frozen=True)
class ShareRow:
    """The ledger's row of one replica. beat: changes with every report."""

    owner: int
    beat: int
    stake: Stake


def granted(me: int, mine: Stake, rows: Mapping[int, ShareRow], of_the_gone: int = 0) -> tuple[ShareRow, Granted]:
    """The replica's share, and its new row. rows: those of the living replicas, by owner; may include its own. of_the_gone:
    turns that dead or lost replicas still hold."""
    others = {owner: row.stake for owner, row in rows.items() if owner != me}
    stakes = {**others, me: mine}
    limit = max(int(min(stake.limit for stake in stakes.values()) + 1e-9), 1)
    free = limit - of_the_gone - sum(stake.holds for stake in others.values())
    share = max(min(divided(limit, stakes)[me], free), 0)
    beat = rows[me].beat + 1 if me in rows else 1
    closed_s = max((stake.closed_s for stake in others.values()), default=0.0)
    row = ShareRow(me, beat, mine._replace(holds=max(mine.holds, share), alone=mine.alone // max(len(stakes), 2)))
    told = [one for stake in others.values() for one in stake.told]
    return row, Granted(share, _untold(limit), len(stakes), closed_s, _parts(me, stakes), told)


def divided(limit: int, stakes: Mapping[int, Stake]) -> dict[int, int]:
    """Each replica's part: what its callers get by their weights (max-min fairness), and an equal part of what nobody wants.
    Each gets at least LEAST, if there are so many turns."""
    least = max(int(limit * LEAST), 1) if limit >= len(stakes) else 0
    left = limit - least * len(stakes)
    weights, wanted, waiting = dict[str, float](), Counter[str](), Counter[str]()
    for stake in stakes.values():
        for caller, (weight, took, waits) in stake.wanted.items():
            weights[caller] = weight
            wanted[caller] += took + waits
            waiting[caller] += waits
    gets = fair(float(left), wanted, weights)
    rest = (left - sum(gets.values())) / len(stakes)
    exact = {
        # Where it waits it gets its turns, however few it took there: what was divided badly does not stay so.
        owner: rest
        + sum(
            gets[caller] * (waits / waiting[caller] if waiting[caller] else took / wanted[caller])
            for caller, (_, took, waits) in stake.wanted.items()
            if wanted[caller]
        )
        for owner, stake in stakes.items()
    }
    whole = {owner: least + int(part + 1e-9) for owner, part in exact.items()}
    by_rest = sorted(exact, key=lambda owner: (int(exact[owner] + 1e-9) - exact[owner], owner))
    for owner in by_rest[: limit - sum(whole.values())]:
        whole[owner] += 1
    return whole


def _parts(me: int, stakes: Mapping[int, Stake]) -> dict[str, float]:
    """How many times as much of each caller waits at this replica as at one on average; of those who wait at others, too."""
    waiting = Counter[str]()
    for stake in stakes.values():
        for caller, (_, _, waits) in stake.wanted.items():
            waiting[caller] += waits
    mine = {caller: waits for caller, (_, _, waits) in stakes[me].wanted.items()}
    return {
        caller: max(len(stakes) * mine.get(caller, 0) / waits, 0.1)
        for caller, waits in waiting.items()
        if waits > mine.get(caller, 0)
    }


def fair(turns: float, wanted: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, float]:
    """Turns by caller: nobody gets more than it wants, and the rest is divided by weight among the others."""
    gets: dict[str, float] = {}
    heavy = sum(weights[caller] for caller in wanted)
    for caller in sorted(wanted, key=lambda caller: wanted[caller] / weights[caller]):
        gets[caller] = min(float(wanted[caller]), turns * weights[caller] / heavy)
        turns, heavy = turns - gets[caller], heavy - weights[caller]
    return gets


class Watched:
    """Which rows belong to living replicas, judged by how one replica sees them change. Times are of its own monotonic
    clock."""

    def __init__(self) -> None:
        # Since when each row has had its beat, and its replica a connection or none.
        self._seen: dict[tuple[str, str, int], tuple[tuple[int, bool], float]] = {}
        self._looked = -math.inf

    def counting(
        self, rows: Iterable[ShareRow], alive: Collection[int], now: float
    ) -> tuple[dict[int, ShareRow], int, list[ShareRow], list[ShareRow]]:
        """Of the rows of one window: those of the living, by owner; how many turns others hold; the rows that are over; and
        rows whose requests count no longer, as they are to be stored: a later replica cannot know for how long they are gone.
        alive: who has a connection."""
        if now > self._looked + LOOKS_S:
            self._seen.clear()
        self._looked = now
        living, recent, left, most, over, old = {}, 0, 0, 0, [], []
        for row in rows:
            name = (row.stake.tenant, row.stake.window, row.owner)
            is_alive, its = row.owner in alive, min(row.stake.holds, row.stake.alone)
            state, since = self._seen.get(name, (None, now))
            if state != (row.beat, is_alive):
                _, since = self._seen[name] = ((row.beat, is_alive), now)
            if now - since >= (LAPSE_S if is_alive else ALONE_S if its else GONE_S):
                over.append(row)
                del self._seen[name]
            elif is_alive:
                closed_s = max(row.stake.closed_s - (now - since), 0.0)
                living[row.owner] = replace(row, stake=row.stake._replace(closed_s=closed_s))
            else:
                is_old, used = now - since >= GONE_S, row.stake.used
                counts = 0 if is_old or used == NOTHING_COUNTS else min(row.stake.holds, used + _untold(row.stake.limit))
                recent, left, most = recent + counts, left + max(counts, its), int(row.stake.limit) // 2
                if is_old and used != NOTHING_COUNTS:
                    old.append(replace(row, stake=row.stake._replace(used=NOTHING_COUNTS)))
        return living, max(recent, min(left, most)), over, old


def _untold(limit: float) -> int:
    return max(int(limit * UNTOLD), 1)
