"""What the operations of the REST door answer, as OpenAPI has it: bodies, headers, and the refusals of the table of errors."""

from compliance_gateway.v1 import odata_pb2
from openapi_schemas import Json, property_of, reference

from gateway.doors.rest_answers import CREATED, ETAG, LISTED
from gateway.errors import Kind, Reason
from gateway.operations import Operation

JSON = "application/json"
# Reasons of the door itself, which no operation of a document's reader meets.
NOT_OF_OPERATIONS = {Reason.ROUTE_UNKNOWN, Reason.METHOD_NOT_ALLOWED, Reason.DEPENDENCY_FAILED, Reason.CALLER_GONE}
# Statuses of what reads a body, of what has a condition, and of what names a revision.
OF_BODIES, OF_CONDITIONS, OF_REVISIONS = (408, 413, 415), (412,), (410,)
TEXT: Json = {"schema": {"type": "string"}}
IDS: Json = {
    name: {"description": about, **TEXT}
    for name, about in (
        ("request-id", "The gateway's id of this answer; the ledger's entry has it."),
        ("client-request-id", "The caller's own, where it sent one."),
        ("ratelimit-policy", "The caller's own share of the tenant's quota (draft-ietf-httpapi-ratelimit-headers)."),
        ("ratelimit", "What is left of it."),
    )
}
OF_WRITES: Json = {
    name: {"description": about, **TEXT}
    for name, about in (
        ("compliance-gateway-request-id", "The request id that it was carried out under; none with `validateOnly`."),
        ("compliance-gateway-warning", "REPLAYED, or FOREIGN_CHANGE_UNDONE with the rows."),
    )
}
TAG: Json = {ETAG: {"description": "Of the policy's set, for callers that may read it; of a list, on its first page.", **TEXT}}
PLACE: Json = {"Location": {"description": "Of the new assignment.", **TEXT}}
APPLIED: Json = {"Preference-Applied": {"description": "`return=minimal`, where it was asked for.", **TEXT}}
ENTITY: Json = {"OData-EntityId": {"description": "Of the new assignment.", **TEXT}}


def answers(operation: Operation, beta: bool, comments: dict[str, str], schemas: Json) -> Json:
    """Where all goes well, by status."""
    response = operation.response.DESCRIPTOR
    tagged = TAG if operation.writes or "etag" in response.fields_by_name else {}
    headers = {**IDS, **tagged, **(OF_WRITES if operation.writes else {})}
    if not response.fields:
        return {"204": {"description": "Carried out; no body.", "headers": headers}}
    content = {JSON: {"schema": _body(operation, beta, comments, schemas)}}
    minimal = {"204": {"description": "Carried out; no body, with `return=minimal`.", "headers": {**headers, **APPLIED}}}
    if operation.name in CREATED:
        minimal["204"]["headers"] |= {**PLACE, **ENTITY}
        return {
            "200": {
                "description": "What would be created, with `validateOnly`.",
                "headers": {**IDS, **tagged},
                "content": content,
            },
            "201": {"description": "Created.", "headers": {**headers, **PLACE}, "content": content},
            **minimal,
        }
    done = {"200": {"description": "Carried out.", "headers": headers, "content": content}}
    if operation.writes:
        return {**done, **minimal}
    return {**done, "304": {"description": "The caller has it already.", "headers": headers}} if tagged else done


def _body(operation: Operation, beta: bool, comments: dict[str, str], schemas: Json) -> Json:
    response = operation.response.DESCRIPTOR
    listed = next((name for name in LISTED if name in response.fields_by_name), "")
    if not listed:
        return reference(response, beta, comments, schemas)
    row = reference(response.fields_by_name[listed].message_type, beta, comments, schemas)
    properties: Json = {"@odata.context": {"type": "string"}, "value": {"type": "array", "items": row}}
    if "next_page_token" in response.fields_by_name:
        properties["@odata.nextLink"] = {"type": "string", "description": "The next page; absent on the last."}
    for field in response.fields:
        if name := field.GetOptions().Extensions[odata_pb2.odata_annotation]:
            properties[name] = property_of(field, beta, comments, schemas)
    return {"type": "object", "required": ["value"], "properties": properties}


def error_schema() -> Json:
    text = {"type": "string"}
    detail = {"type": "object", "properties": {"code": text, "message": text, "target": text}}
    error = {
        "type": "object",
        "required": ["code", "message", "innerError"],
        "properties": {
            "code": {
                "type": "string",
                "description": "The reason: stable, made for programs.",
                "enum": [r.name for r in Reason],
            },
            "message": text,
            "target": {"type": "string", "description": "What was not found, or is there."},
            "details": {"type": "array", "description": "Each broken rule, and where.", "items": detail},
            "innerError": {
                "type": "object",
                "description": "request-id, client-request-id, date; Graph's ids, status and code where Graph answered.",
                "additionalProperties": text,
            },
        },
    }
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def refusals() -> Json:
    """All that there are, by status."""
    return {str(status): _refusal(reasons) for status, reasons in _reasons().items()}


def refused(operation: Operation | None, *, has_body: bool = True) -> Json:
    """Those that an operation may be answered with; None is a batch."""
    fields = operation.request.DESCRIPTOR.fields_by_name if operation else {}
    no = () if has_body else OF_BODIES
    no += () if "etag" in fields else OF_CONDITIONS
    no += () if "revision" in fields or "number" in fields else OF_REVISIONS
    return {str(status): {"$ref": f"#/components/responses/{status}"} for status in _reasons() if status not in no}


def _reasons() -> dict[int, list[Reason]]:
    found: dict[int, list[Reason]] = {}
    for reason in Reason:
        if reason not in NOT_OF_OPERATIONS:
            found.setdefault(reason.http, []).append(reason)
    return dict(sorted(found.items()))


def _refusal(reasons: list[Reason]) -> Json:
    headers: Json = {"request-id": TEXT}
    if any(reason.kind in (Kind.RESOURCE_EXHAUSTED, Kind.UNAVAILABLE, Kind.ABORTED) for reason in reasons):
        headers["Retry-After"] = {"description": "Seconds, where a retry makes sense.", "schema": {"type": "integer"}}
    words = "\n".join(f"* `{reason.name}`: {reason.meaning}" for reason in reasons)
    content = {JSON: {"schema": {"$ref": "#/components/schemas/error"}}}
    return {"description": words, "headers": headers, "content": content}
