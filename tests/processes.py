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
from functools import cache
from typing import IO


class Process:
    """As asyncio has it. stderr: None where it goes into a file."""

    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None = None
    returncode: int | None = None

    async def start(self, arguments: tuple[str, ...], stderr: IO | None = None) -> "Process":
        """stderr: a file for it."""
        (out, out_end), (err, err_end), (status, status_end) = os.pipe(), os.pipe(), os.pipe()
        self.stdout = await reading(out)
        ends = [out_end, stderr.fileno() if stderr else err_end, status_end]
        socket.send_fds(host(), [json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode() + b"\n"], ends)
        for end in (out_end, err_end, status_end):
            os.close(end)
        if stderr:
            os.close(err)
        else:
            self.stderr = await reading(err)
        self.pid = int(host().recv(32))
        self._ending = asyncio.create_task(self._end(await reading(status)))
        return self

    async def _end(self, status: asyncio.StreamReader) -> None:
        self.returncode = int(await status.readline())

    async def wait(self) -> int | None:
        await asyncio.shield(self._ending)
        return self.returncode

    async def communicate(self) -> tuple[bytes, bytes]:
        out = await self.stdout.read()
        err = await self.stderr.read() if self.stderr else b""
        await self.wait()
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Pipe(asyncio.StreamReaderProtocol):
    """Closed at its end."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False


async def reading(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb")
    await asyncio.get_running_loop().connect_read_pipe(lambda: Pipe(reader), pipe)
    return reader


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
    from gateway.cli import main

    with socket.socket(fileno=int(sys.argv[1])) as control:
        sys.argv[0] = "python -m gateway"
        gc.freeze()
        be_host(control)
    main()
