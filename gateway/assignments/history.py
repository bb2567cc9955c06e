"""The history of a policy's rows, from the ledger: as answers, and as edits that undo it."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.message import Message

from gateway.assignments.answers import revision_of
from gateway.assignments.display_names import DisplayNames
from gateway.assignments.edits import OnConflict, Restore
from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.past_writes import decoded_rows, decoded_touches
from gateway.assignments.rows import Row, RowSet, Touch, key_of
from gateway.call import Call
from gateway.changes import NOTHING, decoded
from gateway.entry import OK, Entry
from gateway.errors import GatewayError, Reason, invalid
from gateway.ledger.ledger import History
from gateway.odata.targets import Key
from gateway.revision import Kept, PolicyName, RevisionKind
from gateway.sets import SETS

DEFAULT_PAGE_SIZE = 20
# Rows of changes that a page may have, whatever its size: one revision more may go beyond it.
ROWS_OF_A_PAGE = 500
AHEAD_S = 5.0  # how far a clock may be ahead of ours
ON_CONFLICT: Mapping[int, OnConflict] = {
    pb.ON_CONFLICT_UNSPECIFIED: "fail",
    pb.ON_CONFLICT_KEEP_CURRENT: "keep_current",
    pb.ON_CONFLICT_FORCE: "force",
}
WITH_NAMES = (pb.REVISION_VIEW_WITH_NAMES, pb.REVISION_VIEW_FULL_WITH_NAMES)
COMPARISON = re.compile(r"""\s*(kind|write_time)\s*(=|>=|<)\s*(?:"([^"]*)"|([\w:.+-]+))\s*""")
KINDS: Mapping[str, RevisionKind] = {"WRITE": "write", "RESTORE": "restore", "REPAIR": "repair", "FOREIGN": "foreign"}
FILTER_RULE = 'may have only kind = FOREIGN, write_time >= "2026-01-31T00:00:00Z" and write_time < "…", joined by AND'


class Wanted(NamedTuple):
    """Which revisions. since, until: seconds since 1970."""

    kinds: tuple[RevisionKind, ...] = ()
    since: float | None = None
    until: float | None = None

    def of_kind(self, kind: RevisionKind) -> "Wanted":
        """And of this kind; no revision is of two."""
        return self._replace(kinds=(kind,)) if self.kinds in ((), (kind,)) else self.before(float("-inf"))

    def after(self, moment: float) -> "Wanted":
        """And not before this."""
        return self._replace(since=moment if self.since is None else max(moment, self.since))

    def before(self, moment: float) -> "Wanted":
        """And before this."""
        return self._replace(until=moment if self.until is None else min(moment, self.until))


class PastOfPolicies:
    """Reads it."""

    def __init__(self, ledger: History, page_tokens: PageTokens, names: DisplayNames) -> None:
        self._ledger, self._page_tokens, self._names = ledger, page_tokens, names

    async def list(self, call: Call) -> Message:
        """Raises INVALID_FIELD."""
        request, policy = cast(pb.ListComplianceAssignmentRevisionsRequest, call.message), policy_of(call)
        place = (f"{policy.set}/revisions/{request.filter}", policy.tenant, policy.policy)
        below = self._page_tokens.offset(request.page_token, *place) if request.page_token else None
        most = request.page_size or DEFAULT_PAGE_SIZE
        found = await self._ledger.page(policy, below, most + 1, *wanted_of(request.filter))
        told, touches, seen = [], list[Touch](), 0
        while seen < min(most, len(found)) and len(touches) <= ROWS_OF_A_PAGE:
            kept, seen = found[seen], seen + 1
            if touched := _touched(kept):  # what was only found to be there changed nothing
                told.append(revision_of(kept, touched.values()))
                touches += touched.values()
        token = self._page_tokens.token(*place, found[seen - 1].number) if len(found) > seen else ""
        names = await self._names.told(call, policy.policy, _rows_of(touches)) if request.view in WITH_NAMES else ()
        return pb.ListComplianceAssignmentRevisionsResponse(revisions=told, next_page_token=token, names=names)

    async def get(self, call: Call) -> Message:
        """Raises NOT_FOUND, REVISION_EXPIRED, REVISION_INCOMPLETE."""
        request, policy = cast(pb.GetComplianceAssignmentRevisionRequest, call.message), policy_of(call)
        whole = request.view in (pb.REVISION_VIEW_FULL, pb.REVISION_VIEW_FULL_WITH_NAMES)
        kept = await self._kept(policy, request.number, whole=whole)
        touched = _touched(kept)
        base = _base(policy, kept) if whole else None
        then = base and base.changed_by(touched)
        told = revision_of(kept, touched.values(), base, then)
        if request.view in WITH_NAMES:
            rows = (*_rows_of(touched.values()), *(base.rows if base else ()), *(then.rows if then else ()))
            told.names.extend(await self._names.told(call, policy.policy, rows))
        return told

    async def restoration(self, call: Call) -> Restore:
        """The edit that undoes what the request names. Raises as `get` does, and INVALID_FIELD."""
        request, policy = cast(pb.RestoreComplianceAssignmentsRequest, call.message), policy_of(call)
        facts: dict[str, Any] = {"allow_empty": request.allow_empty, "judge": call.judge, "etag": request.etag}
        if request.scope != pb.RESTORE_SCOPE_WHOLE_SET:
            touched = await self._touched_by(policy, request)
            wanted, left = ({key: touch[at] for key, touch in touched.items()} for at in (0, 1))
            return Restore(wanted, left, ON_CONFLICT[request.on_conflict], **facts)
        if request.on_conflict:
            raise invalid("on_conflict", "is not allowed with the scope of a whole set, which replaces all direct assignments")
        kept = await self._kept(policy, await self._number(policy, request), whole=True)
        return Restore(_base(policy, kept).changed_by(_touched(kept)).direct, **facts)

    async def _touched_by(self, policy: PolicyName, request: pb.RestoreComplianceAssignmentsRequest) -> dict[Key, Touch]:
        match request.WhichOneof("source"):
            case "revision":
                return _touched(await self._kept(policy, request.revision, whole=False))
            case "entry":
                entry = await self._entry(policy, request.entry)
                if entry.changes is None and entry.revision is not None:
                    raise GatewayError(Reason.REVISION_INCOMPLETE, "The ledger no longer keeps the rows of this entry.")
                changes = decoded(entry.changes or NOTHING)
                return {key_of((*one.before, *one.after)[0]): Touch(one.before, one.after) for one in changes}
        raise invalid("time", "is allowed only with the scope of a whole set: to undo one write, name its revision or entry")

    async def _number(self, policy: PolicyName, request: pb.RestoreComplianceAssignmentsRequest) -> int:
        """Of the revision after which the set was as it is wanted."""
        match request.WhichOneof("source"):
            case "revision":
                return request.revision
            case "entry":
                if (number := (await self._entry(policy, request.entry)).revision) is None:
                    raise invalid("entry", "changed nothing, and so has no revision")
                return number
        moment = request.time.seconds + request.time.nanos / 1e9
        if moment > time.time() + AHEAD_S:
            raise invalid("time", "lies in the future")
        if (found := await self._ledger.at(policy, moment)) is None:
            raise GatewayError(
                Reason.NOT_FOUND, "The ledger knows nothing of the policy at that time.", resource=_named(policy)
            )
        return found

    async def _kept(self, policy: PolicyName, number: int, *, whole: bool) -> Kept:
        kept = await self._ledger.kept(policy, number, whole=whole)
        if kept is not None:
            return kept
        first = await self._ledger.first(policy)
        if first is not None and number < first:
            raise GatewayError(Reason.REVISION_EXPIRED, resource=_named(policy, number))
        raise GatewayError(Reason.NOT_FOUND, "The policy has no such revision.", resource=_named(policy, number))

    async def _entry(self, policy: PolicyName, entry_id: str) -> Entry:
        entry = await self._ledger.entry(policy.tenant, policy.policy, entry_id)
        if entry is None:
            raise GatewayError(Reason.NOT_FOUND, "The policy has no such entry.", resource=("entry", entry_id))
        if entry.state != "finished" and entry.revision is not None:
            raise invalid(
                "entry", f"belongs to a write whose outcome is unknown: undo revision {entry.revision}, if it took effect"
            )
        if entry.outcome != OK:
            raise invalid("entry", "was not carried out: there is nothing to undo")
        return entry


def policy_of(call: Call) -> PolicyName:
    """Which policy a call is about."""
    request = cast(pb.GetComplianceAssignmentRevisionRequest, call.message)
    return PolicyName(call.tenant, call.operation.set.name, request.device_compliance_policy_id)


def wanted_of(text: str) -> Wanted:
    """The filter of a list (a part of AIP-160). Raises INVALID_FIELD."""
    found = Wanted()
    for part in re.split(r"\bAND\b", text) if text.strip() else ():
        match = COMPARISON.fullmatch(part)
        if match is None:
            raise invalid("filter", FILTER_RULE)
        field, sign, quoted, bare = match.groups()
        value = bare or quoted or ""
        if field == "kind" and sign == "=" and value in KINDS:
            found = found.of_kind(KINDS[value])
        elif field == "write_time" and sign != "=":
            found = found.after(_moment(value)) if sign == ">=" else found.before(_moment(value))
        else:
            raise invalid("filter", FILTER_RULE)
    return found


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise invalid("filter", FILTER_RULE) from None


def _touched(kept: Kept) -> dict[Key, Touch]:
    return {key: touch for key, touch in decoded_touches(kept.touched).items() if touch.before != touch.after}


def _rows_of(touches: Iterable[Touch]) -> Iterator[Row]:
    """Before and after."""
    return (row for touch in touches for side in touch for row in side)


def _base(policy: PolicyName, kept: Kept) -> RowSet:
    """The whole set before. Raises REVISION_INCOMPLETE."""
    if kept.base is None:
        raise GatewayError(Reason.REVISION_INCOMPLETE, "The ledger no longer keeps the whole set of this revision.")
    return decoded_rows(SETS[policy.set], kept.base)


def _named(policy: PolicyName, number: int = 0) -> tuple[str, str]:
    return (f"{SETS[policy.set].policy_type}Revision", f"{policy.policy}/{number}" if number else policy.policy)
