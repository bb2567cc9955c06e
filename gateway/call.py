"""What travels with one call from a door to Graph and back."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from gateway.entry import Entry
from gateway.errors import invalid
from gateway.operations import Operation


@dataclass(frozen=True)
class Caller:
    """The authenticated workload that asks."""

    name: str


CORRELATION = "client-request-id"
CORRELATION_ID = re.compile(r"[!-~]{1,128}")

CORRELATION_RULE = "may be given once, with up to 128 printable ASCII characters without spaces"


def correlation_id(metadata: Mapping[str, tuple[str, ...]]) -> str:
    """The caller's own `client-request-id`; empty where it sent none that is fit."""
    values = metadata.get(CORRELATION, ())
    return values[0] if len(values) == 1 and CORRELATION_ID.fullmatch(values[0]) else ""


Judge = Callable[[Sequence[Mapping[str, object]], Sequence[Mapping[str, object]]], None]


@dataclass
class Record:
    """The notebook of a call: every step adds what it knows, `audit` logs it once. Never a body, a token or a secret."""

    facts: dict[str, object] = field(default_factory=dict)

    def note(self, **facts: object) -> None:
        self.facts.update(facts)

    def count(self, fact: str) -> None:
        self.facts[fact] = int(str(self.facts.get(fact, 0))) + 1


@dataclass(frozen=True)
class CallWarning:
    """Something a caller should know although the call went well. metadata: for google.rpc.ErrorInfo."""

    reason: str
    metadata: Mapping[str, str]


@dataclass
class Call:
    """One call, filled in as it passes the steps.

    decode: gives the request message, or raises MESSAGE_MALFORMED; run only for an authenticated caller.
    metadata: lower-case keys, every value sent. deadline: seconds on the event loop's clock.
    certificate: of the client, PEM, verified by the door's TLS. bearer: the token in the metadata, set by `authenticate`.
    door: `grpc` or `rest`. policy: as the path has it, for where the message cannot be decoded. id: ours, in the answer as
    `request-id`. caller, tenant, message: set by the steps `authenticate` and `validate`. entry: of a write, once
    `idempotency` has claimed it. judge: raises CALLER_NOT_PERMITTED unless the caller may add and remove these targets (Graph's
    JSON objects), set by `authorize`. look_only: finds out whether what was sent before was carried out, and writes nothing.
    abandoned: nobody waits for the answer any more. warnings, trailers: for the answer's metadata; trailers go with errors as
    well.
    """

    operation: Operation
    decode: Callable[[], Message]
    metadata: Mapping[str, tuple[str, ...]] = field(repr=False)
    deadline: float
    certificate: bytes | None = None
    door: str = ""
    policy: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    record: Record = field(default_factory=Record)
    bearer: str | None = field(default=None, repr=False)
    caller: Caller | None = None
    tenant: str = ""
    message: Message | None = None
    entry: Entry | None = None
    judge: Judge = field(default=lambda added, removed: None)  # noqa: ARG005 - recovery only looks
    look_only: bool = False
    abandoned: bool = False
    warnings: list[CallWarning] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The value of a metadata key that may come once; None where it is absent."""
        values = self.metadata.get(name, ())
        if len(values) > 1:
            raise invalid(name, "may be given once")
        return values[0] if values else None

    @property
    def correlation_id(self) -> str:
        """The caller's own `client-request-id`; empty where it sent none that is fit."""
        return correlation_id(self.metadata)


Handler = Callable[[Call], Awaitable[Message]]
Step = Callable[[Call, Handler], Awaitable[Message]]
