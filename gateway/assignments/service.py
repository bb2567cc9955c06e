"""The handlers of the assignment operations: message -> edit -> the policy's writer -> message."""

from collections.abc import Mapping
from typing import cast

from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.message import Message

from gateway.assignments.answers import ANSWERS, assignment, converting, with_cost
from gateway.assignments.display_names import DisplayNames
from gateway.assignments.drift import Drift
from gateway.assignments.edits import Edit, Untold
from gateway.assignments.history import PastOfPolicies, policy_of
from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.pending import Written
from gateway.assignments.policy_reads import PolicyReads
from gateway.assignments.quota_view import view
from gateway.assignments.requests import EDITS
from gateway.assignments.rows import RowSet, row_id
from gateway.assignments.shared_reads import SharedReads
from gateway.assignments.writers import Writers
from gateway.call import ETAG, Call, Handler
from gateway.errors import GatewayError, Reason
from gateway.graph.quota import telling
from gateway.ledger.ledger import History
from gateway.ledger.write import Write
from gateway.pace import slowly

DEFAULT_PAGE_SIZE = 100


class AssignmentService:
    """Carries out the operations; the handler at the end of the pipeline."""

    def __init__(self, writers: Writers, page_tokens: PageTokens, history: History, drift: Drift) -> None:
        self._writers, self._page_tokens, self._reads = writers, page_tokens, SharedReads(writers.graphs, drift)
        self._names = names = DisplayNames(writers.graphs)
        self._past, policies = PastOfPolicies(history, page_tokens, names), PolicyReads(writers.graphs, page_tokens)
        self._readers: Mapping[str, Handler] = {
            "GetComplianceAssignment": self._get,
            "ListComplianceAssignments": self._list,
            "GetComplianceAssignmentRevision": self._past.get,
            "ListComplianceAssignmentRevisions": self._past.list,
            "GetQuota": self._quota,
            "GetCompliancePolicy": policies.get,
            "ListCompliancePolicies": policies.list,
        }

    async def __call__(self, call: Call) -> Message:
        """Carries out the operation, and reports the caller's share of the quota, whatever the outcome."""
        quota = self._writers.graphs[call.tenant].quota
        with telling(call.record, quota.writes if call.operation.writes else quota.requests):
            return await self._carry_out(call)

    async def _carry_out(self, call: Call) -> Message:
        read = self._readers.get(call.operation.name)
        if read is not None:
            return await read(call)
        name = call.operation.name
        edit = EDITS[name](call.message, call.judge) if name in EDITS else await self._restoration(call)
        return await self._preview(call, edit) if call.validates_only else await self._write(call, edit)

    async def _restoration(self, call: Call) -> Edit:
        """Of one that was sent before, what became of it does not depend on what the ledger still has."""
        try:
            return await self._past.restoration(call)
        except GatewayError as error:
            if not isinstance(call.write, Write) or call.write.entry.sent is None:
                raise
            return Untold(error)

    async def _write(self, call: Call, edit: Edit) -> Message:
        name = policy_of(call)
        written = await self._writers.carry_out(cast(Write, call.write), call.operation.set, name.policy, edit)
        try:
            answer = await _answer(call, written)
        except GatewayError as error:
            if not written.revision:
                raise
            raise GatewayError(Reason.SET_CHANGED, f"The write was carried out. {error.message}") from error
        if written.row is not None:
            call.record.note(assignment=row_id(written.row))
        return answer

    async def _preview(self, call: Call, edit: Edit) -> Message:
        shown = await self._writers.preview(policy_of(call), call.operation.set, edit, call.deadline)
        now = cast(RowSet, shown.written.base).etag
        call.record.note(validate_only=True)
        call.record.trailers[ETAG] = now
        return with_cost(await _answer(call, shown.written), now, shown.writes, shown.wait)

    async def _get(self, call: Call) -> Message:
        """From the list: the route by key is unverified upstream."""
        request = cast(pb.GetComplianceAssignmentRequest, call.message)
        wanted = request.device_compliance_policy_assignment_id
        for row in (await self._read(call)).rows:
            if row_id(row).lower() == wanted.lower():
                return assignment(row)
        raise GatewayError(Reason.NOT_FOUND, resource=(f"{call.operation.set.policy_type}Assignment", wanted))

    async def _list(self, call: Call) -> Message:
        request = cast(pb.ListComplianceAssignmentsRequest, call.message)
        place = (call.operation.set.name, call.tenant, request.device_compliance_policy_id)
        start = self._page_tokens.offset(request.page_token, *place) if request.page_token else 0
        found = await self._read(call)
        end = start + (request.page_size or DEFAULT_PAGE_SIZE)
        rows, with_names = found.rows[start:end], request.view == pb.ASSIGNMENT_VIEW_WITH_NAMES
        return pb.ListComplianceAssignmentsResponse(
            assignments=await slowly(converting(rows)),
            names=await self._names.told(call, request.device_compliance_policy_id, rows) if with_names else (),
            next_page_token=self._page_tokens.token(*place, end) if end < len(found.rows) else "",
            etag=found.etag if not start else "",
        )

    async def _quota(self, call: Call) -> Message:
        return view(self._writers.graphs[call.tenant].quota, call.caller.name if call.caller else "")

    async def _read(self, call: Call) -> RowSet:
        return await self._reads.read(policy_of(call), call.operation.set, call.deadline, call.record)


async def _answer(call: Call, written: Written) -> Message:
    answer = ANSWERS[call.operation.name](written)
    return answer if isinstance(answer, Message) else await slowly(answer)
