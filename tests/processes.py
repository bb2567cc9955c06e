"""`python -m gateway …` as a process of its own, without the seconds that its imports take: one process has imported the
commands, and forks for each. What is started ends, and is signalled, like any other process."""

import asyncio
import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from typing import IO


class Process:
    """As asyncio has it. stderr: None where it goes into a file."""

    returncode: int | None = None

    async def start(
        self,
        arguments: tuple[str, ...],
        stderr: IO | None = None,
        stdout: int | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> "Process":
        """stderr: a file for it. stdout: a descriptor, in place of a pipe that nobody writes to then.

        The pipes are sockets: uvloop closes the descriptor of another pipe twice, and the second time it may be a descriptor
        that a thread of the tests has just opened."""
        (out, out_end), (err, err_end), (status, status_end) = (socket.socketpair() for _ in range(3))
        pipes = [await reading(out)]
        ends = [out_end.fileno() if stdout is None else stdout, (stderr or err_end).fileno(), status_end.fileno()]
        socket.send_fds(host(), [json.dumps([arguments, os.getcwd(), dict(environment)]).encode() + b"\n"], ends)
        for end in (out_end, err_end, status_end):
            end.close()
        if stderr:
            err.close()
        else:
            pipes.append(await reading(err))
        self.pid = int(host().recv(32))
        self.stdout, *errors = [pipe.reader for pipe in pipes]
        self.stderr = errors[0] if errors else None
        self._ending = asyncio.create_task(self._end(await reading(status), pipes))
        return self

    async def _end(self, status: "Pipe", pipes: list["Pipe"]) -> None:
        self.returncode = int(await status.reader.read())
        for pipe in (status, *pipes):
            await pipe.closed.wait()

    async def wait(self) -> int | None:
        await asyncio.shield(self._ending)
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        out, *err = await asyncio.gather(*(reader.read() for reader in (self.stdout, self.stderr) if reader))
        await self.wait()
        return out, b"".join(err)

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Pipe(asyncio.StreamReaderProtocol):
    """Is closed when all that came is read."""

    def __init__(self) -> None:
        self.reader, self.closed = asyncio.StreamReader(), asyncio.Event()
        super().__init__(self.reader)

    def eof_received(self) -> bool:
        super().eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.closed.set()


async def reading(end: socket.socket) -> Pipe:
    _, pipe = await asyncio.get_running_loop().create_connection(Pipe, sock=end)
    return pipe


@cache
def host() -> socket.socket:
    """The way to the process that forks."""
    ours, its = socket.socketpair()
    with its:
        process = subprocess.Popen([sys.executable, "-P", __file__, str(its.fileno())], pass_fds=[its.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def received(requests: socket.socket) -> tuple[bytes, list[int]]:
    """A line, and the descriptors that came with it."""
    line, descriptors = b"", []
    while not line.endswith(b"\n"):
        part, some, *_ = socket.recv_fds(requests, 1 << 16, 3)
        if not part:
            sys.exit()
        line, descriptors = line + part, descriptors + some
    return line, descriptors


def be_host(requests: socket.socket) -> None:
    """Returns in a process that shall be a command, with its arguments and everything else in place."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that watch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    message, descriptors = received(requests)
    while os.fork():
        for descriptor in descriptors:
            os.close(descriptor)
        message, descriptors = received(requests)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out, err, status = descriptors
    if pid := os.fork():
        requests.send(b"%d" % pid)
        requests.close()
        os.close(out)
        os.close(err)
        _, ended = os.waitpid(pid, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
        os._exit(0)
    requests.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in descriptors:
        os.close(descriptor)
    arguments, folder, environment = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    sys.argv[1:] = arguments


if __name__ == "__main__":
    from gateway.cli import COMMANDS, command, main

    for name in COMMANDS:
        command(name)  # imports it
    with socket.socket(fileno=int(sys.argv[1])) as control:
        sys.argv[0] = "python -m gateway"
        gc.freeze()
        be_host(control)
    main()
