"""For a team's own tests: an emulator of Entra and Graph, and a gateway in front of it. Needs the extra `testing`.

pytest_plugins = ["compliance_gateway.testing"]

def test_ours(compliance_gateway):
    assign_our_baseline(compliance_gateway.address, compliance_gateway.token)
"""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class RunningGateway:
    """address: of gRPC, in plain text. rest: root of REST. token: of a caller that may all. control: of the emulator."""

    address: str
    rest: str
    token: str = field(repr=False)
    control: str

    def state(self) -> Any:
        """The policies that the emulated Graph has, with their assignments."""
        with urllib.request.urlopen(f"{self.control}/state", timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def reset(self) -> None:
        """The emulated Graph as it was at first."""
        request = urllib.request.Request(f"{self.control}/reset", method="POST")  # noqa: S310 - loopback
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


@contextmanager
def running_gateway(folder: Path) -> Iterator[RunningGateway]:
    """Both, as processes of their own, inside the block; `folder` takes configuration and ledger."""
    config = folder / "gateway.toml"
    with (
        _command("emulator", "--write-config", str(config)) as emulator,
        _command("serve", "--config", str(config)) as gateway,
    ):
        yield RunningGateway(gateway["grpc"], f"http://{gateway['rest']}", emulator["caller_token"], emulator["control"])


@pytest.fixture
def compliance_gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway for one test."""
    with running_gateway(tmp_path) as running:
        yield running


@contextmanager
def _command(*arguments: str) -> Iterator[dict[str, Any]]:
    """The command, and the line that it prints when it is ready."""
    command = (sys.executable, "-m", "gateway", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise RuntimeError(f"`compliance-gateway {arguments[0]}` did not start: is the extra `testing` installed?")
            yield json.loads(line)
        finally:
            process.terminate()
            process.wait()
