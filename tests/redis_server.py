"""A redis-server of the tests' own, on a free port, without files."""

import shutil
import socket
import subprocess

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

NEEDS_REDIS = pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")


class Server:
    """Runs until `stop`."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with self.client() as redis:
            redis.ping()

    def client(self) -> Redis:
        return Redis(port=self.port, retry=Retry(ConstantBackoff(0.02), 250))

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
