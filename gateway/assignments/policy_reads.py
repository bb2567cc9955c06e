"""Reads of policies themselves from Graph: one, or those of a tenant."""

from collections.abc import Mapping
from typing import Any, cast

from compliance_gateway.v1 import compliance_policy_service_pb2 as pb
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from google.protobuf.message import Message

from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.pages import pages
from gateway.assignments.policy_filter import FIELDS, OF_ROWS, filter_of, mask_of
from gateway.assignments.rows import Row
from gateway.assignments.upstream import Upstream
from gateway.call import Call
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphClient
from gateway.odata import ODataError, codec
from gateway.odata.codec import TYPE, type_key
from gateway.pace import rest

POLICY = codec(DeviceCompliancePolicy.DESCRIPTOR)
GRAPH, ROWS = "microsoft.graph.", "assignments"
EXPANDED = f"?$expand={ROWS}"
DEFAULT_PAGE_SIZE = 50
# Of a page, whatever its size: clients of gRPC take 4 MiB, if not said. One policy more may go beyond it.
PAGE_BYTES = 2 << 20


class PolicyReads:
    """graphs: tenant name -> client."""

    def __init__(self, graphs: Mapping[str, GraphClient], page_tokens: PageTokens) -> None:
        self._graphs, self._page_tokens = graphs, page_tokens

    async def get(self, call: Call) -> Message:
        """Raises INVALID_FIELD, NOT_FOUND."""
        request = cast(pb.GetCompliancePolicyRequest, call.message)
        fields = mask_of(request.read_mask)
        graph = self._graphs[call.tenant]
        upstream = Upstream(graph, call.operation.set, request.device_compliance_policy_id, call.record)
        return _only(policy_of(await upstream.policy(call.deadline, _query(fields))), fields)

    async def list(self, call: Call) -> Message:
        """Reads Graph's list as far as the page needs it, and filters it here, whatever Graph's own filter can do. Raises
        INVALID_FIELD."""
        request = cast(pb.ListCompliancePoliciesRequest, call.message)
        fields, is_meant = mask_of(request.read_mask), filter_of(request.filter)
        place = (f"policies/{request.filter}", call.tenant, "")
        start = self._page_tokens.offset(request.page_token, *place) if request.page_token else 0
        most, graph = request.page_size or DEFAULT_PAGE_SIZE, self._graphs[call.tenant]
        found = pb.ListCompliancePoliciesResponse()
        seen = size = 0

        async def ask(path: str) -> Any:
            return (await graph.get(path, deadline=call.deadline, record=call.record)).json

        async for rows in pages(ask, f"{call.operation.set.path}{_query(fields)}"):
            for row in rows:
                await rest()
                policy = policy_of(row)
                if not is_meant(policy):
                    continue
                seen += 1
                if seen <= start:
                    continue
                if len(found.policies) == most or size > PAGE_BYTES:
                    found.next_page_token = self._page_tokens.token(*place, start + len(found.policies))
                    return found
                found.policies.append(_only(policy, fields))
                size += policy.ByteSize()
        return found


def policy_of(row: Any) -> DeviceCompliancePolicy:
    """Of Graph's JSON. Raises GRAPH_ANSWER_UNREADABLE."""
    kind = row.get(TYPE) if isinstance(row, dict) else None
    name = kind if isinstance(kind, str) else ""
    own = {"platform": type_key(name).removeprefix(GRAPH), "odataType": name}
    try:
        found = cast(DeviceCompliancePolicy, POLICY.from_json({k: v for k, v in row.items() if k != ROWS} | own))
    except (ODataError, AttributeError) as exc:
        raise _unreadable() from exc
    if not found.id:
        raise _unreadable()
    _tell_of_rows(found, row)
    return found


def _unreadable() -> GatewayError:
    return GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph has a policy that cannot be read.")


def _tell_of_rows(policy: DeviceCompliancePolicy, row: Row) -> None:
    """What can be known of its assignments: an expanded list may be cut, and then says where it goes on."""
    rows, is_whole = row.get(ROWS), f"{ROWS}@odata.nextLink" not in row
    policy.ClearField("is_assigned")
    policy.ClearField("assignment_count")
    if isinstance(rows, list) and (rows or is_whole):
        policy.is_assigned = bool(rows)
        if is_whole:
            policy.assignment_count = len(rows)


def _query(fields: frozenset[str]) -> str:
    return "" if fields.isdisjoint(OF_ROWS) else EXPANDED


def _only(policy: DeviceCompliancePolicy, fields: frozenset[str]) -> DeviceCompliancePolicy:
    """The policy with these fields."""
    for name in FIELDS:
        if name not in fields:
            policy.ClearField(cast(Any, name))
    return policy
