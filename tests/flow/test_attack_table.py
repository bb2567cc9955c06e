"""Each row of the table is refused as the table says, is in the ledger as the table says, and sends nothing to Graph, while a
known caller is served. Afterwards memory and open files are back to their former level."""

import asyncio
import gc
import os
import resource
import sqlite3
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import aiohttp
import grpc
import pytest
import pytest_asyncio
from attack_table import ATTACKS, LIST, Attack, Doors
from attacks import CA, READER, bearer, sections
from conftest import as_new
from rig import Failure, Rig, gateway, unthrottle

from gateway.emulator import Emulator
from gateway.emulator.seeds import MACOS

SERVED_S = 5.0  # generous: the machine of a test does other things too
LEDGER_S = 30.0
LEAST = 200
RSS_MIB, FILES = 64, 8
PAGE = resource.getpagesize()


class Siege:
    """A gateway under attack. expected: the entries that its ledger has to have."""

    def __init__(self, doors: Doors) -> None:
        self.doors, self.expected = doors, Counter[str]()
        self.worst, self.sent = (0.0, ""), 0

    async def attacked(self, name: str, until: asyncio.Event) -> None:
        """Repeats an attack until the known caller was served."""
        attack: Attack = ATTACKS[name]
        while True:
            assert await attack.send(self.doors) == attack.seen, name
            self.sent += 1
            if attack.entry:
                self.expected[attack.entry] += 1
            if until.is_set():
                return

    async def served(self, name: str) -> None:
        """Makes a known caller's List, which is sent to Graph."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        answer = await self.doors.rig.call(LIST, {"deviceCompliancePolicyId": MACOS}, metadata=bearer(READER), timeout=SERVED_S)
        assert not isinstance(answer, Failure), answer
        self.worst = max(self.worst, (loop.time() - begun, name))

    def kept(self) -> Counter[str]:
        with closing(sqlite3.connect(self.doors.rig.ledger.url.removeprefix("sqlite:///"))) as ledger:
            return Counter(dict(ledger.execute("SELECT outcome, sum(times) FROM entries GROUP BY outcome")))

    async def in_the_ledger(self) -> None:
        """Waits until the ledger has the expected entries: refusals are written later, equal ones together."""
        expected, deadline = self.expected.copy(), time.monotonic() + LEDGER_S
        while (found := self.kept()) != expected and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.expected = found  # what is wrong is told once
        assert found == expected, f"more: {found - expected}, less: {expected - found}"

    def nothing_for_graph(self) -> None:
        requests = self.doors.rig.emulator.world.requests
        others = [(r["method"], r["path"]) for r in requests if r["method"] != "GET" or MACOS not in r["path"]]
        requests.clear()
        assert others == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def siege(live_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    folder: Path = tmp_path_factory.mktemp("siege")
    unthrottle(as_new(live_emulator))
    tls = ssl.create_default_context(cadata=CA.pem)
    credentials = grpc.ssl_channel_credentials(CA.pem.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.pipeline.floods.SECOND", 0.05)
        patch.setattr("gateway.doors.rest_door.LINGERING_S", 60.0)  # a busy machine takes longer to send a megabyte
        async with (
            gateway(live_emulator, **sections(folder)) as rig,
            grpc.aio.secure_channel(rig.address, credentials) as channel,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as session,
        ):
            over_tls = Rig(rig.emulator, channel, rig.address, "", rig.ledger, rig.mtls_address, rig.rest_address)
            yield Siege(Doors(over_tls, session, tls, folder))


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_refused_and_others_are_served_meanwhile(siege: Siege, name: str):
    until = asyncio.Event()
    attack = asyncio.create_task(siege.attacked(name, until))
    await asyncio.sleep(0)
    try:
        await siege.served(name)
    finally:
        until.set()
        await attack
    await siege.in_the_ledger()
    siege.nothing_for_graph()


def gauge() -> tuple[float, int]:
    """Resident memory in MiB, and open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * PAGE / (1 << 20), len(os.listdir("/proc/self/fd"))


async def lap(siege: Siege) -> None:
    for attack in ATTACKS.values():
        assert await attack.send(siege.doors) == attack.seen
    siege.doors.rig.emulator.world.requests.clear()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc is Linux's")
async def test_memory_and_files_come_back(siege: Siege):
    await lap(siege)
    memory, files = gauge()
    await lap(siege)
    more, open_files = gauge()
    print(f"{len(ATTACKS)} attacks twice: {more - memory:+.1f} MiB of {memory:.0f}, {open_files - files:+d} files of {files}")
    assert more - memory < RSS_MIB
    assert open_files - files < FILES


async def test_the_table_is_long_enough(siege: Siege):
    doors = Counter(name.partition(":")[0] for name in ATTACKS)
    seconds, name = siege.worst
    print(f"{len(ATTACKS)} attacks ({dict(doors)}), {siege.sent} times, each refused")
    print(f"the slowest List meanwhile: {seconds:.3f} s, beside {name}")
    assert len(ATTACKS) >= LEAST
    assert min(doors.values()) >= LEAST // 4
