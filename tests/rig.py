"""A real gateway in front of a real emulator, for tests that go through the wire."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from ledgers import new_ledger
from processes import Process

from gateway.bootstrap import running
from gateway.cli.emulator import config_for
from gateway.config import LedgerConfig, parse
from gateway.emulator import Emulator
from gateway.entry import Entry
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.logs import formatter, quiet
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

# The emulator's quota is for tests about it; others would only wait.
NO_QUOTA = {"writes_per_20s": 100_000, "requests_per_20s": 1_000_000}
# A small world: reads lag a second at most, and writes land within another.
QUICK = {"lag_s": 1.0, "late_s": 1.0}
LIVE_QUOTA = {"writes_per_20s": 100, "requests_per_20s": 1000}


@dataclass
class Failure:
    """A refused call: everything a client can see of it."""

    status: str
    message: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    retry_after: float | None
    resource: str
    pushback_ms: int | None
    window: str = ""
    seen: str = field(default="", repr=False)


@dataclass
class Rig:
    """call(): one RPC through a real channel; the answer, or a Failure. exchange(): that, and the trailers."""

    emulator: Emulator
    channel: grpc.aio.Channel
    address: str
    token: str
    ledger: LedgerConfig
    mtls_address: str = ""
    rest_address: str = ""
    admin_address: str = ""

    @property
    def stub(self) -> ComplianceAssignmentServiceStub:
        return ComplianceAssignmentServiceStub(self.channel)

    async def call(self, operation: str, request: Any, **options: Any) -> Any:
        return (await self.exchange(operation, request, **options))[0]

    async def exchange(
        self,
        operation: str,
        request: Any,
        *,
        metadata: tuple[tuple[str, str], ...] | None = None,
        timeout: float | None = 20,
    ) -> tuple[Any, dict[str, Any]]:
        """request: a message, its proto JSON, or raw bytes. metadata: instead of the caller's token."""
        row = OPERATIONS[operation]
        if isinstance(request, dict):
            request = json_format.ParseDict(request, row.request())
        data = request if isinstance(request, bytes) else request.SerializeToString()
        rpc = self.channel.unary_unary(f"/{row.service}/{operation}", response_deserializer=row.response.FromString)
        if metadata is None:
            metadata = (("authorization", f"Bearer {self.token}"),)
        ongoing = rpc(data, metadata=metadata, timeout=timeout)
        try:
            answer = await ongoing
        except grpc.aio.AioRpcError as error:
            answer = failure(error)
        return answer, dict(await ongoing.trailing_metadata())

    def writes(self) -> list[dict[str, Any]]:
        """The requests that Graph got, other than GET."""
        return [r for r in self.emulator.world.requests if r["method"] != "GET"]

    def entries(self, **query: Any) -> list[Entry]:
        """What the ledger has."""
        return list(self._ledger.find(Query(**query)))

    @cached_property
    def _ledger(self) -> SqlLedger:
        return SqlLedger(self.ledger)

    async def first_entries(self) -> list[Entry]:
        """What the ledger has once it has anything: nobody waits for the entry of a stranger's refusal."""
        async with asyncio.timeout(60):
            while not (entries := self.entries()):
                await asyncio.sleep(0.01)
        return entries

    def rows(self, policy: str) -> list[dict[str, Any]]:
        return self.emulator.world.intune.policies[policy].rows


def unthrottle(emulator: Emulator) -> None:
    """Takes the quotas out of the emulator's Graph."""
    for name in ("app_writes", "app_requests", "tenant_writes", "tenant_requests"):
        setattr(emulator.world.graph.throttle, name, 10**9)


def at_this_pace(seconds: float) -> float:
    """For what has to come late: longer, up to four times, where other programs want the processors too."""
    return seconds * min(4.0, max(1.0, os.getloadavg()[0] / (2 * (os.cpu_count() or 1))))


def failure(error: grpc.RpcError) -> Failure:
    """Reads the details and trailers of an error."""
    details: dict[type, Any] = {}
    status = rpc_status.from_call(error)
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.ResourceInfo,
        error_details_pb2.QuotaFailure,
    )
    for packed in status.details if status else ():
        for kind in kinds:
            if packed.Is(kind.DESCRIPTOR):
                details[kind] = kind.FromString(packed.value)
    info, bad, retry, resource, quota = (details.get(kind) for kind in kinds)
    trailers = dict(error.trailing_metadata() or ())
    pushback = trailers.get("grpc-retry-pushback-ms")
    return Failure(
        status=error.code().name,
        message=error.details() or "",
        reason=info.reason if info else "",
        metadata=dict(info.metadata) if info else {},
        fields=[v.field for v in bad.field_violations] if bad else [],
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry else None,
        resource=resource.resource_name if resource else "",
        pushback_ms=int(pushback) if pushback is not None else None,
        window=quota.violations[0].subject if quota else "",
        seen=f"{error!r} {trailers!r} {status}",
    )


@asynccontextmanager
async def gateway(emulator: Emulator, **sections: dict[str, Any]) -> AsyncIterator[Rig]:
    """A gateway with the emulator's configuration; `sections` add to or replace its values."""
    token = new_token()
    values = config_for(emulator, hash_token(token))
    values["server"]["drain_notice_s"] = 0
    values["graph"] |= NO_QUOTA | QUICK
    rules = emulator.folder / "everyone-may-all.cedar"
    at_once(rules, "permit(principal, action, resource);")  # another gateway may be reading it anew
    values["authorization"] = {"rules_file": str(rules)}
    if "url" not in sections.get("ledger", {}):
        values["ledger"] = {"url": new_ledger(emulator.folder)}
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    config = parse(values)
    async with running(config) as doors, grpc.aio.insecure_channel(doors.grpc) as channel:
        yield Rig(emulator, channel, doors.grpc, token, config.ledger, doors.mtls, doors.rest, doors.admin)


@contextmanager
def logged() -> Iterator[list[str]]:
    """Everything logged inside the block, as the JSON lines of the command would show it."""

    quiet()
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter().format(record))

    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def at_once(path: Path, text: str) -> None:
    """A file that is written in place is empty for a moment, and whoever reads it anew then reads that."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def command(*arguments: str) -> tuple[Process, dict[str, Any]]:
    """Starts `python -m gateway …` and reads its ready line."""
    process = await Process().start(arguments)
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
    return process, json.loads(line)


async def outcome(*arguments: str) -> tuple[int, str, str]:
    """Runs `python -m gateway …` to its end: exit status, stdout, stderr."""
    process = await Process().start(arguments)
    stdout, stderr = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, stdout.decode(), stderr.decode()


async def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What `python -m gateway …` shows on a terminal, where all goes well. One read may give a part of it, and Linux says EIO
    at its end."""
    ours, theirs = os.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = await Process().start(arguments, stdout=theirs, environment=clean | environment)
    os.close(theirs)

    def shown() -> Iterator[bytes]:
        with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
            while piece := terminal.read(4096):
                yield piece

    text = await asyncio.wait_for(asyncio.to_thread(lambda: b"".join(shown())), 60)
    assert await process.wait() == 0
    return text.decode()
