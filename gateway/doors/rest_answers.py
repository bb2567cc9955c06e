"""A response message or an error -> status, headers and Graph's JSON. Pure."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import UnknownAssignmentTarget
from compliance_gateway.v1.name_pb2 import ObjectName
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.call import AUDIENCE, EARLY, EXPIRED, Call, CallWarning, Record
from gateway.call import ETAG as ETAG_TRAILER
from gateway.doors.rest_requests import ANY, ELSEWHERE
from gateway.doors.rest_routes import POLICIES, Route
from gateway.errors import VALUE_BYTES, GatewayError, Reason, in_words
from gateway.odata import codec
from gateway.odata.codec import TYPE, is_subtype

CREATED = {"CreateComplianceAssignment"}
WARNING = "compliance-gateway-warning"
LISTED = ("assignments", "revisions")
ETAG = "ETag"
# RFC 6750 §3: no error for who sent no token. By what the error says of the token.
INVALID = 'Bearer error="invalid_token"'
CHALLENGES = {
    "": "Bearer",
    "invalid": INVALID,
    EXPIRED: f'{INVALID}, error_description="The token has expired."',
    EARLY: f'{INVALID}, error_description="The token is not valid yet."',
    AUDIENCE: f'{INVALID}, error_description="The token is for another audience."',
}
# What may be a field's name in the protos, and is no word of English.
FIELD = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")
IN_UNKNOWN = {"odata_type": TYPE, "json": ""}


@dataclass(frozen=True)
class RestAnswer:
    """status, headers, and the JSON body, None for an empty one. A body that is a number, as of a count, is plain text; one of
    bytes is XML."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


def answer_of(
    route: Route, message: Message, root: str, query: str, *, minimal: bool = False, known: Collection[str] = ()
) -> RestAnswer:
    """The answer to a successful operation. root: this gateway's root URL, such as https://gateway.example. minimal: whether
    the caller asked for no body (RFC 7240). known: the etags that the caller already has (RFC 9110, If-None-Match)."""
    version = f"{root}/{'beta' if route.beta else 'v1.0'}"
    policy = f"{POLICIES}('{route.policy}')/assignments"
    context = f"{version}/$metadata#{policy[1:]}"
    if not message.DESCRIPTOR.fields:
        return RestAnswer(204)
    _hide_filters(message, route.beta)
    status, headers = 200, {}
    row = getattr(message, "id", "")
    if route.operation.name in CREATED and row:  # what was only to be seen was not created
        status = 201
        if len(row) <= VALUE_BYTES:  # one that Graph made longer is in the body
            headers["Location"] = f"{version}{policy}('{row}')"
    if minimal and route.operation.writes:
        entity = {"OData-EntityId": headers["Location"]} if headers else {}
        return RestAnswer(204, {**headers, **entity, "Preference-Applied": "return=minimal"})
    headers |= {name: value for name, value in _in_headers(message) if value}
    if ETAG in headers and not {ANY, headers[ETAG]}.isdisjoint(known):
        return RestAnswer(304, headers)
    listed = next((name for name in LISTED if name in message.DESCRIPTOR.fields_by_name), "")
    graphs = message.DESCRIPTOR.GetOptions().Extensions[odata_pb2.odata_type] or listed == "assignments"
    body: dict[str, Any] = {"@odata.context": context + "/$entity" * (not listed)} if graphs else {}
    if not listed:
        return RestAnswer(status, headers, body | codec(message.DESCRIPTOR, beta=route.beta).to_json(message, answer=True))
    if token := getattr(message, "next_page_token", ""):
        kept = [f"{name}={quote(value)}&" for name, value in parse_qsl(query) if name in ("$top", "$filter", "view")]
        path = f"{version}{POLICIES}/{route.policy}/{listed}"
        body["@odata.nextLink"] = f"{path}?{''.join(kept)}$skiptoken={token}"
    return RestAnswer(status, headers, body | dict(_beside(message, listed, route.beta)))


def _hide_filters(message: Any, beta: bool) -> None:
    """v1.0 has none, and so no names of any."""
    if "names" in message.DESCRIPTOR.fields_by_name and not beta:
        left = [name for name in message.names if name.kind != ObjectName.KIND_FILTER]
        del message.names[:]
        message.names.extend(left)


def _beside(message: Message, listed: str, beta: bool) -> Iterator[tuple[str, list[Any]]]:
    """The rows of a list, and what stands beside them."""
    for one in message.DESCRIPTOR.fields:
        name = "value" if one.name == listed else one.GetOptions().Extensions[odata_pb2.odata_annotation]
        rows = getattr(message, one.name) if name else ()
        if rows or name == "value":
            yield name, [codec(row.DESCRIPTOR, beta=beta).to_json(row, answer=True) for row in rows]


def _in_headers(message: Message) -> Iterator[tuple[str, str]]:
    """What stands in a header, and not in the body."""
    for one in message.DESCRIPTOR.fields:
        if name := one.GetOptions().Extensions[odata_pb2.odata_header]:
            yield name, getattr(message, one.name)


def refusal_of(error: GatewayError, route: Route | None, request_id: str, correlation_id: str) -> RestAnswer:
    """Graph's error object, with the gateway's reason as its code, and places as in Graph's JSON."""
    if error.violations and route:
        places = tuple(replace(v, field=place_of(route, v.field), rule=_spelt(route, v.rule)) for v in error.violations)
        error = replace(error, violations=places, message=in_words(places, error.more))
    details = [{"code": (v.reason or error.reason).name, "message": v.rule, "target": v.field} for v in error.violations]
    inner = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": correlation_id or request_id,
        **{name: value for name, value in error.metadata.items() if name != "allow"},
    }
    body: dict[str, Any] = {"code": error.reason.name, "message": error.message}
    if error.resource:
        body["target"] = "/".join(error.resource)
    if details:
        body["details"] = details
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(math.ceil(error.retry_after), 1))
    if "allow" in error.metadata:
        headers["Allow"] = error.metadata["allow"]
    if error.reason is Reason.CALLER_UNAUTHENTICATED:
        headers["WWW-Authenticate"] = CHALLENGES[error.metadata.get("token", "")]
    return RestAnswer(error.reason.http, headers, {"error": {**body, "innerError": inner}})


def _spelt(route: Route, rule: str) -> str:
    """The rule with the fields that it names as REST spells them."""
    fields = route.operation.request.DESCRIPTOR.fields_by_name
    return FIELD.sub(lambda match: place_of(route, match[0]) if match[0] in fields else match[0], rule)


def place_of(route: Route, path: str) -> str:
    """The field of this path as a REST caller knows it. A path that is not in the request is left as it is."""
    descriptor: Any = route.operation.request.DESCRIPTOR
    places: list[str] = []
    for number, segment in enumerate(path.split(".")):
        name, bracket, index = segment.partition("[")
        found: FieldDescriptor | None = descriptor.fields_by_name.get(name) if descriptor else None
        if found is None:
            if not descriptor or name not in descriptor.oneofs_by_name:  # JSON has the choices themselves
                places.append(segment)
            continue
        if descriptor is UnknownAssignmentTarget.DESCRIPTOR:
            places.append(IN_UNKNOWN[name])
        elif number == 0 and name in ELSEWHERE:
            return ELSEWHERE[name]
        elif is_subtype(found):
            pass  # a subtype: its properties are the target's own
        elif not found.GetOptions().Extensions[odata_pb2.odata_other_properties] and name != route.body:
            places.append(found.json_name + bracket + index)
        descriptor = found.message_type
    return ".".join(filter(None, places)) or "body"


def with_record(answer: RestAnswer, call: Call) -> RestAnswer:
    """With what the call's record has for its caller."""
    return replace(answer, headers={**answer.headers, **told_of(call.record)})


def told_of(record: Record) -> dict[str, str]:
    """What a record has for the caller, as headers."""
    warnings = {WARNING: ", ".join(map(_warning, record.warnings))} if record.warnings else {}
    trailers = {ETAG if name == ETAG_TRAILER else name: value for name, value in record.trailers.items()}
    return {**trailers, **warnings}


def _warning(warning: CallWarning) -> str:
    """As a structured field (RFC 8941): a token with parameters."""
    return "; ".join([warning.reason, *(f'{name}="{_quoted(value)}"' for name, value in warning.metadata.items())])


def _quoted(value: str) -> str:
    """What a structured field's string can hold: printable ASCII, quotes and backslashes behind a backslash."""
    return re.sub(r'(["\\])', r"\\\1", re.sub(r"[^ -~]", "?", value))
