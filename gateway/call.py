"""What travels with one call from a door to Graph and back."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from google.protobuf.message import Message

from gateway.errors import NAMES_BYTES, WARNINGS_BYTES, cut, fitting
from gateway.ids import new_guid
from gateway.operations import Operation


@dataclass(frozen=True)
class Caller:
    """The authenticated workload that asks."""

    name: str


# What a caller's name can be, whoever gives it: every database keeps it and every terminal shows it.
CALLER_NAME = re.compile(r"[ -~]{1,320}")
AUTHORIZATION = "authorization"
EXPIRED = "expired"  # what an authenticator notes as `token_refused` of a genuine token that is over
BEARER = re.compile(r"Bearer ([!-~]{16,8192})", re.IGNORECASE)
CORRELATION = "client-request-id"
ETAG = "compliance-gateway-etag"  # the trailer; at REST it is the header ETag
ENTRY_ID = "request-id"
CORRELATION_ID = re.compile(r"[!-~]{1,128}")

CORRELATION_RULE = "may be given once, with up to 128 printable ASCII characters without spaces"


def correlation_id(metadata: Mapping[str, tuple[str, ...]]) -> str:
    """The caller's own `client-request-id`; empty where it sent none that is fit."""
    values = metadata.get(CORRELATION, ())
    return values[0] if len(values) == 1 and CORRELATION_ID.fullmatch(values[0]) else ""


Judge = Callable[[Sequence[Mapping[str, object]], Sequence[Mapping[str, object]]], None]


def permit(added: Sequence[Mapping[str, object]], removed: Sequence[Mapping[str, object]]) -> None:
    """A judge that permits everything. Another one raises CALLER_NOT_PERMITTED unless these targets (Graph's JSON objects) may
    be added and removed."""


def hide(kind: str) -> bool:  # noqa: ARG001 - it is the same for every kind
    """Permits no names. Another one says whether display names of this kind (`policy`, `group`, `filter`) may be told."""
    return False


@dataclass(frozen=True)
class CallWarning:
    """Something a caller should know although the call went well. metadata: for google.rpc.ErrorInfo."""

    reason: str
    metadata: Mapping[str, str]

    @property
    def size(self) -> int:
        """In bytes, about."""
        return len(self.reason) + sum(len(f"{name}{value}".encode()) + 8 for name, value in self.metadata.items())


@dataclass(eq=False)
class Record:
    """The notebook of a call: every step adds what it knows, `audit` logs it once. Never a body, a token or a secret.

    call: as far as it has come. warnings, trailers: for the answer's metadata; trailers go with errors as well.
    """

    facts: dict[str, object] = field(default_factory=dict)
    warnings: list[CallWarning] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    call: "Call | None" = field(default=None, repr=False)

    @property
    def caller(self) -> str:
        """The caller's name; empty as long as nobody is known."""
        return self.call.caller.name if self.call and self.call.caller else ""

    def note(self, **facts: object) -> None:
        self.facts.update(facts)

    def warn(self, warning: CallWarning) -> None:
        """One more, unless there would be more than an answer can hold."""
        facts = {name: cut(value, NAMES_BYTES) for name, value in warning.metadata.items()}
        warnings = [*self.warnings, replace(warning, metadata=facts)]
        self.warnings = warnings[: fitting((one.size for one in warnings), WARNINGS_BYTES)]


class Sink(Protocol):
    """Where an answer that is passed on goes, piece by piece. Raises CALLER_GONE where nobody takes it."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Once, before the first piece."""
        ...

    async def write(self, data: bytes) -> None:
        """A piece of the body."""
        ...


@dataclass(frozen=True)
class Read:
    """A read that is passed on. path: Graph's, from the version on, with its query, inside the tree of what is read through.
    pattern: without keys; kind: of the first resource; shows: whether assignments come with it. headers: that go with it. root:
    of this gateway, for links. bodiless: a HEAD."""

    path: str
    pattern: str
    kind: str
    shows: bool
    headers: Mapping[str, str] = field(repr=False)
    root: str
    sink: Sink = field(repr=False)
    bodiless: bool = False


@dataclass(frozen=True)
class Call:
    """One call: what a door knows of it, and what the steps have found out (see `found`).

    decode: reads the request's body and gives the message, or raises MESSAGE_MALFORMED, MESSAGE_TOO_LARGE, REQUEST_TOO_SLOW;
    run once, and only for an authenticated caller: until then nothing of a body is read.
    metadata: lower-case keys, every value sent. deadline: seconds on the event loop's clock.
    certificate: of the client, PEM, verified by the door's TLS. door: `grpc` or `rest`. policy: as the path has it, for where
    the message cannot be decoded. id: ours, in the answer as `request-id`.
    caller, tenant, message: by the steps `authenticate`, `validate` and `authorize`. judge: see `permit`. may_name: see `hide`.
    write: of an operation that writes, once its request id is taken. read: of a ReadThrough, whose message says nothing.
    """

    operation: Operation
    decode: Callable[[], Awaitable[Message]]
    metadata: Mapping[str, tuple[str, ...]] = field(repr=False)
    deadline: float
    certificate: bytes | None = None
    door: str = ""
    policy: str = ""
    id: str = field(default_factory=new_guid)
    record: Record = field(default_factory=Record)
    caller: Caller | None = None
    tenant: str = ""
    message: Message | None = None
    judge: Judge = permit
    may_name: Callable[[str], bool] = hide
    read: Read | None = None
    write: object = None  # a gateway.ledger.write.Write: a room above

    def found(self, **more: Any) -> "Call":
        """The call with what a step has found out; the record has it too, for who looks back at the end."""
        call = self.record.call = object.__new__(Call)  # replace asks the constructor for every field: ten times as much
        call.__dict__.update(self.__dict__, **more)
        return call

    @property
    def validates_only(self) -> bool:
        """Whether its caller wants to see what a write would come to, and nothing more."""
        return bool(getattr(self.message, "validate_only", False))

    @property
    def bearer(self) -> str | None:
        """The token in the metadata; None where there is none that could be one."""
        values = self.metadata.get(AUTHORIZATION, ())
        match = BEARER.fullmatch(values[0]) if len(values) == 1 else None
        return match.group(1) if match else None


def decoded(message: Message) -> Callable[[], Awaitable[Message]]:
    """For `Call.decode`, where the message is there already."""

    async def decode() -> Message:
        return message

    return decode


Handler = Callable[[Call], Awaitable[Message]]


class Step(Protocol):
    """What every call passes: it refuses by raising GatewayError, or awaits the next handler."""

    def __call__(self, call: Call, next_handler: Handler) -> Awaitable[Message]: ...
