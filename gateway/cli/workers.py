"""`serve --workers`: starts the worker processes, and restarts them; only the workers serve."""

import asyncio
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from gateway.cli.loop import say
from gateway.config import Server
from gateway.doors.connections import listening_at
from gateway.worker import Worker

log = logging.getLogger(__name__)

PREFIX, LOCK = "compliance-gateway-workers-", "lock"
MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made there, and is nobody else's
# How long after the end of a worker another one is started: at once, if it lived for so long; else twice as long as last time.
STEADY_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 0.5, 30.0
RETIRE = b"\n"


@dataclass(eq=False)
class Child:
    """orders: the pipe that it reads. pause: seconds before its start. ready: its ready line."""

    number: int
    process: Process
    orders: int
    born: float
    pause: float
    ready: dict[str, Any] | None = None
    leaving: bool = False

    def retire(self) -> None:
        """Takes no new connection, and ends when it has none."""
        self.leaving = True
        with suppress(BrokenPipeError):
            os.write(self.orders, RETIRE)


class Workers:
    """Runs `number` workers with the configuration's file `source`."""

    def __init__(self, settings: Server, source: Path, number: int) -> None:
        self._settings, self._source, self._number = settings, source, number
        self._stop, self._renew = asyncio.Event(), asyncio.Event()
        self._children: dict[int, Child] = {}
        self._numbers: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Runs until SIGTERM or SIGINT; returns the exit status. Raises OSError if an address cannot be bound."""
        loop = asyncio.get_running_loop()
        for number, event in ((signal.SIGTERM, self._stop), (signal.SIGINT, self._stop), (signal.SIGHUP, self._renew)):
            loop.add_signal_handler(number, event.set)
        with ExitStack() as stack:
            self._open(stack)
            first = [await self._start()]
            if first[0].ready:  # else each would tell the same mistake
                first += await asyncio.gather(*(self._start() for _ in range(1, self._number)))
            statuses = [child.process.returncode for child in first if not child.ready]
            if not (statuses or self._stop.is_set()):
                self._say_ready(first)
                self._run(self._renewing())
                await self._stop.wait()
            self._stop.set()
            statuses += await self._ended()
            return int(any(status not in (0, -signal.SIGTERM) for status in statuses))

    def _say_ready(self, first: list[Child]) -> None:
        lines = [child.ready for child in first if child.ready]
        ready: object = min((line["ready"] for line in lines), key=lambda how: how is True)
        say(**{**lines[0], "ready": ready, "workers": self._number})

    def _open(self, stack: ExitStack) -> None:
        """What all of them share."""
        self._folder, self._lock = stack.enter_context(folder())
        server = self._settings
        self._grpc = reserved(server.grpc, stack)
        self._mtls = reserved(server.mtls, stack) if server.mtls else None
        self._rest = shared(server.rest, stack) if server.rest else (None, [])
        self._admin = shared(server.admin, stack)

    async def _start(self, pause: float = 0.0) -> Child:
        """Starts a worker; returns when it is ready or has ended."""
        number = next(number for number in count(1) if number not in self._numbers)
        self._numbers.add(number)
        theirs, ours = os.pipe()
        told = Worker(
            number=number,
            count=self._number,
            folder=str(self._folder),
            orders=theirs,
            grpc=self._grpc,
            mtls=self._mtls,
            rest=self._rest,
            admin=self._admin,
        )
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway", "serve", "--config", str(self._source)),
            stdin=DEVNULL,
            stdout=PIPE,
            env=os.environ | told.telling(),
            pass_fds=[theirs, self._lock, *self._rest[1], *self._admin[1]],
        )
        os.close(theirs)
        child = self._children[number] = Child(number, process, ours, asyncio.get_running_loop().time(), pause)
        if self._stop.is_set():
            process.terminate()
        assert process.stdout
        line = await process.stdout.readline()
        if line:
            child.ready = json.loads(line)
            self._run(self._watch(child))
        else:
            await process.wait()
            self._forget(child)
        return child

    async def _watch(self, child: Child) -> None:
        """Waits for the end of a worker, and replaces it unless it was told to end."""
        status = await child.process.wait()
        self._forget(child)
        if child.leaving or self._stop.is_set():
            return
        lived = asyncio.get_running_loop().time() - child.born
        pause = 0.0 if lived > STEADY_S else longer(child.pause)
        log.error("a worker has ended", extra={"worker": child.number, "status": status, "another_in_s": pause})
        while not await self._stops_within(pause):
            again = await self._start(pause)
            if again.ready:
                return
            pause = longer(pause)
            log.error("no worker can be started", extra={"status": again.process.returncode, "another_in_s": pause})

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()

    async def _renewing(self) -> None:
        """At each SIGHUP, replaces the workers by new ones, one after the other."""
        while True:
            await self._renew.wait()
            self._renew.clear()
            for old in [child for child in self._children.values() if child.ready and not child.leaving]:
                if self._has_ended(old):
                    continue  # what is started in its place is new
                new = await self._start()
                if self._stop.is_set():
                    return
                if not new.ready:
                    log.error("no new worker can be started; the others stay", extra={"status": new.process.returncode})
                    break
                (new if self._has_ended(old) else old).retire()
            else:
                log.info("all workers have been replaced")

    def _has_ended(self, child: Child) -> bool:
        return self._children.get(child.number) is not child

    def _forget(self, child: Child) -> None:
        """Removes the gauges of an ended worker; its counters stay, and go on with the next worker of that number."""
        os.close(child.orders)
        del self._children[child.number]
        (self._folder / f"{child.number}.sock").unlink(missing_ok=True)
        for gauges in self._folder.glob(f"gauge_live*_{child.number}.db"):  # as prometheus_client's mark_process_dead
            gauges.unlink()
        self._numbers.discard(child.number)

    async def _ended(self) -> list[int]:
        """Ends all workers; returns their exit statuses."""
        children = [*self._children.values()]
        for child in children:
            with suppress(ProcessLookupError):
                child.process.terminate()
        statuses = await asyncio.gather(*(child.process.wait() for child in children))
        for task in self._tasks:
            task.cancel()
        return statuses

    def _run(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def longer(pause: float) -> float:
    """The next pause."""
    return min(max(2 * pause, FIRST_PAUSE_S), LONGEST_PAUSE_S)


def shared(address: str, stack: ExitStack) -> tuple[str, list[int]]:
    """The address, and descriptors of sockets that listen there. Raises OSError."""
    sockets = [stack.enter_context(one) for one in listening_at(address)]
    return f"{address.rpartition(':')[0]}:{sockets[0].getsockname()[1]}", [one.fileno() for one in sockets]


def reserved(address: str, stack: ExitStack) -> str:
    """The address, with its port, which stays ours: workers listen there, each with a socket of its own, and so could others of
    this user. Raises OSError where somebody does."""
    host, _, port = address.rpartition(":")
    family, _, _, _, found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind(found)
        port = alone.getsockname()[1]
    ours = stack.enter_context(socket.socket(family))
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    ours.bind((found[0], port))
    return f"{host}:{port}"


@contextmanager
def folder() -> Iterator[tuple[Path, int]]:
    """One for the workers, in memory where that is a place, and the descriptor of its lock. What a killed gateway left behind
    is removed, once its last worker has gone: those have the lock as well."""
    place = Path(MEMORY if os.access(MEMORY, os.W_OK) else tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), left.open() as lock:  # another's, or one that is in use
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=place) as name, (Path(name) / "new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (Path(name) / "new").rename(Path(name) / LOCK)
        yield Path(name), lock.fileno()
