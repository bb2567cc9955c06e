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
    """The authenticated workload that makes a call."""

    name: str


# The format of a caller's name, whichever authenticator gives it: any database can store it, and any terminal can show it.
CALLER_NAME = re.compile(r"[ -~]{1,320}")
AUTHORIZATION = "authorization"
# What an authenticator may note as `token_refused` for a genuine token, one that an issuer signed. Its holder is told:
# it has expired, is not valid yet, or is for another audience.
EXPIRED, EARLY, AUDIENCE = TOLD_OF_TOKENS = ("expired", "early", "audience")
BEARER = re.compile(r"Bearer ([!-~]{16,8192})", re.IGNORECASE)
CORRELATION = "client-request-id"
ETAG = "compliance-gateway-etag"  # the trailer; at REST it is the header ETag
ENTRY_ID = "request-id"
CORRELATION_ID = re.compile(r"[!-~]{1,128}")

CORRELATION_RULE = "may be given only once, with up to 128 printable ASCII characters without spaces"


def correlation_id(metadata: Mapping[str, tuple[str, ...]]) -> str:
    """The caller's own `client-request-id`; empty if it sent none, or one that is not valid."""
    values = metadata.get(CORRELATION, ())
    return values[0] if len(values) == 1 and CORRELATION_ID.fullmatch(values[0]) else ""


Judge = Callable[[Sequence[Mapping[str, object]], Sequence[Mapping[str, object]]], None]


def permit(added: Sequence[Mapping[str, object]], removed: Sequence[Mapping[str, object]]) -> None:
    """The judge that permits everything. A judge raises CALLER_NOT_PERMITTED unless its caller may add and remove these targets
    (Graph's JSON objects)."""


def hide(kind: str) -> bool:  # noqa: ARG001 - it is the same for every kind
    """Permits no names. Such a function says whether the caller may see display names of a kind (`policy`, `group`,
    `filter`)."""
    return False


@dataclass(frozen=True)
class CallWarning:
    """Something a caller should know although the call went well. metadata: for google.rpc.ErrorInfo."""

    reason: str
    metadata: Mapping[str, str]

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return len(self.reason) + sum(len(f"{name}{value}".encode()) + 8 for name, value in self.metadata.items())


@dataclass(eq=False)
class Record:
    """The notes of a call: every step adds what it knows, and `audit` logs them once. Never a body, a token or a secret.

    call: the call with everything found so far. warnings, trailers: for the answer's metadata; errors have the trailers too.
    """

    facts: dict[str, object] = field(default_factory=dict)
    warnings: list[CallWarning] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    call: "Call | None" = field(default=None, repr=False)

    @property
    def caller(self) -> str:
        """The caller's name; empty before the caller is authenticated."""
        return self.call.caller.name if self.call and self.call.caller else ""

    def note(self, **facts: object) -> None:
        self.facts.update(facts)

    def warn(self, warning: CallWarning) -> None:
        """Adds a warning, unless the answer cannot hold it."""
        facts = {name: cut(value, NAMES_BYTES) for name, value in warning.metadata.items()}
        warnings = [*self.warnings, replace(warning, metadata=facts)]
        self.warnings = warnings[: fitting((one.size for one in warnings), WARNINGS_BYTES)]


class Sink(Protocol):
    """The destination of an answer that is passed on, piece by piece. Raises CALLER_GONE if the caller no longer reads."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Once, before the first piece."""
        ...

    async def write(self, data: bytes) -> None:
        """A piece of the body."""
        ...


@dataclass(frozen=True)
class Read:
    """A read that is passed on. path: Graph's path from the version on, with its query; it is in the tree of permitted paths.
    pattern: the path with `{id}` for keys. kind: the first resource. shows: whether the answer has assignments. headers: those
    that are passed on. root: this gateway's root URL, for links. bodiless: whether it is a HEAD."""

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

    decode: reads the request's body and returns the message, or raises MESSAGE_MALFORMED, MESSAGE_TOO_LARGE, REQUEST_TOO_SLOW.
    It is called once, and only for an authenticated caller: before that, nothing of a body is read. metadata: lower-case keys,
    all values. deadline: event loop's clock. certificate: the client's, in PEM, verified by the door's TLS. door: `grpc` or
    `rest`. policy: as in the path, for calls whose message cannot be decoded. id: the gateway's ID of the call, `request-id` in
    the answer. caller, tenant, message: set by the steps `authenticate`, `validate` and `authorize`. judge: see `permit`.
    may_name: see `hide`. write: for an operation that writes, once its request ID is claimed. read: for a ReadThrough, whose
    message is empty."""

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
        """The call with what a step has found out. The record refers to it, so that `audit`, the outermost step, sees it."""
        call = self.record.call = object.__new__(Call)  # dataclasses.replace calls the constructor: ten times the cost
        call.__dict__.update(self.__dict__, **more)
        return call

    @property
    def validates_only(self) -> bool:
        """Whether the call is only a preview of a write."""
        return bool(getattr(self.message, "validate_only", False))

    @property
    def bearer(self) -> str | None:
        """The token in the metadata; None if there is none in a valid format."""
        values = self.metadata.get(AUTHORIZATION, ())
        match = BEARER.fullmatch(values[0]) if len(values) == 1 else None
        return match.group(1) if match else None


def decoded(message: Message) -> Callable[[], Awaitable[Message]]:
    """A `Call.decode` for a message that is already decoded."""

    async def decode() -> Message:
        return message

    return decode


Handler = Callable[[Call], Awaitable[Message]]


class Step(Protocol):
    """A step of the pipeline: it refuses a call by raising GatewayError, or awaits the next handler."""

    def __call__(self, call: Call, next_handler: Handler) -> Awaitable[Message]: ...
