"""A PostgreSQL server of the tests' own, on a free port, in a folder of its own, with its defaults for durability."""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

BINARIES = [Path(p).parent for p in (shutil.which("postgres"), *Path("/usr/lib/postgresql").glob("*/bin/postgres")) if p]
MISSING = "PostgreSQL is not installed (apt-get install postgresql)"
# The server refuses to run as root. (subprocess's own `user` forks the long way, which gRPC's threads do not survive.)
USER = "postgres" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups") if USER else ()


def running() -> Iterator["Server"]:
    """For a fixture."""
    if not BINARIES:
        pytest.skip(MISSING)
    server = Server()
    yield server
    server.remove()


def free_port() -> int:
    """Below those that the system gives to whoever asks for any: nobody takes it while the server is down."""
    for port in random.sample(range(15_000, 30_000), 100):
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


class Server:
    """Runs from `start` to `stop`; what is in it survives both, until `remove`."""

    def __init__(self) -> None:
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="compliance-gateway-postgres-"))
        if USER:
            shutil.chown(self._folder, USER)
        self._run("initdb", "-D", "data", "-U", "ledger", "-A", "trust", "--no-sync", "-E", "UTF8")
        self._databases = 0
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def signal(self, number: int) -> None:
        """To all of its processes."""
        pid = (self._folder / "data" / "postmaster.pid").read_text().split()[0]
        children = subprocess.run(["pgrep", "-P", pid], capture_output=True, check=False).stdout.split()
        for process in (pid, *children):
            os.kill(int(process), number)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """The URL of an empty one."""
        self._databases += 1
        name = f"ledger{self._databases}"
        self.execute("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://ledger@127.0.0.1:{self.port}/{name}"

    def execute(self, database: str, statement: str) -> list:
        with psycopg.connect(host="127.0.0.1", port=self.port, user="ledger", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [*AS_USER, str(BINARIES[0].resolve() / program), *arguments]
        subprocess.run(command, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
