"""The table of errors: reason -> gRPC status and HTTP status. Both doors use it, and nothing else decides a status. This module
also bounds the size of errors: by default a gRPC client accepts 8 KiB of metadata, and fails on an answer that has more.

GatewayError            has a Reason and what the caller may read: no secret, no upstream body
  Reason                the stable, machine-readable cause (google.rpc.ErrorInfo.reason; the error's `code` on REST)
    Kind                the class of outcome: a gRPC status and an HTTP status (a few reasons have a more specific HTTP status)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, unique

from google.rpc import code_pb2

DOMAIN = "compliance-gateway"

# The most violations, rows or names in an error; the rest is only counted. The message repeats the first few violations.
MOST, MOST_IN_WORDS = 20, 5
# In bytes of UTF-8. gRPC sends the message twice, once percent-encoded (three bytes for each of its bytes: 2 KiB), and the
# details in base64. Within these bounds an answer stays under 8 KiB, IDs included.
MESSAGE_BYTES, VALUE_BYTES, VIOLATIONS_BYTES, METADATA_BYTES = 512, 256, 2000, 640
WARNINGS_BYTES, NAMES_BYTES = 3000, MOST * (VALUE_BYTES // 2 + 1)


@unique
class Kind(Enum):
    """An outcome as (gRPC status number, HTTP status); docs/design.md §3."""

    INVALID_ARGUMENT = (code_pb2.INVALID_ARGUMENT, 400)
    UNAUTHENTICATED = (code_pb2.UNAUTHENTICATED, 401)
    PERMISSION_DENIED = (code_pb2.PERMISSION_DENIED, 403)
    FAILED_PRECONDITION = (code_pb2.FAILED_PRECONDITION, 400)
    NOT_FOUND = (code_pb2.NOT_FOUND, 404)
    ALREADY_EXISTS = (code_pb2.ALREADY_EXISTS, 409)
    ABORTED = (code_pb2.ABORTED, 409)
    RESOURCE_EXHAUSTED = (code_pb2.RESOURCE_EXHAUSTED, 429)
    UNAVAILABLE = (code_pb2.UNAVAILABLE, 503)
    DEADLINE_EXCEEDED = (code_pb2.DEADLINE_EXCEEDED, 504)
    CANCELLED = (code_pb2.CANCELLED, 499)
    UNKNOWN = (code_pb2.UNKNOWN, 502)
    UNIMPLEMENTED = (code_pb2.UNIMPLEMENTED, 501)
    INTERNAL = (code_pb2.INTERNAL, 500)

    @property
    def grpc(self) -> int:
        return int(self.value[0])

    @property
    def http(self) -> int:
        return self.value[1]


@unique  # Enum makes two members with equal values one: raising the second would report the first
class Reason(Enum):
    """Why a call failed: (kind, meaning[, HTTP status]). The names are part of the API and never change."""

    INVALID_FIELD = (Kind.INVALID_ARGUMENT, "A field breaks its rule.")
    MESSAGE_MALFORMED = (Kind.INVALID_ARGUMENT, "The request cannot be decoded.")
    MESSAGE_TOO_LARGE = (Kind.INVALID_ARGUMENT, "The request is over the size limit.", 413)
    MEDIA_TYPE_UNSUPPORTED = (Kind.INVALID_ARGUMENT, "The body has a media type or an encoding that is not supported.", 415)
    HEADERS_TOO_LARGE = (Kind.RESOURCE_EXHAUSTED, "The headers are over the size limit.", 431)
    ROUTE_UNKNOWN = (Kind.UNIMPLEMENTED, "There is nothing at this path.", 404)
    METHOD_NOT_ALLOWED = (Kind.UNIMPLEMENTED, "The path does not support this method.", 405)
    DEPENDENCY_FAILED = (Kind.ABORTED, "A request of the batch that this one depends on has failed.", 424)
    REQUEST_TOO_SLOW = (Kind.DEADLINE_EXCEEDED, "The body did not arrive in time.", 408)
    TENANT_UNKNOWN = (Kind.INVALID_ARGUMENT, "x-graph-tenant does not name a configured tenant.")
    TENANT_REQUIRED = (Kind.INVALID_ARGUMENT, "There are several tenants, and x-graph-tenant does not name one.")
    REQUEST_ID_REUSED = (Kind.INVALID_ARGUMENT, "The request ID was used for another request.")
    GRAPH_REFUSED_INPUT = (Kind.INVALID_ARGUMENT, "Graph rejects the input.")
    GRAPH_TYPE_ABSTRACT = (Kind.INVALID_ARGUMENT, "Graph rejects the target: its type is abstract.")
    GRAPH_TYPE_UNKNOWN = (Kind.INVALID_ARGUMENT, "Graph does not know the target's type.")
    GRAPH_PROPERTY_UNKNOWN = (Kind.INVALID_ARGUMENT, "Graph does not know a property of the assignment.")
    GRAPH_GROUP_INVALID = (Kind.INVALID_ARGUMENT, "Graph does not accept the group ID.")
    GRAPH_PATH_UNKNOWN = (Kind.INVALID_ARGUMENT, "Graph does not know the path.")
    CALLER_UNAUTHENTICATED = (Kind.UNAUTHENTICATED, "The caller's token is missing or wrong.")
    CALLER_NOT_PERMITTED = (Kind.PERMISSION_DENIED, "The caller has no permission for this.")
    GRAPH_PERMISSION_MISSING = (Kind.FAILED_PRECONDITION, "The gateway's app lacks a Graph permission.")
    GRAPH_FORBIDS = (Kind.FAILED_PRECONDITION, "Graph forbids this change, and names no missing permission.")
    GRAPH_TOKEN_REFUSED = (Kind.FAILED_PRECONDITION, "Graph refuses the gateway's token, even a new one.")
    GRAPH_TENANT_UNUSABLE = (Kind.FAILED_PRECONDITION, "Intune cannot be used in the tenant.")
    GRAPH_APPROVAL_REQUIRED = (Kind.FAILED_PRECONDITION, "The tenant requires Multi Admin Approval for this change.")
    GRAPH_ROUTE_MISSING = (Kind.FAILED_PRECONDITION, "Graph has no route for the request.")
    CREDENTIAL_REFUSED = (Kind.FAILED_PRECONDITION, "Entra refuses the tenant's credential or settings.")
    NOT_FOUND = (Kind.NOT_FOUND, "There is no such policy or assignment.")
    ALREADY_ASSIGNED = (Kind.ALREADY_EXISTS, "The policy is already assigned to this target.")
    TARGET_ASSIGNED_TWICE = (Kind.FAILED_PRECONDITION, "The policy has two assignments for one target.")
    GRAPH_REFUSES_OLD_ROW = (Kind.FAILED_PRECONDITION, "Graph no longer accepts an assignment that the policy already has.")
    OWNED_BY_POLICY_SET = (Kind.FAILED_PRECONDITION, "The assignment belongs to a policy set; change it there.")
    COUNT_DIFFERS = (Kind.ABORTED, "The policy does not have the number of assignments that the caller expects.")
    SET_CHANGED_SINCE = (Kind.ABORTED, "The policy's assignments have changed since the etag was read: read them again.", 412)
    RESTORE_CONFLICT = (Kind.FAILED_PRECONDITION, "Assignments that would be restored have been changed since.", 409)
    REVISION_EXPIRED = (Kind.FAILED_PRECONDITION, "The ledger no longer keeps the revision.", 410)
    REVISION_INCOMPLETE = (Kind.FAILED_PRECONDITION, "The ledger does not have the whole revision.", 409)
    SET_CHANGED = (Kind.ABORTED, "Others kept changing the policy's assignments during the request.")
    LEASE_LOST = (Kind.ABORTED, "The gateway lost the lease to write the policy before anything was written.")
    LEASE_HELD = (Kind.ABORTED, "Other replicas are writing the policy; this one did not get the lease before the deadline.")
    READ_TOO_OLD = (Kind.UNAVAILABLE, "Graph's answers do not show earlier writes yet; nothing was written.")
    REQUEST_IN_PROGRESS = (Kind.ABORTED, "Another replica is carrying out a request with this ID.")
    NOT_CARRIED_OUT = (Kind.ABORTED, "The gateway was interrupted before it carried out anything.")
    GRAPH_CONFLICT = (Kind.ABORTED, "Graph reports a conflict.")
    CALLER_TOO_BUSY = (Kind.RESOURCE_EXHAUSTED, "The caller has too many concurrent calls.")
    QUOTA_EXHAUSTED = (
        Kind.RESOURCE_EXHAUSTED,
        "The caller would not get a turn in the tenant's Graph quota before the deadline.",
    )
    GRAPH_THROTTLED = (Kind.RESOURCE_EXHAUSTED, "Graph's quota is used up.")
    GRAPH_UNAVAILABLE = (Kind.UNAVAILABLE, "Graph is down or cannot be reached.")
    GRAPH_ANSWER_UNREADABLE = (Kind.UNAVAILABLE, "Graph's answer cannot be read.")
    ENTRA_UNAVAILABLE = (Kind.UNAVAILABLE, "Entra is down or cannot be reached.")
    LEDGER_UNAVAILABLE = (Kind.UNAVAILABLE, "The ledger is unavailable; nothing was sent to Graph.")
    SHUTTING_DOWN = (Kind.UNAVAILABLE, "This gateway is shutting down.")
    DEADLINE_EXCEEDED = (Kind.DEADLINE_EXCEEDED, "The deadline passed.")
    CALLER_GONE = (Kind.CANCELLED, "The caller cancelled the call before anything was written.")
    OUTCOME_UNKNOWN = (Kind.UNKNOWN, "Graph may or may not have carried out the write.")
    INTERNAL = (Kind.INTERNAL, "There is a bug in the gateway; its log has the details.")

    def __init__(self, kind: Kind, meaning: str, http: int | None = None) -> None:
        self.kind, self.meaning, self.http = kind, meaning, http or kind.http


@dataclass(frozen=True)
class Violation:
    """One broken rule. field: the field's path in the request, or a metadata key. rule: in words. reason: if it differs from
    that of the whole error, as it may for one of several edits."""

    field: str
    rule: str
    reason: Reason | None = None


def cut(text: str, most: int = VALUE_BYTES) -> str:
    """The text in at most `most` bytes of UTF-8; it ends with … if something was left out. Lone surrogates become `?`."""
    data = text[: most + 1].encode("utf-8", "replace")
    return data.decode() if len(data) <= most else data[: most - 3].decode("utf-8", "ignore") + "…"


def first(names: Sequence[str]) -> tuple[list[str], int]:
    """The first MOST names, each cut, and the number of the others."""
    return [cut(name, VALUE_BYTES // 2) for name in names[:MOST]], max(len(names) - MOST, 0)


def fitting(sizes: Iterable[int], most: int) -> int:
    """How many of the first sizes have a sum of at most `most`."""
    total = count = 0
    for size in sizes:
        total += size
        if total > most:
            break
        count += 1
    return count


def in_words(violations: Sequence[Violation], more: int = 0) -> str:
    """The first violations as a message, with the number of the others. more: violations that are not in the list."""
    told = "; ".join(f"{v.field}: {v.rule}" for v in violations[:MOST_IN_WORDS])
    left = len(violations[MOST_IN_WORDS:]) + more
    return cut(told, MESSAGE_BYTES - 32) + (f"; and {left} more" if left else "")


@dataclass
class GatewayError(Exception):
    """The only exception that reaches a door. All of its parts are cut to the bounds of this module.

    message: for the caller; defaults to the violations, or the reason's meaning. retry_after: seconds until a retry makes
    sense, None if it never does. resource: (type, name) of what was not found or already exists. metadata: for ErrorInfo:
    `graph_status`, `graph_code`, `graph_request_id`, `client_request_id`, `aadsts`. named: types, properties and IDs that
    Graph's text names, in lower case; only the gateway uses them, they are never shown. more: violations that are left out.
    """

    reason: Reason
    message: str = ""
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    resource: tuple[str, str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = field(default=frozenset(), repr=False)
    more: int = 0

    def __post_init__(self) -> None:
        cuts = [replace(v, field=cut(v.field, VALUE_BYTES // 2), rule=cut(v.rule)) for v in self.violations[:MOST]]
        sizes = (len(f"{v.field}{v.rule}{(v.reason or self.reason).name}".encode()) + 12 for v in cuts)
        kept = tuple(cuts[: fitting(sizes, VIOLATIONS_BYTES)])
        self.more += len(self.violations) - len(kept)
        self.violations = kept
        self.message = cut(self.message or in_words(kept, self.more) or self.reason.meaning, MESSAGE_BYTES)
        self.resource = self.resource and (cut(self.resource[0]), cut(self.resource[1]))
        more = {"more_violations": str(self.more)} if self.more else {}
        self.metadata = _bounded({**more, **self.metadata, **more})
        super().__init__(f"{self.reason.name}: {self.message}")

    __hash__ = Exception.__hash__

    def copy(self) -> "GatewayError":
        """An equal error for another caller: a raised exception carries its traceback, so callers must not share one."""
        return replace(self)


def _bounded(metadata: Mapping[str, str]) -> dict[str, str]:
    """The first pairs, each cut, that fit into METADATA_BYTES."""
    pairs = [(cut(name, VALUE_BYTES // 4), cut(value, VALUE_BYTES // 2)) for name, value in metadata.items()]
    return dict(pairs[: fitting((len((name + value).encode()) + 8 for name, value in pairs), METADATA_BYTES)])


def invalid(field_path: str, rule: str, reason: Reason = Reason.INVALID_FIELD) -> GatewayError:
    """The error for bad input at one place. Its message names the field and the rule."""
    return GatewayError(reason, violations=(Violation(field_path, rule),))
