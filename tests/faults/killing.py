"""Kills the gateway again and again while clients write, and judges what is left by what the emulator has seen.

Each group belongs to one caller, which goes on only after an answer: so the changes of a group's row that the emulator saw
have to be the answered ones, in their order, no more and no less.
"""

import asyncio
import json
import random
import signal
import socket
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import tomli_w
from rig import NO_QUOTA, command, unthrottle
from workload import kinds_of

from gateway.cli.emulator import config_for
from gateway.config import LedgerConfig
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.ledger.chain import verify
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

POLICIES = [f"killed-{i}" for i in range(6)]
CLIENTS, CALLERS = 3, 8
READ, ASSIGN = {"method": "GET", "path": "/assignments"}, {"method": "POST", "path": "/assign$"}
# Where the gateway is killed, and how the emulator holds it there.
POINTS: dict[str, Fault | None] = {
    "at random": None,
    "after the intent": Fault(**READ, delay_s=1),
    "before Graph has it": Fault(**ASSIGN, cut="before", delay_s=0.05),
    "after the POST": Fault(**ASSIGN, cut="after"),
    "before the outcome": Fault(**READ, delay_s=1),  # ordered after a POST was seen
}


@dataclass
class Report:
    """lost: answered changes that Graph never saw; doubled: changes that it saw more often than they were answered; unasked:
    those of no caller."""

    database: str
    seed: int
    kills: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    writes: int = 0
    retries: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)
    chain: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.unasked or self.unfinished or self.surprises or self.chain)

    def __str__(self) -> str:
        wrong = ("lost", "doubled", "unasked", "unfinished", "surprises", "chain")
        return (
            f"{self.database}, seed {self.seed}: {sum(self.kills.values())} kills {dict(self.kills)}, {self.writes} writes,"
            f" {self.retries} retries, entries {dict(self.outcomes)} -> "
            + ", ".join(f"{name}: {len(getattr(self, name))}" for name in wrong)
        )


class Victim:
    """`serve` as a process at one address, started anew after each kill."""

    def __init__(self, emulator: Emulator, ledger_url: str, folder: Path, **sections: dict) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.token = new_token()
        values = config_for(emulator, hash_token(self.token))
        values["server"] = {"grpc": self.address, "drain_notice_s": 0}
        values["graph"] |= {**NO_QUOTA, "create_route": "assign", "read_back_s": 10, "doubt_s": 0.5}
        values |= {"ledger": {"url": ledger_url}, **sections}
        self.config = folder / "gateway.toml"
        self.config.write_text(tomli_w.dumps(values))
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process, ready = await command("serve", "--config", str(self.config))
        assert ready["grpc"] == self.address

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address)

    async def end(self, number: int = signal.SIGKILL) -> int | None:
        assert self.process
        self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode


def seen_changes(emulator: Emulator) -> dict:
    """(policy, group) -> the kinds that its row had, one after the other, as the emulator saw them."""
    seen = defaultdict(list)
    for effect in emulator.world.intune.effects:
        before, now = kinds_of(effect.before), kinds_of(effect.after)
        for group in before.keys() | now.keys():
            if before.get(group) != now.get(group):
                seen[effect.policy, group].append(now.get(group))
    return seen


async def kill_run(emulator: Emulator, ledger_url: str, folder: Path, kills: int, seed: int) -> Report:
    rng = random.Random(seed)
    report = Report(ledger_url.partition(":")[0], seed)
    unthrottle(emulator)
    emulator.world.graph.page_size = 1000
    for policy in POLICIES:
        emulator.world.intune.add_policy(policy, policy, [])
    victim = Victim(emulator, ledger_url, folder)
    await victim.start()
    clients = [await start_client(victim, number, seed) for number in range(CLIENTS)]
    for number in range(kills):
        point = list(POINTS)[number % len(POINTS)]
        await reach(emulator, point, rng)
        await victim.end()
        report.kills[point] += 1
        emulator.world.faults.clear()
        await victim.start()
    await asyncio.sleep(1)
    answers = [await end_client(client) for client in clients]
    assert await victim.end(signal.SIGTERM) == 0
    judge(report, answers, seen_changes(emulator))
    look_into(ledger_url, report)
    return report


async def reach(emulator: Emulator, point: str, rng: random.Random) -> None:
    """Returns when the gateway is at the point."""
    await asyncio.sleep(rng.uniform(0.05, 0.5))
    fault = POINTS[point]
    if fault is None:
        return
    faults = emulator.world.faults
    if point == "before the outcome":
        faults.order([Fault(**ASSIGN, delay_s=0.01)])
        while faults.waiting:
            await asyncio.sleep(0.002)
    faults.order([replace(fault)])
    while faults.waiting:
        await asyncio.sleep(0.002)


async def start_client(victim: Victim, number: int, seed: int) -> asyncio.subprocess.Process:
    program = Path(__file__).with_name("kill_client.py")
    arguments = (victim.address, victim.token, str(number), str(CALLERS), ",".join(POLICIES), str(seed))
    return await asyncio.create_subprocess_exec(sys.executable, str(program), *arguments, stdout=asyncio.subprocess.PIPE)


async def end_client(client: asyncio.subprocess.Process) -> dict:
    client.terminate()
    stdout, _ = await asyncio.wait_for(client.communicate(), 90)
    return json.loads(stdout)


def judge(report: Report, answers: list[dict], seen: dict) -> None:
    answered = defaultdict(list)
    for answer in answers:
        report.retries += answer["retries"]
        report.surprises += answer["surprises"]
        for policy, group, kind, _ in answer["answered"]:
            answered[policy, group].append(tuple(kind) if kind else None)
            report.writes += 1
    for place in answered.keys() | seen.keys():
        told, found = answered.get(place, []), seen.get(place, [])
        if place not in answered:
            report.unasked.append(f"{place}: {found}")
        elif len(found) > len(told):
            report.doubled.append(f"{place}: answered {told}, seen {found}")
        elif found != told:
            report.lost.append(f"{place}: answered {told}, seen {found}")


def look_into(ledger_url: str, report: Report) -> None:
    ledger = SqlLedger(LedgerConfig(url=ledger_url))
    entries = list(ledger.find(Query()))
    for entry in entries:
        report.outcomes[entry.outcome] += 1
    report.unfinished = [entry.id for entry in entries if entry.state != "finished"]
    report.chain = list(verify(ledger.find(Query(after=-1)), ledger.ends()))
    if report.outcomes["OK"] != report.writes:
        report.surprises.append(f"{report.outcomes['OK']} entries are OK, {report.writes} writes were answered")
