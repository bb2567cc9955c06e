"""The OpenAPI document of the REST door, from the operations and the table of errors."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import odata_pb2
from google.protobuf.descriptor import FieldDescriptor
from openapi_answers import JSON, answers, error_schema, refusals, refused
from openapi_reads import READS, blank, parameters, reads, responses
from openapi_schemas import TYPE, Json, choices, is_required, property_of, reference, rules_of

from gateway.doors.rest_answers import CREATED
from gateway.doors.rest_batch import MOST
from gateway.doors.rest_requests import ELSEWHERE, IF_EXISTS, KEEPS_FILTERS, REQUIRED, views_of
from gateway.doors.rest_routes import WHOLE
from gateway.operations import OPERATIONS, HttpRule, Operation

POLICY, GROUP = "7f8cf4c6-46aa-4e8a-8b7a-5c6e2c7f8a32", "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
EXAMPLE_IDS = {
    "device_compliance_policy_id": POLICY,
    "device_compliance_policy_assignment_id": f"{POLICY}_{GROUP}",
    "number": 7,
}
ASSIGNMENT_TYPE = pb.DeviceCompliancePolicyAssignment.DESCRIPTOR.GetOptions().Extensions[odata_pb2.odata_type]
EXAMPLES = {
    "group": ("A group", {TYPE: "#microsoft.graph.groupAssignmentTarget", "groupId": GROUP}),
    "documented": (
        "The example of Microsoft's page: the abstract type, which the live service refuses",
        {TYPE: "microsoft.graph.deviceAndAppManagementAssignmentTarget"},
    ),
}
OWN_EXAMPLES = {
    "EditComplianceAssignments": {
        "several": {
            "summary": "One more group, and one less",
            "value": {
                "edits": [
                    {"create": {"assignment": {"target": EXAMPLES["group"][1]}, "ifExists": "keep"}},
                    {"delete": {"id": f"{POLICY}_{GROUP}", "allowMissing": True}},
                ]
            },
        }
    },
    "RestoreComplianceAssignments": {
        "revision": {"summary": "Undoes a revision", "value": {"revision": 7}},
        "time": {"summary": "The set as it was", "value": {"time": "2026-01-31T12:00:00Z", "scope": "wholeSet"}},
    },
}
IN_HEADERS = ("request_id", "etag")
HEADERS: dict[str, Json] = {
    "x-graph-tenant": {
        "description": "The configured tenant; may be left out where the caller may use exactly one.",
        "schema": {"type": "string"},
    },
    "client-request-id": {
        "description": "The caller's own id; kept in the ledger and echoed.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    },
    "Prefer": {
        "description": "`return=minimal`: writes answer 204. `wait=10`: seconds until the deadline.",
        "schema": {"type": "string"},
    },
}
OF_ALL = ("x-graph-tenant", "client-request-id")


def document(comments: dict[str, str]) -> Json:
    """comments: what the protos say of each full name; see openapi_schemas.comments_of."""
    schemas: Json = {"error": error_schema()}
    paths: Json = {}
    for operation in OPERATIONS.values():
        for rule in operation.http:
            item = paths.setdefault(re.sub(r"{(\w+)}", lambda m: "{" + _camel(m[1]) + "}", rule.path), {})
            item[rule.verb.lower()] = _operation(operation, rule, comments, schemas)
    for name in ("v1.0", "beta"):
        paths[f"/{name}/$batch"] = {"post": _batch(name)}
    paths |= dict(reads({blank(path) for path in paths}))
    for path, (about, kind) in PAGES.items():
        paths[path] = {"get": _page(path, about, kind, {200, 503} if path == "/readyz" else {200})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "compliance-gateway",
            "version": version("compliance-gateway"),
            "description": "Assignments of Intune device compliance policies, in Microsoft Graph's own wire format. Keys may be"
            " spelled `/{id}` or `('{id}')`. v1.0 hides filters and source, and its edits leave filters as they are.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items()],
        "security": [{"bearer": []}, {"certificate": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "parameters": parameters() | {name: {"name": name, "in": "header", **HEADERS[name]} for name in OF_ALL},
            "responses": refusals() | responses(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A token that this gateway knows."},
                "certificate": {"type": "mutualTLS", "description": "A client certificate, where the gateway takes them."},
            },
        },
    }


TAGS = {
    "v1.0": "As in Graph's v1.0: without filters and sources.",
    "beta": "As in Graph's beta: with filters and sources.",
    READS: "What is passed on to Graph: it is read, and never written.",
    "health": "The gateway itself.",
}
PAGES = {
    "/healthz": ("Whether the process serves.", JSON),
    "/readyz": ("Whether calls are taken, and how the ledger is.", JSON),
    "/openapi.json": ("This document.", JSON),
}


def _operation(operation: Operation, rule: HttpRule, comments: dict[str, str], schemas: Json) -> Json:
    beta = rule.path.startswith("/beta/")
    name = "beta" if beta else "v1.0"
    in_path = re.findall(r"{(\w+)}", rule.path)
    fields = operation.request.DESCRIPTOR.fields
    parameters = [_parameter(f, comments, "path") for f in fields if f.name in in_path]
    hidden = () if beta else KEEPS_FILTERS
    parameters += [
        _parameter(f, comments, "header" if f.name in IN_HEADERS else "query")
        for f in fields
        if f.name in ELSEWHERE and f.name not in hidden
    ]
    parameters += [{"name": name, "in": "header", **header} for name, header in HEADERS.items()]
    if operation.name in CREATED:
        about = "`*`: create only what is not there, which is the rule without `ifExists` as well."
        parameters.append({"name": "If-None-Match", "in": "header", "description": about, "schema": {"enum": ["*"]}})
    elif "etag" in operation.response.DESCRIPTOR.fields_by_name and not operation.writes:
        about = "Etags that the caller has, or `*`: where one of them is the set's, 304 and no body."
        parameters.append({"name": "If-None-Match", "in": "header", "description": about, "schema": {"type": "string"}})
    summary, _, rest = comments[f"{operation.service}.{operation.name}"].partition(". ")
    out: Json = {
        "operationId": f"{operation.name}.{name}",
        "tags": [name],
        "summary": summary.rstrip("."),
        **({"description": rest} if rest else {}),
        "parameters": parameters,
    }
    if rule.body:
        out["requestBody"] = _request_body(operation, rule, in_path, beta, comments, schemas)
    out["responses"] = {**answers(operation, beta, comments, schemas), **refused(operation, has_body=bool(rule.body))}
    return out


def _request_body(operation: Operation, rule: HttpRule, in_path: list[str], beta: bool, comments: Any, schemas: Json) -> Json:
    descriptor = operation.request.DESCRIPTOR
    if rule.body == WHOLE:
        hidden = () if beta else KEEPS_FILTERS
        own = [f for f in descriptor.fields if f.name not in (*in_path, *ELSEWHERE, *hidden)]
        required = [f.json_name for f in own if is_required(f) or f.name in REQUIRED]
        schema = {
            "type": "object",
            **({"required": required} if required else {}),
            "properties": {f.json_name: property_of(f, beta, comments, schemas) for f in own},
            **choices(descriptor),
        }
        examples = OWN_EXAMPLES.get(operation.name) or {
            name: {"summary": s, "value": {"assignments": [{"target": t}]}} for name, (s, t) in EXAMPLES.items()
        }
    else:
        schema = reference(descriptor.fields_by_name[rule.body].message_type, beta, comments, schemas)
        examples = {name: {"summary": s, "value": {TYPE: ASSIGNMENT_TYPE, "target": t}} for name, (s, t) in EXAMPLES.items()}
    return {"required": True, "content": {JSON: {"schema": schema, "examples": examples}}}


def _parameter(field: FieldDescriptor, comments: dict[str, str], place: str) -> Json:
    name = field.json_name if place == "path" else ELSEWHERE[field.name]
    schema = rules_of(field, "path" if place == "path" else name)
    if field.name == "if_exists":
        schema = {"type": "string", "enum": list(IF_EXISTS)}
    elif field.name == "view":
        schema = {"type": "string", "enum": list(views_of(field))}
    elif field.name == "update_mask":
        schema = {"type": "string"}
    elif field.name == "etag":
        schema = {**schema, "pattern": f"^([*]|{schema['pattern'].strip('^$')})$"}
    out = {"name": name, "in": place, "description": comments.get(field.full_name, ""), "schema": schema}
    if place == "path":
        return {**out, "required": True, "example": EXAMPLE_IDS[field.name]}
    return out


def _batch(name: str) -> Json:
    item = {
        "type": "object",
        "required": ["id", "method", "url"],
        "properties": {
            "id": {"type": ["string", "integer"], "minLength": 1},
            "method": {"type": "string", "minLength": 1},
            "url": {"type": "string", "description": "Relative to the version.", "minLength": 1, "not": {"pattern": "://"}},
            "headers": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
            "body": {},
            "dependsOn": {"type": ["array", "null"], "items": {"type": ["string", "integer"]}},
        },
    }
    get = {"id": "1", "method": "GET", "url": f"/deviceManagement/deviceCompliancePolicies/{POLICY}/assignments"}
    requests = {"type": "array", "minItems": 1, "maxItems": MOST, "items": item}
    body = {"type": "object", "required": ["requests"], "properties": {"requests": requests}}
    answered = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {"id": {"type": "string"}, "status": {"type": "integer"}, "headers": {"type": "object"}, "body": {}},
    }
    all_answers = {"type": "array", "items": answered}
    answer = {"type": "object", "required": ["responses"], "properties": {"responses": all_answers}}
    return {
        "operationId": f"batch.{name}",
        "tags": [name],
        "summary": f"Up to {MOST} requests at once",
        "description": "Each is answered for itself. Edits of one policy that come together share a write.",
        "parameters": [{"name": header, "in": "header", **HEADERS[header]} for header in OF_ALL],
        "requestBody": {"required": True, "content": {JSON: {"schema": body, "example": {"requests": [get]}}}},
        "responses": {"200": {"description": "All answers.", "content": {JSON: {"schema": answer}}}, **refused(None)},
    }


def _page(path: str, about: str, kind: str, statuses: Iterable[int]) -> Json:
    answer = {"description": about, "content": {kind: {"schema": {"type": "object"}}}}
    return {
        "operationId": path.strip("/"),
        "tags": ["health"],
        "summary": about.rstrip("."),
        "security": [],
        "responses": {str(status): answer for status in statuses},
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)
