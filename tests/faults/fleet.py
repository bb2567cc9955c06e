"""Gateways for a workload: one in this process with SQLite, or several `serve` processes on one PostgreSQL that are killed,
paused and robbed of their leases. And what their ledger and logs say afterwards."""

import asyncio
import json
import random
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import psycopg
from killing import Victim
from oracle import Booked
from rig import Rig, gateway, logged

from gateway.config import LedgerConfig
from gateway.emulator import Emulator

LAG_S, LATE_S = 0.8, 2.0
# A gateway that is paused between its commit and its POST sends late: the pause is a part of the lateness.
PAUSE_S, LATE_WITH_PAUSES_S = 1.6, 4.5
GRAPH = {"create_route": "assign", "read_back_s": 10, "doubt_s": 0.5, "lag_s": LAG_S, "late_s": LATE_S}
RECONNECT = tuple((f"grpc.{name}_reconnect_backoff_ms", ms) for name, ms in (("initial", 50), ("min", 50), ("max", 200)))
# A watch whose looks fail or see others write comes again after 5, 15, 45, 60 and 60 seconds; seldom is one needed.
SETTLES_S = 300.0
TELLING = ("changed by others", "foreign changes", "a foreign change may be undone")


@dataclass
class Fleet:
    """rigs: one for each gateway. lines: returns their log lines. trouble: how often each kind of trouble was caused. late: the
    bound on late writes in seconds."""

    rigs: Sequence[Rig]
    lines: Callable[[], list[str]]
    victims: Sequence[Victim] = ()
    trouble: Counter[str] = field(default_factory=Counter)
    late: float = LATE_S

    def sql(self, statement: str) -> list[tuple]:
        """Runs a statement on their ledger's database and returns the rows."""
        url = self.rigs[0].ledger.url
        if url.startswith("sqlite"):
            with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=5, isolation_level=None) as connection:
                return connection.execute(statement).fetchall()
        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    async def settle(self) -> list[str]:
        """Waits until all policies are settled. Returns the policies that are not after SETTLES_S."""
        unsettled = "SELECT DISTINCT policy FROM revisions WHERE state NOT IN ('settled', 'void')"
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLES_S
        while (left := self.sql(unsettled)) and loop.time() < end:
            await asyncio.sleep(0.2)
        await asyncio.sleep(LAG_S)
        return [policy for (policy,) in left]

    def entries(self) -> dict[str, Booked]:
        """Request ID -> its entry with the outcome OK, or else its last entry."""
        found: dict[str, Booked] = {}
        statement = "SELECT request_id, outcome, client_request_id, foreign_changes FROM entries ORDER BY began_at"
        for request_id, *rest in self.sql(statement):
            if request_id not in found or found[request_id].outcome != "OK":
                found[request_id] = Booked(*rest)
        return found

    def told(self) -> set[str]:
        """The rows that the logs report as changed by others."""
        parsed = [json.loads(line) for line in self.lines() if any(words in line for words in TELLING)]
        rows = (row for line in parsed if isinstance(line.get("rows"), list) for row in line["rows"])
        return {part.lower() for row in rows for part in (row, row.rpartition("/")[2])}

    def written(self) -> dict[str, float]:
        """Client-request-id -> when the write was recorded in the ledger."""
        return dict(self.sql("SELECT client_request_id, written_at FROM revisions WHERE kind <> 'foreign'"))

    def repairs(self) -> set[str]:
        """The client-request-ids of the gateway's repairs."""
        return {name for (name,) in self.sql("SELECT client_request_id FROM revisions WHERE kind = 'repair'")}

    async def rob(self, rng: random.Random) -> None:
        """Gives all leases to another owner or to nobody. One statement for each lease, because a statement that locks several
        might deadlock."""
        owner = rng.choice(["0", "owner + 1", "owner - 1"])
        for (policy,) in self.sql("SELECT policy FROM leases WHERE owner <> 0"):
            self.sql(f"UPDATE leases SET owner = {owner} WHERE owner <> 0 AND policy = '{policy}'")
        self.trouble["leases vanished"] += 1

    async def pause(self, rng: random.Random) -> None:
        victim = rng.choice(self.victims)
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(rng.uniform(1.1, PAUSE_S))
        victim.send(signal.SIGCONT)
        self.trouble["pauses"] += 1

    async def kill(self, rng: random.Random) -> None:
        victim = rng.choice(self.victims)
        await victim.end()
        await victim.start()
        self.trouble["kills"] += 1

    async def worry(self, seed: int, pause_s: float, is_over: Callable[[], bool]) -> None:
        """Causes trouble at random times, until the workload is over. pause_s: average seconds between two of them."""
        rng = random.Random(seed)
        kinds = [self.rob, self.pause, self.kill] if self.victims else [self.rob]
        while not is_over():
            await asyncio.sleep(rng.uniform(0.2, 2 * pause_s))
            await rng.choice(kinds)(rng)


@asynccontextmanager
async def one(emulator: Emulator) -> AsyncIterator[Fleet]:
    """One gateway in this process, with SQLite."""
    with logged() as lines:
        async with gateway(emulator, graph=GRAPH, ledger={"lease_s": 1}) as rig:
            yield Fleet([rig], lambda: lines)


@asynccontextmanager
async def processes(emulator: Emulator, ledger_url: str, folder: Path, number: int) -> AsyncIterator[Fleet]:
    """`serve` processes with one ledger and one token for callers."""
    graph = GRAPH | {"late_s": LATE_WITH_PAUSES_S}
    victims = [Victim(emulator, ledger_url, folder, name=f"gateway-{i}", graph=graph) for i in range(number)]
    async with AsyncExitStack() as stack:
        rigs = []
        for victim in victims:
            victim.shares(victims[0].token)
            await victim.start()
            stack.push_async_callback(victim.end)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(victim.address, options=RECONNECT))
            rigs.append(Rig(emulator, channel, victim.address, victim.token, LedgerConfig(url=ledger_url)))
        lines = lambda: [line for victim in victims for line in victim.log.read_text().splitlines()]  # noqa: E731
        yield Fleet(rigs, lines, victims, late=LATE_WITH_PAUSES_S)


def three(emulator: Emulator, ledger_url: str, folder: Path) -> AbstractAsyncContextManager[Fleet]:
    """Three processes with one database."""
    return processes(emulator, ledger_url, folder, 3)
