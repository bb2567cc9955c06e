"""The gateway as a process, and the points at which tests kill it."""

import asyncio
import contextlib
import json
import random
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import tomli_w
from processes import Process
from rig import NO_QUOTA, QUICK, Rig

from gateway.cli.emulator import CALLER, config_for
from gateway.config import LedgerConfig
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

READ, ASSIGN = {"method": "GET", "path": "/assignments"}, {"method": "POST", "path": "/assign$"}
# Where the gateway is killed, and how the emulator holds it there.
POINTS: dict[str, Fault | None] = {
    "at random": None,
    "after the intent": Fault(**READ, delay_s=1),
    "before Graph has it": Fault(**ASSIGN, cut="before", delay_s=0.05),
    "after the POST": Fault(**ASSIGN, cut="after"),
    "while Graph works": Fault(**ASSIGN, cut="before", effect="late", late_s=1, delay_s=0.05),
    "before the outcome": Fault(**READ, delay_s=1),  # ordered after a POST was seen
}


class Victim:
    """`serve` as a process at one address, which is started again after each kill. log: the path of its log."""

    def __init__(
        self,
        emulator: Emulator,
        ledger_url: str,
        folder: Path,
        *,
        name: str = "gateway",
        graph: Mapping[str, Any] = MappingProxyType({}),
        lease_s: float = 1,
        **sections: dict,
    ) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.token, self.emulator = new_token(), emulator
        self.ledger = LedgerConfig(url=ledger_url)
        values = config_for(emulator, hash_token(self.token))
        rules = folder / f"{name}.cedar"
        rules.write_text("permit(principal, action, resource);")
        values["authorization"] = {"rules_file": str(rules)}
        values["server"] = {"grpc": self.address, "admin": "127.0.0.1:0", "drain_notice_s": 0}
        values["graph"] |= {**NO_QUOTA, **QUICK, "create_route": "assign", "read_back_s": 10, "doubt_s": 0.5, **graph}
        self.values = values | {"ledger": {"url": ledger_url, "lease_s": lease_s}, **sections}
        self.config, self.log = folder / f"{name}.toml", folder / f"{name}.log"
        self.process: Process | None = None

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Rig]:
        """Runs the process inside the block, and kills it at the end if it still runs."""
        await self.start()
        try:
            async with self.rig() as rig:
                yield rig
        finally:
            if self.process and self.process.returncode is None:
                await self.end()

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[Rig]:
        """A rig for calls to the process."""
        async with self.channel() as channel:
            yield Rig(self.emulator, channel, self.address, self.token, self.ledger)

    async def start(self) -> None:
        self.config.write_text(tomli_w.dumps(self.values))
        with self.log.open("a") as log:
            self.process = await Process().start(("serve", "--config", str(self.config)), log)
        async with asyncio.timeout(60):
            line = await self.process.stdout.readline()
        assert line, f"it does not start: {self.log.read_text()[-2000:]}"
        assert json.loads(line)["grpc"] == self.address

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address)

    def send(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    async def end(self, number: int = signal.SIGKILL) -> int | None:
        assert self.process
        with contextlib.suppress(ProcessLookupError):  # it has ended
            self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), 60)
        return self.process.returncode

    def shares(self, token: str) -> None:
        """Uses another victim's token for callers."""
        self.token = token
        self.values["callers"] = {"static": {CALLER: hash_token(token)}}


def free_port() -> int:
    """A free port below the range from which the system assigns ports, so that nobody takes it between a kill and a start."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


async def reach(emulator: Emulator, point: str, rng: random.Random) -> None:
    """Waits until the gateway is at the point."""
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
