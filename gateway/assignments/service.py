"""A handler per RPC."""

from collections.abc import Mapping

from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.compliance_assignment_service_pb2 import (
    IF_EXISTS_UNSPECIFIED,
    CreateComplianceAssignmentRequest,
)
from google.protobuf.message import Message

from gateway.call import Call, Handler
from gateway.errors import GatewayError, Reason, invalid
from gateway.graph.client import GraphClient
from gateway.odata import ODataError, codec

ASSIGNMENT = codec(DeviceCompliancePolicyAssignment.DESCRIPTOR)
# beta, because v1.0 hides filters and source (graph-facts §2).
POLICIES = "/beta/deviceManagement/deviceCompliancePolicies"


class AssignmentService:
    """Carries out the operations in the tenants' Graphs. graphs: tenant name -> client."""

    def __init__(self, graphs: Mapping[str, GraphClient]) -> None:
        self._graphs = graphs
        self._handlers: Mapping[str, Handler] = {"CreateComplianceAssignment": self._create}

    async def __call__(self, call: Call) -> Message:
        handler = self._handlers.get(call.operation.name)
        if handler is None:
            raise GatewayError(Reason.NOT_IMPLEMENTED)
        return await handler(call)

    async def _create(self, call: Call) -> Message:
        """The documented route: POST …/assignments, 201 and the created object."""
        request = call.message
        assert isinstance(request, CreateComplianceAssignmentRequest)
        if request.if_exists != IF_EXISTS_UNSPECIFIED:
            raise GatewayError(Reason.NOT_IMPLEMENTED, "if_exists: only the default is implemented.")
        try:
            row = ASSIGNMENT.to_json(request.assignment, "assignment")
        except ODataError as exc:
            raise invalid(exc.at, exc.rule) from exc
        policy = request.device_compliance_policy_id
        try:
            answer = await self._graphs[call.tenant].send(
                "POST", f"{POLICIES}/{policy}/assignments", row, deadline=call.deadline, record=call.record
            )
        except GatewayError as error:
            if error.reason is Reason.NOT_FOUND:
                error.resource = ("deviceCompliancePolicy", policy)
            raise
        try:
            created = ASSIGNMENT.from_json(answer.json, "answer")
        except ODataError as exc:
            raise GatewayError(Reason.OUTCOME_UNKNOWN, "Graph's answer is no assignment.") from exc
        assert isinstance(created, DeviceCompliancePolicyAssignment)
        if not created.id:
            raise GatewayError(Reason.OUTCOME_UNKNOWN, "Graph's answer is an assignment without id.")
        call.record.note(assignment=created.id, route="documented")
        return created
