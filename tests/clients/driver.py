"""A client in each language, as a program that carries out what a test asks through the language's own helper.

A request is a JSON object a line on its stdin: `method`, `request` (the message, in base64), `timeout_ms` (0 for the helper's
own deadline), or `target` with `id`, `filter` and `include` for a target that the helper shall build. It answers each with a
line: `response` (a message, in base64) or `error` with code, reason, message, fields, retry_after_ms and graph_request_id.
"""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from attacks import CA, DOOR
from filelock import FileLock
from google.protobuf.message import Message
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BUILT = HERE / "built"
STATUSES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
            "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
            "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]  # fmt: skip


@dataclass(frozen=True)
class Language:
    """tool: what it needs beside Python. build: commands with the folder they run in. driver, example: how both are run."""

    tool: str
    build: Sequence[tuple[Path, Sequence[str]]]
    driver: Sequence[str]
    example: Sequence[str]


def java(program: Path) -> Sequence[str]:
    """A program of one file, with the client and what it needs."""
    target = ROOT / "clients/java/target"
    return "bash", "-c", f'exec java -cp "{target}/classes:$(cat {target}/classpath)" {program} "$@"', "java"


LANGUAGES = {
    "python": Language(
        "",
        (),
        (sys.executable, str(HERE / "python/driver.py")),
        (sys.executable, str(ROOT / "clients/python/examples/assign.py")),
    ),
    "go": Language(
        "go",
        (
            (HERE / "go", ("go", "build", "-o", str(BUILT / "go-driver"), ".")),
            (ROOT / "clients/go", ("go", "vet", "./...")),
            (ROOT / "clients/go", ("go", "build", "-o", str(BUILT / "go-example"), "./example")),
        ),
        (str(BUILT / "go-driver"),),
        (str(BUILT / "go-example"),),
    ),
    "typescript": Language(
        "npm",
        (
            (ROOT / "clients/typescript", ("npm", "ci", "--silent", "--no-audit", "--no-fund")),
            (ROOT / "clients/typescript", ("npm", "run", "--silent", "build")),
        ),
        ("node", str(HERE / "typescript/driver.mjs")),
        ("node", str(ROOT / "clients/typescript/dist/example/assign.js")),
    ),
    "rust": Language(
        "cargo",
        (
            (HERE / "rust", ("cargo", "build", "--quiet", "--locked", "--target-dir", str(BUILT / "rust"))),
            (
                ROOT / "clients/rust",
                ("cargo", "build", "--quiet", "--examples", "--target-dir", str(BUILT / "rust")),
            ),
        ),
        (str(BUILT / "rust/debug/driver"),),
        (str(BUILT / "rust/debug/examples/assign"),),
    ),
    "java": Language(
        "mvn",
        (
            (ROOT / "clients/java", ("mvn", "-q", "-B", "package")),
            (
                ROOT / "clients/java",
                ("mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath"),
            ),
        ),
        java(HERE / "java/Driver.java"),
        java(ROOT / "clients/java/example/Assign.java"),
    ),
}

# What nobody debugs needs no information for it: half of what cargo does here.
LEAN = {"CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}


@cache
def built(name: str) -> Language:
    """The language's programs, built once in a run, whichever of pytest's workers needs them first."""
    language, run = LANGUAGES[name], os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    BUILT.mkdir(exist_ok=True)
    done = BUILT / f"{name}.run"
    with FileLock(BUILT / f"{name}.lock"):
        if not done.exists() or done.read_text() != run:
            for folder, command in language.build:
                subprocess.run(command, cwd=folder, check=True, env={**os.environ, **LEAN})
            done.write_text(run)
    return language


@dataclass
class Driver:
    """A running driver."""

    process: asyncio.subprocess.Process

    async def ask(self, **ask: Any) -> dict[str, Any]:
        whole = {"method": "", "request": "", "timeout_ms": 0, "target": "", "id": "", "filter": "", "include": False, **ask}
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(whole).encode() + b"\n")
        async with asyncio.timeout(40):
            line = await self.process.stdout.readline()
        return json.loads(line)

    async def call(self, operation: str, request: Message, timeout: float = 20) -> Any:
        """As Rig.call."""
        sent = base64.b64encode(request.SerializeToString()).decode()
        answer = await self.ask(method=operation, request=sent, timeout_ms=round(timeout * 1000))
        if "response" in answer:
            return OPERATIONS[operation].response.FromString(base64.b64decode(answer["response"] or ""))
        error = answer["error"]
        metadata = {"graph_request_id": error["graph_request_id"]} if error["graph_request_id"] else {}
        retry_after = error["retry_after_ms"] / 1000 or None
        return Failure(
            STATUSES[error["code"]],
            error["message"],
            error["reason"],
            metadata,
            error["fields"] or [],
            retry_after,
            "",
            None,
            "",
        )


def environment(rig: Rig, folder: Path, token: str, **more: str) -> dict[str, str]:
    (folder / "token").write_text(token + "\n")
    (folder / "ca.pem").write_text(CA.pem)
    own = {"GATEWAY_ADDRESS": rig.address, "GATEWAY_TOKEN_FILE": str(folder / "token"), "GATEWAY_CA": str(folder / "ca.pem")}
    return {**os.environ, **own, **more}


@asynccontextmanager
async def driving(name: str, environment: dict[str, str]) -> AsyncIterator[Driver]:
    """The language's driver, with this environment."""
    language = await asyncio.to_thread(built, name)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*language.driver, env=environment, stdin=pipe, stdout=pipe, limit=1 << 24)
    try:
        yield Driver(process)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def over_tls(emulator: Emulator, folder: Path, **sections: Any) -> AsyncIterator[Rig]:
    """A gateway with the door's certificate."""
    DOOR.write(folder / "door.pem")
    tls = {"cert_file": str(folder / "door.pem"), "key_file": str(folder / "door.pem")}
    server = {"tls": tls, **sections.pop("server", {})}
    async with gateway(emulator, server=server, **sections) as rig:
        yield rig
