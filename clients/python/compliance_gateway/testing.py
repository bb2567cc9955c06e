"""For your own tests: an emulator of Entra and Graph, and a gateway in front of it. Needs the extra `testing`.

pytest_plugins = ["compliance_gateway.testing"]

def test_ours(compliance_gateway):
    assign_our_baseline(compliance_gateway.address, compliance_gateway.token)

`compliance_gateway` starts both for one test, `shared_compliance_gateway` once for the whole session: there, give each test
a policy of its own with `new_policy()`. `python -m compliance_gateway.testing` starts both for programs in other languages: it
prints one JSON line when they are ready, and stops them when its stdin is closed.
"""

import json
import re
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class RunningGateway:
    """address: of gRPC, host:port, in plain text. rest: the root URL of REST. token: of a caller that may do everything.
    control: the URL of the emulator's control API."""

    address: str
    rest: str
    token: str = field(repr=False)
    control: str

    def state(self) -> Any:
        """The policies that the emulated Graph has, with their assignments."""
        with urllib.request.urlopen(f"{self.control}/state", timeout=10) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def reset(self) -> None:
        """Resets the emulated Graph to its initial state. The gateway still remembers its writes, so prefer `new_policy`."""
        self._post("reset")

    def new_policy(self) -> str:
        """Creates a policy without assignments, and returns its ID."""
        policy = str(uuid.uuid4())
        self._post("policies", {"id": policy, "displayName": policy})
        return policy

    def _post(self, path: str, body: Any = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.control}/{path}", data, method="POST")  # noqa: S310 - loopback
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


@contextmanager
def running_gateway(folder: Path) -> Iterator[RunningGateway]:
    """Runs emulator and gateway as processes inside the block; `folder` gets their configuration and ledger."""
    config = folder / "gateway.toml"
    with _command("emulator", "--write-config", str(config)) as emulator:
        # On any free ports: others may be looking for theirs at the same time.
        config.write_text(re.sub(r"^(grpc|rest|admin) = .*$", r'\1 = "127.0.0.1:0"', config.read_text(), flags=re.MULTILINE))
        with _command("serve", "--config", str(config)) as gateway:
            yield RunningGateway(gateway["grpc"], f"http://{gateway['rest']}", emulator["caller_token"], emulator["control"])


@pytest.fixture
def compliance_gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway for one test."""
    with running_gateway(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def shared_compliance_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway for all tests of a session."""
    with running_gateway(tmp_path_factory.mktemp("compliance-gateway")) as running:
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


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as own, running_gateway(Path(own)) as started:
        print(json.dumps(asdict(started)), flush=True)  # noqa: T201 - this is what it is asked for
        sys.stdin.read()
