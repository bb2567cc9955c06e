"""Graph's errors -> GatewayError (docs/graph.md §5, E1-E15). Intune puts its own JSON as a string inside `message`, at times
twice; it is unwrapped to recognise the error and then dropped: a caller gets the gateway's own text, Graph's error code and
IDs, and never a body."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.errors import GatewayError, Reason
from gateway.odata import loads

PERMISSION = "DeviceManagementConfiguration.ReadWrite.All"
NO_PERMISSION = f"The gateway's app lacks a Graph permission in this tenant; writes need {PERMISSION}."
# What names of groups need: the first is the least, and any of them does.
DIRECTORY_PERMISSIONS = ("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All")
NO_DIRECTORY = f"The gateway's app lacks a Graph permission in this tenant; reading groups needs {DIRECTORY_PERMISSIONS[0]}."
CODE = re.compile(r"[A-Za-z][\w. -]{0,63}")
MAX_NESTING = 5
# What a text says is wrong: a type (E6), a property, a group id (E12).
NAMED = re.compile(r"(?:A type named '|The property '|Invalid GroupId : )([\w.@-]{1,256})")


class ErrorAnswer(NamedTuple):
    """An error answer, unwrapped: HTTP status, Graph's code, all texts of the message from outer to inner, joined."""

    status: int
    code: str
    text: str


class Known(NamedTuple):
    """A fault is this row's if its status is in `statuses` and `pattern` is found in `code text`."""

    reason: Reason
    statuses: tuple[int, ...]
    pattern: str
    message: str = ""


# The first row that fits decides; facts' numbers at the end of each line. E10 stands before E4: both are 401.
TABLE = (
    Known(Reason.GRAPH_ROUTE_MISSING, (400,), r"No method match route template|No OData route exists",
        "Graph has no route for this request in the live service (it is documented, but missing)."),  # E1 E2
    Known(Reason.GRAPH_TOKEN_REFUSED, (401,), r"InvalidAuthenticationToken"),  # E10
    Known(Reason.GRAPH_PERMISSION_MISSING, (401,), r"", NO_PERMISSION),  # E4
    Known(Reason.GRAPH_PERMISSION_MISSING, (403,), r"Application is not authorized|the following scopes", NO_PERMISSION),  # E3
    Known(Reason.GRAPH_PERMISSION_MISSING, (403,), r"^Authorization_RequestDenied", NO_DIRECTORY),
    Known(Reason.GRAPH_FORBIDS, (403,), r""),
    Known(Reason.GRAPH_TYPE_ABSTRACT, (400,), r"Cannot create an abstract class",
        "assignment.target: Graph rejects the base type, which is abstract; choose a concrete target."),  # E5
    Known(Reason.GRAPH_TYPE_UNKNOWN, (400,), r"could not be resolved by the model",
        "assignment.target: Graph does not know this target type."),  # E6
    Known(Reason.GRAPH_PROPERTY_UNKNOWN, (400,), r"ModelValidationFailure .*The property '[^']*' does not exist on type",
        "assignment: Graph does not know one of its properties; send only those that the target's type has."),  # §2
    Known(Reason.NOT_FOUND, (404,), r""),  # E7
    Known(Reason.GRAPH_CONFLICT, (409, 412), r""),
    Known(Reason.GRAPH_THROTTLED, (429,), r""),  # E8
    Known(Reason.GRAPH_TENANT_UNUSABLE, (400,), r"Request not applicable to target tenant",
        "Graph says that Intune cannot be used in the tenant (no active licence, or not set up)."),  # E11
    Known(Reason.GRAPH_GROUP_INVALID, (400,), r"Invalid GroupId",
        "assignment.target: Graph does not accept the group ID as the ID of an Entra group."),  # E12
    Known(Reason.GRAPH_PATH_UNKNOWN, (400,), r"Resource not found for the segment"),  # E14
    Known(Reason.GRAPH_REFUSED_INPUT, (400, 405, 406, 411, 413, 414, 415, 422), r"",
        "Graph rejects the request, and does not say why. Check the IDs in assignment.target: is a group ID given as a"
        " collection ID? Another assignment of the policy may also be the cause."),  # E15
    Known(Reason.GRAPH_UNAVAILABLE, tuple(range(500, 600)), r""),  # E9
)  # fmt: skip
APPROVAL = "x-msft-approval-code"


def graph_error_of(status: int, headers: Mapping[str, str], body: bytes) -> GatewayError:
    """The meaning of an answer with an error status. headers: lower-case keys. 5xx becomes GRAPH_UNAVAILABLE; the client
    decides whether a write may have been carried out anyway."""
    fault = parse(status, body)
    row = next((r for r in TABLE if status in r.statuses and re.search(r.pattern, f"{fault.code} {fault.text}")), None)
    # Key on the header, never on the status (facts §6); the wording is for answers whose proxy drops headers.  E13
    if APPROVAL in headers or re.search("x-msft-approval-justification", fault.text):
        row = Known(Reason.GRAPH_APPROVAL_REQUIRED, (status,), "")
    if row is None:
        row = Known(Reason.GRAPH_ANSWER_UNREADABLE, (status,), "", f"Graph answers with the unexpected status {status}.")
    metadata = {"graph_status": str(status), "graph_code": fault.code}
    named = frozenset(name.rpartition(".")[2].lower() for name in NAMED.findall(fault.text))
    return GatewayError(row.reason, row.message, metadata={k: v for k, v in metadata.items() if v}, named=named)


def parse(status: int, body: bytes) -> ErrorAnswer:
    """Unwraps an error body. A body that cannot be read (HTML, empty, broken JSON) gives an error without code and text."""
    try:
        error = loads(body)["error"]
        code, texts = str(error.get("code") or ""), _texts(error.get("message"), MAX_NESTING)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ErrorAnswer(status, "", "")
    return ErrorAnswer(status, code if CODE.fullmatch(code) else "", " | ".join(texts))


def _texts(message: Any, depth: int) -> list[str]:
    """The message and every message inside it: Intune's `Message` or `ErrorMessage`, or a nested `error`."""
    if isinstance(message, str):
        try:
            inner = loads(message) if message.lstrip()[:1] in ("{", '"') and depth else None
        except (ValueError, RecursionError):
            inner = None
        return [message, *_texts(inner, depth - 1)] if inner is not None else [message]
    if isinstance(message, dict) and depth:
        keys = ("Message", "message", "ErrorMessage", "error", "Error", "ErrorCode", "code")
        return [text for key in keys if key in message for text in _texts(message[key], depth - 1)]
    return []
