"""A REST request -> the operation's message: from path, query, headers and Graph's JSON. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget
from compliance_gateway.vendored.buf.validate import validate_pb2
from google.protobuf.message import Message

from gateway.doors.rest_routes import WHOLE, Route
from gateway.errors import Reason, invalid
from gateway.odata import ODataError, codec

# Headers that are searched before anybody knows who sends them; each may have so many characters.
SEARCHED = ("Prefer", "Content-Encoding", "If-Match", "If-None-Match")
LONGEST_HEADER = 256
# RFC 9110 §8.8.3: an etag, weak or not; a list of them may have empty elements.
ETAG = r'(?:W/)?("[!#-~\x80-\U0010ffff]*")'
ETAGS = re.compile(rf"[ \t,]*{ETAG}(?:[ \t]*,[ \t,]*{ETAG})*[ \t,]*")
ANY = "*"

Headers = Mapping[str, tuple[str, ...]]

# Fields of requests that stand neither in the path nor in the body, and where they stand.
ELSEWHERE = {
    "page_size": "$top",
    "page_token": "$skiptoken",
    "if_exists": "ifExists",
    "update_mask": "updateMask",
    "keep_filter": "keepFilter",
    "request_id": "Idempotency-Key",
    "validate_only": "validateOnly",
    "etag": "If-Match",
    "filter": "$filter",
    "view": "view",
}
REQUIRED = {"assignments": "is required: the whole new set"}
KEEPS_FILTERS = ("keep_filter", "keep_filters")
IF_EXISTS = {"fail": pb.IF_EXISTS_UNSPECIFIED, "keep": pb.IF_EXISTS_KEEP, "replace": pb.IF_EXISTS_REPLACE}
V1_REPLACES = "replace would change filters, which v1.0 does not have: use beta"
FILTER_PROPERTIES = {
    f.json_name
    for f in DeviceAndAppManagementAssignmentTarget.DESCRIPTOR.fields
    if f.GetOptions().Extensions[odata_pb2.odata_beta]
}


def message_of(route: Route, query: str, headers: Headers, json: Any) -> Message:
    """The request message. json: of the body, where the route has one. Raises GatewayError."""
    try:
        message = route.operation.request()
        if route.body == WHOLE:
            message = _whole(route, json)
        elif route.body:
            _read_body(message, route, json)
        for name, value in route.values.items():
            _read_value(message, name, value)
        _read_query(message, route, query)
        _read_headers(message, headers)
    except ODataError as exc:
        raise invalid(exc.at or "body", exc.rule) from exc
    except UnicodeEncodeError:
        raise invalid("request", "has an unpaired surrogate, which is not a character", Reason.MESSAGE_MALFORMED) from None
    if not route.beta:
        _keep_filters(message)
    return message


def _keep_filters(message: Message) -> None:
    """v1.0 hides filters, so its edits leave filters as they are."""
    for name in KEEPS_FILTERS:
        if name in message.DESCRIPTOR.fields_by_name:
            setattr(message, name, True)
    for edit in getattr(message, "edits", ()):
        if edit.WhichOneof("edit") == "update":
            edit.update.keep_filter = True


def _read_value(message: Message, name: str, value: str) -> None:
    """Of the path."""
    if isinstance(getattr(message, name), str):
        setattr(message, name, value)
    else:
        _read_number(message, name, name, value)


def _whole(route: Route, json: Any) -> Message:
    fields = route.operation.request.DESCRIPTOR.fields
    own = [f.json_name for f in fields if f.name not in route.values and f.name not in ELSEWHERE and _is_offered(f.name, route)]
    if not isinstance(json, dict):
        raise ODataError("", "has to be a JSON object")
    for name in json:
        if name not in own and "@" not in name:
            raise ODataError(name[:64], f"is not a property of this request; its properties are {', '.join(own)}")
    for name in own:
        if name in REQUIRED and json.get(name) is None:
            raise ODataError(name, REQUIRED[name])
    message = codec(route.operation.request.DESCRIPTOR, beta=route.beta).from_json(json, strict=True)
    for at, edit in enumerate(getattr(message, "edits", ()) if not route.beta else ()):
        if edit.create.if_exists == pb.IF_EXISTS_REPLACE:
            raise ODataError(f"edits[{at}].create.ifExists", V1_REPLACES)
    return message


def _is_offered(field: str, route: Route) -> bool:
    """v1.0 always keeps filters: it does not ask."""
    return route.beta or field not in KEEPS_FILTERS


def _read_body(message: Message, route: Route, json: Any) -> None:
    part = getattr(message, route.body)
    part.MergeFrom(codec(part.DESCRIPTOR, beta=route.beta).from_json(json, strict=True))
    part.SetInParent()
    if isinstance(message, pb.UpdateComplianceAssignmentRequest) and _is_filter_alone(json.get("target")):
        message.update_mask.FromJsonString(f"target.{min(FILTER_PROPERTIES)}")


def _is_filter_alone(target: Any) -> bool:
    """Whether a PATCH names only the filter; then it leaves the rest as it is."""
    return isinstance(target, dict) and bool(target) and target.keys() <= FILTER_PROPERTIES


def _read_query(message: Message, route: Route, query: str) -> None:
    own = [name for name in READERS if name in message.DESCRIPTOR.fields_by_name and _is_offered(name, route)]
    readers = {ELSEWHERE[name]: (name, READERS[name]) for name in own}
    seen = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in readers:
            known = f"; its options are {', '.join(sorted(readers))}" if readers else ""
            raise ODataError(name[:64], f"is not a query option of this operation{known}")
        if name in seen:
            raise ODataError(name, "may be given only once")
        seen.add(name)
        field_name, read = readers[name]
        read(message, field_name, name, value)
    if not route.beta and getattr(message, "if_exists", None) == pb.IF_EXISTS_REPLACE:
        raise ODataError("ifExists", V1_REPLACES)


def _read_number(message: Message, name: str, at: str, value: str) -> None:
    rules = message.DESCRIPTOR.fields_by_name[name].GetOptions().Extensions[validate_pb2.field]
    most = rules.int32.lte or rules.int64.lte
    if not re.fullmatch(r"[1-9]\d{0,9}", value, re.ASCII) or int(value) > most:
        raise ODataError(at, f"has to be a whole number from 1 to {most:,}")
    setattr(message, name, int(value))


def _read_text(message: Message, name: str, _at: str, value: str) -> None:
    setattr(message, name, value)


def _read_flag(message: Message, name: str, at: str, value: str) -> None:
    if value not in ("true", "false"):
        raise ODataError(at, "has to be true or false")
    setattr(message, name, value == "true")


def _read_if_exists(message: Message, name: str, at: str, value: str) -> None:
    if value not in IF_EXISTS:
        raise ODataError(at, f"has to be one of {', '.join(IF_EXISTS)}")
    setattr(message, name, IF_EXISTS[value])


def _read_view(message: Message, name: str, at: str, value: str) -> None:
    views = views_of(message.DESCRIPTOR.fields_by_name[name])
    if value not in views:
        raise ODataError(at, f"has to be one of {', '.join(views)}")
    setattr(message, name, views[value])


def views_of(field: Any) -> dict[str, int]:
    """What the field of an enum (its descriptor) may be, by how Graph spells it."""
    some = field.GetOptions().Extensions[validate_pb2.field].enum
    values = [value for value in field.enum_type.values if value.number in (getattr(some, "in") or (value.number,))]
    return {value.GetOptions().Extensions[odata_pb2.odata_name]: value.number for value in values}


def _read_mask(message: Message, name: str, at: str, value: str) -> None:
    try:
        getattr(message, name).FromJsonString(value)
    except ValueError:
        raise ODataError(at, "has to be property paths such as target, separated by commas") from None


READERS: Mapping[str, Callable[[Message, str, str, str], None]] = {
    "page_size": _read_number,
    "page_token": _read_text,
    "if_exists": _read_if_exists,
    "update_mask": _read_mask,
    "keep_filter": _read_flag,
    "validate_only": _read_flag,
    "filter": _read_text,
    "view": _read_view,
}


def known_etags(headers: Headers) -> list[str]:
    """The etags that a reader already has (If-None-Match), weak or not; `*` matches any. Raises ODataError."""
    given = headers.get("if-none-match")
    if given is None:
        return []
    text = ", ".join(given)
    if text.strip() == ANY:
        return [ANY]
    if not ETAGS.fullmatch(text):
        raise ODataError("If-None-Match", 'has to be *, or etags in quotes, separated by commas, such as "1", W/"2"')
    return re.findall(ETAG, text)


def _read_headers(message: Any, headers: Headers) -> None:
    """Idempotency-Key, and conditions on a write; those of a read are the answer's (see rest_answers)."""
    request_id = _one(headers, "Idempotency-Key")
    if request_id is not None and hasattr(message, "request_id"):
        if not request_id:
            raise ODataError("Idempotency-Key", "may not be empty")
        message.request_id = request_id
    if not hasattr(message, "request_id"):
        known_etags(headers)  # whether they can be read
        return
    if_match, if_none_match = _one(headers, "If-Match"), _one(headers, "If-None-Match")
    if if_match not in (None, ANY):
        message.etag = if_match or '""'  # an empty value is not an etag, and has to be refused
    creates = isinstance(message, pb.CreateComplianceAssignmentRequest)
    if if_none_match is not None and not (creates and if_none_match == ANY):
        raise ODataError("If-None-Match", "is allowed on a create, as *, and on reads, but on no other write")
    if if_none_match is not None and getattr(message, "if_exists", None):
        raise ODataError("If-None-Match", "cannot be combined with ifExists")


def check_lengths(headers: Headers) -> None:
    """Raises INVALID_FIELD for a header that is too long to be searched."""
    for name in SEARCHED:
        if sum(map(len, headers.get(name.lower(), ()))) > LONGEST_HEADER:
            raise invalid(name, f"may have at most {LONGEST_HEADER} characters")


def _one(headers: Headers, name: str) -> str | None:
    values = headers.get(name.lower(), ())
    if len(values) > 1:
        raise ODataError(name, "may be given only once")
    return values[0] if values else None
