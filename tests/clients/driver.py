"""A client in each language, as a program that carries out what a test asks through the language's own helper.

A request is a JSON object a line on its stdin: `method`, `request` (the message, in base64), `timeout_ms` (0 for the helper's
own deadline), or `target` with `id`, `filter` and `include` for a target that the helper shall build. It answers each with a
line: `response` (a message, in base64) or `error` with code, reason, message, fields, retry_after_ms and graph_request_id, and
in `answer` what the helper says of the call besides.

How a client is built is how others would do it: its folder, copied alone to an empty place, is packed; a consumer beside it,
which is a folder of tests/clients, installs the package, and has the driver and a unit test of its own.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from attacks import CA, DOOR
from filelock import FileLock
from google.protobuf.message import Message
from readmes import write_program
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.operations import OPERATIONS

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BUILT = HERE / "built"
STATUSES = ["OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
            "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
            "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"]  # fmt: skip


# Outside of the repository, and another for each copy of it. What is compiled of others stays in `built` and the tools' caches.
PLACES = Path(tempfile.gettempdir()) / f"compliance-gateway-clients-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"
MADE = ("node_modules", "dist", "target", "gen", "__pycache__")


@dataclass(frozen=True)
class Language:
    """tool: what it needs beside Python. build: commands, each in a folder of the place, which has `client` and `consumer`.
    driver, example: how both are run. documented: the command, in `client`, that renders the documentation and fails on a
    warning; none where it is not rendered."""

    tool: str
    build: Sequence[tuple[str, Sequence[str]]]
    driver: Sequence[str]
    example: Sequence[str]
    documented: Sequence[str]


def place(name: str) -> Path:
    return PLACES / name


def java(*program: str) -> Sequence[str]:
    """A class of the consumer's, or a program of one file, with the client and what it needs."""
    target = place("java") / "consumer/target"
    return "bash", "-c", f'exec java -cp "{target}/classes:$(cat {target}/classpath)" "$@"', "java", *program


TYPES = ("--types", "node", "--typeRoots", "../client/node_modules/@types", "--skipLibCheck")
TSC = ("node", "../client/node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--module", "nodenext", *TYPES)
PACKED = "compliance-gateway-client-0.1.0"
SITE = place("python") / "site"
PYTHON = ("env", f"PYTHONPATH={SITE}:{ROOT}", sys.executable)
CARGO = ("--quiet", "--target-dir", str(BUILT / "rust"))
# Beside what the consumer's build has compiled: `cargo doc` would check all that the client needs once more.
RUSTDOC = f"""
cd {BUILT}/rust/debug
needed=""
for name in prost prost_types serde_json tokio tonic tonic_prost tonic_types uuid; do
    needed="$needed --extern $name=$(ls -t deps/lib$name-*.rlib | head -n 1)"
done
export OUT_DIR=$(dirname "$PWD/$(ls -t build/compliance-gateway-client-*/out/compliance_gateway.v1.rs | head -n 1)")
rustdoc -D warnings --edition 2021 --crate-name compliance_gateway_client --cfg 'feature="testing"' -L dependency=deps \\
    $needed -o {BUILT}/rustdoc {place("rust")}/client/src/lib.rs
"""
LANGUAGES = {
    "python": Language(
        "",
        (
            ("client", (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "..", ".")),
            (".", ("bash", "-c", f'exec "{sys.executable}" -m pip install -q --no-deps --no-compile --target site *.whl')),
            ("consumer", (*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".")),
        ),
        (*PYTHON, str(place("python") / "consumer/driver.py")),
        (*PYTHON, str(place("python") / "client/examples/assign.py")),
        (*PYTHON, "-W", "error", "-m", "pydoc", "compliance_gateway", "compliance_gateway.testing"),
    ),
    "go": Language(
        "go",
        (
            ("client", ("go", "vet", "./...")),
            ("client", ("go", "build", "-o", "../example", "./example")),
            ("consumer", ("go", "build", "-o", "../driver", ".")),
            ("consumer", ("go", "test", "-count=1", "./...")),
        ),
        (str(place("go") / "driver"),),
        (str(place("go") / "example"),),
        ("bash", "-c", "go doc -all . && go doc -all ./gatewaytest"),
    ),
    "typescript": Language(
        "npm",
        (
            ("client", ("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")),
            ("client", ("npm", "pack", "--silent", "--pack-destination", "..")),
            ("consumer", ("npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock")),
            ("consumer", (*TSC, "readme.ts")),
            ("consumer", ("node", "--test")),
        ),
        ("node", str(place("typescript") / "consumer/driver.mjs")),
        ("node", str(place("typescript") / "client/dist/example/assign.js")),
        ("npm", "run", "--silent", "docs"),
    ),
    "rust": Language(
        "cargo",
        (
            # What is packed is compiled, and with it the example, when the consumer is.
            ("client", ("cargo", "package", "--no-verify", "--allow-dirty", *CARGO)),
            (".", ("tar", "xf", str(BUILT / f"rust/package/{PACKED}.crate"))),
            ("consumer", ("cargo", "test", "--locked", *CARGO)),
        ),
        (str(BUILT / "rust/debug/driver"),),
        (str(BUILT / "rust/debug/assign"),),
        ("bash", "-euc", RUSTDOC),
    ),
    "java": Language(
        "mvn",
        (
            ("client", ("mvn", "-q", "-B", "install")),
            ("consumer", ("mvn", "-q", "-B", "test", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath")),
        ),
        java("Driver"),
        java(str(place("java") / "client/example/Assign.java")),
        # The package has it: the plug-in runs with each `mvn package`, and fails on a warning.
        ("bash", "-c", "test -f target/*-javadoc.jar"),
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
            shutil.rmtree(place(name), ignore_errors=True)
            for source, folder in ((ROOT / "clients" / name, "client"), (HERE / name, "consumer")):
                shutil.copytree(source, place(name) / folder, ignore=shutil.ignore_patterns(*MADE))
            write_program(name, place(name) / "client/README.md", place(name) / "consumer")
            # For what a client starts as its test double: this Python has the gateway.
            environment = {**os.environ, "COMPLIANCE_GATEWAY_PYTHON": sys.executable, **LEAN}
            for folder, command in language.build:
                subprocess.run(command, cwd=place(name) / folder, env=environment, check=True)
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
async def driving(name: str, environment: dict[str, str], stderr: Any = None) -> AsyncIterator[Driver]:
    """The language's driver, with this environment. stderr: a file; None for this process's."""
    language = await asyncio.to_thread(built, name)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *language.driver, env=environment, stdin=pipe, stdout=pipe, stderr=stderr, limit=1 << 24
    )
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
