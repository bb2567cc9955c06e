"""The errors of Graph and Intune, in the shapes of the real services (facts §5). tests/cases/golden has the real bodies."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateway.emulator.backend import Asked

READ_ROLE = "DeviceManagementConfiguration.Read.All"
GROUP_ROLE = "GroupMember.Read.All"
WRITE_ROLE = "DeviceManagementConfiguration.ReadWrite.All"
HTTP_FORBIDDEN, HTTP_THROTTLED = 403, 429
ZEROS = "00000000-0000-0000-0000-000000000000"
REALM = "urn:intune:service,c3998d6e-2e37-4c56-87b5-7b444ee1cb26,9b2d1c3e-7a58-4f0b-8c61-5d4e3f2a1b0c"
NO_REASON = "An error has occurred"
Shape = Callable[[str, Asked], str]


def flat(text: str, _asked: Asked) -> str:
    """Shape: the text itself."""
    return text


def wrapped(text: str, asked: Asked, headers: str = "{}") -> str:
    """Shape: Intune's own JSON as text in Graph's `message`, indented, with CRLF line ends."""
    ids = f"Operation ID (for customer support): {ZEROS} - Activity ID: {asked.client_id}"
    own = {
        "_version": 3,
        "Message": f"{text} - {ids} - Url: {asked.url}",
        "CustomApiErrorPhrase": "",
        "RetryAfter": None,
        "ErrorSourceService": "",
        "HttpHeaders": headers,
    }
    return json.dumps(own, indent=2).replace("\n", "\r\n")


def wrapped_twice(text: str, asked: Asked) -> str:
    """Shape: Intune's JSON as a string inside another service's JSON (E4)."""
    headers = json.dumps({"WWW-Authenticate": f'Bearer realm="{REALM}"'}, separators=(",", ":"))
    outer = {"ErrorCode": "Forbidden", "Message": wrapped(text, asked, headers)}
    empty: dict[str, Any] = {"Target": None, "Details": None, "InnerError": None, "InstanceAnnotations": []}
    return json.dumps({**outer, **empty}, separators=(",", ":"))


class GraphError(Exception):
    """An error answer of Graph. text: what is wrong. shape: makes `message` from the text. more: further members of `error`."""

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        shape: Shape = wrapped,
        headers: dict[str, str] | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.text, self.shape = status, code, text, shape
        self.headers, self.more = headers or {}, more or {}

    def body(self, asked: Asked) -> dict[str, Any]:
        inner = {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": asked.id,
            "client-request-id": asked.client_id,
        }
        if self.code == "ModelValidationFailure":  # this error has its text twice
            inner = {"message": self.text, **inner}
        error = {"code": self.code, "message": self.shape(self.text, asked)}
        return {"error": {**error, **self.more, "innerError": inner}}


def route_missing(template: str, verb: str, path: str) -> GraphError:  # E1 E2
    text = f"No OData route exists that match template {template} with http verb {verb} for request {path}."
    return GraphError(400, "No method match route template", text, flat)


def permission_missing(roles: list[str], as_401: bool) -> GraphError:  # E3 E4
    """roles: the permissions of which one would suffice."""
    if as_401:
        return GraphError(401, "UnknownError", NO_REASON, wrapped_twice)
    text = "Application is not authorized to perform this operation. Application must have one of the following scopes: "
    return GraphError(HTTP_FORBIDDEN, "Forbidden", text + ", ".join(roles))


def abstract_class() -> GraphError:  # E5
    return GraphError(400, "ModelValidationFailure", "Cannot create an abstract class.", flat)


def unknown_type(name: str) -> GraphError:  # E6
    text = f"A type named '{name}' could not be resolved by the model. "
    text += "When a model is available, each type name must resolve to a valid type."
    return GraphError(400, "ModelValidationFailure", text, flat)


def undeclared(name: str, type_name: str) -> GraphError:  # facts §2
    text = f"The property '{name}' does not exist on type 'microsoft.management.services.api.{type_name}'. "
    text += "Make sure to only use property names that are defined by the type."
    return GraphError(400, "ModelValidationFailure", text, flat)


def not_found() -> GraphError:  # E7
    return GraphError(404, "ResourceNotFound", NO_REASON)


def throttled(retry_after: str | None, as_flat: bool) -> GraphError:  # E8
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    if as_flat:
        return GraphError(HTTP_THROTTLED, "TooManyRequests", f"{NO_REASON}.", flat, headers, {"details": []})
    return GraphError(HTTP_THROTTLED, "TooManyRequests", NO_REASON, wrapped, headers)


def internal() -> GraphError:  # E9
    return GraphError(500, "InternalServerError", "An internal server error has occurred")


def token_refused(text: str) -> GraphError:  # E10
    return GraphError(401, "InvalidAuthenticationToken", text, flat)


def tenant_unusable() -> GraphError:  # E11
    return GraphError(400, "BadRequest", "Request not applicable to target tenant.", flat)


def group_invalid(group_id: object) -> GraphError:  # E12
    return GraphError(400, "BadRequest", f"Invalid GroupId : {group_id} provided, a valid AADGroupId is expected.")


def approval_required() -> GraphError:  # E13
    return GraphError(400, "BadRequest", "Header 'x-msft-approval-justification' is required to request approval")


def segment_unknown(segment: str) -> GraphError:  # E14
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.", flat)


def no_reason() -> GraphError:  # E15
    return GraphError(400, "BadRequest", NO_REASON)


def bad_request(text: str) -> GraphError:
    return GraphError(400, "BadRequest", text)


class EntraError(Exception):
    """An error answer of the token endpoint or of discovery."""

    def __init__(self, status: int, error: str, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error, self.code, self.text = status, error, code, text

    def body(self) -> dict[str, Any]:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        text = f"AADSTS{self.code}: {self.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        return {
            "error": self.error,
            "error_description": text,
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }
