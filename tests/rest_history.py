"""What the gateway has beside Graph's own resource, over REST: several edits, revisions, restorations."""

from typing import Any
from urllib.parse import quote

from compliance_gateway.v1 import change_pb2 as change_pb
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from compliance_gateway.v1 import quota_pb2 as quota_pb
from compliance_gateway.v1 import revision_pb2 as revision_pb
from google.protobuf import json_format
from rest_json import BESIDE, IF_EXISTS, assignment_json, assignment_of, names_of, target_json
from yarl import URL

VIEWS = ("basic", "basic", "full", "withNames", "fullWithNames")
SCOPES = {1: "touched", 2: "wholeSet"}
ON_CONFLICT = {1: "keepCurrent", 2: "force"}
OUTCOMES = ("", "created", "updated", "removed", "unchanged")
REVISION_KINDS = ("", "write", "restore", "repair", "foreign")


def edit_json(edit: Any) -> dict:
    kind = edit.WhichOneof("edit")
    one, out = getattr(edit, kind or "create"), {}
    if not kind:
        return {}
    if kind != "delete" and one.HasField("assignment"):
        out["assignment"] = assignment_json(one.assignment)
    if getattr(one, "if_exists", 0):
        out["ifExists"] = IF_EXISTS.get(one.if_exists, str(one.if_exists))
    if getattr(one, "id", ""):
        out["id"] = one.id
    if kind == "update" and one.update_mask.paths:
        out["updateMask"] = one.update_mask.ToJsonString()
    if kind == "delete" and one.HasField("target"):
        out["target"] = target_json(one.target)
    out |= {
        name: True for name, on in (("keepFilter", "keep_filter"), ("allowMissing", "allow_missing")) if getattr(one, on, 0)
    }
    return {kind: out}


def edit(message: Any, path: str) -> tuple[str, str, Any]:
    return "POST", f"{path}/edit", {"edits": [edit_json(edit) for edit in message.edits]}


def restore(message: Any, path: str) -> tuple[str, str, Any]:
    source = message.WhichOneof("source")
    body = {source: message.time.ToJsonString() if source == "time" else getattr(message, source)} if source else {}
    body |= {"scope": SCOPES[message.scope]} if message.scope else {}
    body |= {"onConflict": ON_CONFLICT[message.on_conflict]} if message.on_conflict else {}
    return "POST", f"{path}/restore", body | ({"allowEmpty": True} if message.allow_empty else {})


def get_revision(message: Any, path: str) -> tuple[str, str, Any]:
    return "GET", f"{path}/revisions/{message.number}" + f"?view={VIEWS[message.view]}" * bool(message.view), ...


def list_revisions(message: Any, path: str) -> tuple[str, str, Any]:
    pairs = [("$top", message.page_size), ("$skiptoken", message.page_token), ("$filter", message.filter)]
    pairs += [("view", VIEWS[message.view])] if message.view else []
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in pairs if value)
    return "GET", f"{path}/revisions?{query}", ...


def change_of(reply: Any) -> change_pb.ComplianceAssignmentsChange:
    json = reply.json
    found = change_pb.ComplianceAssignmentsChange(
        assignments_before=map(assignment_of, json.get("assignmentsBefore", ())),
        assignments_after=map(assignment_of, json.get("assignmentsAfter", ())),
        etag=reply.headers.get("etag", ""),
        revision=json.get("revision", 0),
    )
    for one in json.get("outcomes", ()):
        rows = {name: assignment_of(one[name]) for name in ("before", "after") if name in one}
        found.outcomes.add(outcome=OUTCOMES.index(one["outcome"]), **rows)
    if "cost" in json:
        found.cost.writes = json["cost"].get("writes", 0)
        found.cost.wait.FromJsonString(json["cost"]["wait"])
    return found


def revision_of(json: dict) -> revision_pb.ComplianceAssignmentRevision:
    found = revision_pb.ComplianceAssignmentRevision(
        number=json["number"],
        kind=REVISION_KINDS.index(json["kind"]),
        etag_before=json.get("etagBefore", ""),
        etag_after=json.get("etagAfter", ""),
        route=json.get("route", ""),
        client_request_id=json.get("clientRequestId", ""),
        graph_request_id=json.get("graphRequestId", ""),
        foreign_changes=json.get("foreignChanges", 0),
        assignments_before=map(assignment_of, json.get("assignmentsBefore", ())),
        assignments_after=map(assignment_of, json.get("assignmentsAfter", ())),
        names=names_of(json.get("names", ())),
    )
    found.write_time.FromJsonString(json["writeTime"])
    if "repairTime" in json:
        found.repair_time.FromJsonString(json["repairTime"])
    for one in json.get("changes", ()):
        found.changes.add(**{name: assignment_of(row) for name, row in one.items()})
    for one in json.get("entries", ()):
        names = ("id", "caller", "operation")
        entry = found.entries.add(**{name: one[name] for name in names}, request_id=one["requestId"])
        entry.call_time.FromJsonString(one["callTime"])
        for change in one.get("changes", ()):
            entry.changes.add(**{name: assignment_of(row) for name, row in change.items()})
    return found


def revisions_of(reply: Any) -> service_pb.ListComplianceAssignmentRevisionsResponse:
    token = URL(reply.json.get("@odata.nextLink", "")).query.get("$skiptoken", "")
    revisions = map(revision_of, reply.json["value"])
    names = names_of(reply.json.get(BESIDE, ()))
    return service_pb.ListComplianceAssignmentRevisionsResponse(revisions=revisions, next_page_token=token, names=names)


REQUESTS = {
    "EditComplianceAssignments": edit,
    "RestoreComplianceAssignments": restore,
    "GetComplianceAssignmentRevision": get_revision,
    "ListComplianceAssignmentRevisions": list_revisions,
}
ANSWERS = {
    "EditComplianceAssignments": change_of,
    "RestoreComplianceAssignments": change_of,
    "GetComplianceAssignmentRevision": lambda reply: revision_of(reply.json),
    "ListComplianceAssignmentRevisions": revisions_of,
    "GetQuota": lambda reply: json_format.ParseDict(reply.json, quota_pb.Quota()),
}
