"""The errors of Graph and Intune, in their own odd shapes (facts §5)."""

import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

READ_ROLE = "DeviceManagementConfiguration.Read.All"
WRITE_ROLE = "DeviceManagementConfiguration.ReadWrite.All"
HTTP_FORBIDDEN, HTTP_THROTTLED = 403, 429


class GraphError(Exception):
    """An error answer: status, code, message and headers."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self, request_id: str, client_request_id: str) -> dict[str, Any]:
        inner = {
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "request-id": request_id,
            "client-request-id": client_request_id,
        }
        if self.code == "ModelValidationFailure":  # flat, and said twice (facts §5)
            inner = {"message": self.message, **inner}
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}


def intune(message: str, **more: Any) -> str:
    """Intune's own JSON, as it stands in Graph's `message`."""
    operation = uuid.uuid4()
    text = f"{message} - Operation ID (for customer support): {operation} - Activity ID: {uuid.uuid4()} - Url: https://fef.msub01.manage.microsoft.com/"
    known = {
        "_version": 3,
        "Message": text,
        "CustomApiErrorPhrase": "",
        "RetryAfter": None,
        "ErrorSourceService": "",
        "HttpHeaders": "{}",
    }
    return json.dumps({**known, **more}, indent=2)


def route_missing(template: str, verb: str, path: str) -> GraphError:  # E1 E2
    message = f"No OData route exists that match template {template} with http verb {verb} for request {path}."
    return GraphError(400, "No method match route template", message)


def permission_missing(role: str, as_401: bool) -> GraphError:  # E3 E4
    text = f"Application is not authorized to perform this operation. Application must have one of the following scopes: {role}"
    if not as_401:
        return GraphError(HTTP_FORBIDDEN, "Forbidden", intune(text))
    return GraphError(401, "UnknownError", json.dumps({"ErrorCode": "Forbidden", "Message": intune(text)}))


def abstract_class() -> GraphError:  # E5
    return GraphError(400, "ModelValidationFailure", "Cannot create an abstract class.")


def unknown_type(name: str) -> GraphError:  # E6
    text = f"A type named '{name}' could not be resolved by the model. "
    text += "When a model is available, each type name must resolve to a valid type."
    return GraphError(400, "ModelValidationFailure", text)


def undeclared(name: str, type_name: str) -> GraphError:  # facts §2
    text = f"The property '{name}' does not exist on type 'microsoft.management.services.api.{type_name}'. "
    text += "Make sure to only use property names that are defined by the type."
    return GraphError(400, "ModelValidationFailure", text)


def not_found() -> GraphError:  # E7
    return GraphError(404, "ResourceNotFound", intune("An error has occurred"))


def throttled(retry_after: str | None, flat: bool) -> GraphError:  # E8
    text = "Too many requests"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return GraphError(HTTP_THROTTLED, "TooManyRequests", text if flat else intune(text), headers)


def token_refused(text: str) -> GraphError:  # E10
    return GraphError(401, "InvalidAuthenticationToken", text)


def group_invalid(group_id: object) -> GraphError:  # E12
    return GraphError(400, "BadRequest", intune(f"Invalid GroupId : {group_id} provided, a valid AADGroupId is expected."))


def segment_unknown(segment: str) -> GraphError:  # E14
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")


def no_reason() -> GraphError:  # E15
    return GraphError(400, "BadRequest", intune("An error has occurred"))


def bad_request(text: str) -> GraphError:
    return GraphError(400, "BadRequest", intune(text))


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
