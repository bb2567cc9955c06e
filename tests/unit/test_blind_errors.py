"""What stands beside an error: who may write and not read is told no row's name there, and not which set it is."""

from collections.abc import Collection, Mapping

import pytest
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from google.protobuf.message import Message

from gateway.call import ETAG, Call, Caller, CallWarning
from gateway.errors import GatewayError, Reason
from gateway.operations import OPERATIONS
from gateway.pipeline.authorize import Authorize
from gateway.pipeline.cedar import Decision, Question

CREATE, LIST = "CreateComplianceAssignment", "ListComplianceAssignments"
FACTS = {"rows": "group 0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f", "more": "3"}


class Permits:
    """These operations, everywhere."""

    def __init__(self, *operations: str) -> None:
        self._operations = operations

    def ask(self, question: Question) -> Decision:
        return Decision("" if question.operation in self._operations else question.operation, ())

    def where(self, _caller: str, _operation: str, tenants: Collection[str]) -> Collection[str]:
        return tenants

    def reload(self) -> None:
        pass

    def health(self) -> Mapping[str, str]:
        return {}


async def refused(call: Call) -> Message:
    """Of a round in which others changed the policy, and whose set was seen."""
    call.record.warn(CallWarning("FOREIGN_CHANGE_UNDONE", FACTS))
    call.record.trailers[ETAG] = '"0"'
    raise GatewayError(Reason.ALREADY_ASSIGNED)


@pytest.mark.parametrize(("operations", "told", "etag"), [((CREATE, LIST), FACTS, '"0"'), ((CREATE,), {}, None)])
async def test_an_error_is_told_beside_no_more_than_an_answer(operations: tuple[str, ...], told: dict, etag: str | None):
    message = pb.CreateComplianceAssignmentRequest(device_compliance_policy_id="p", assignment={"target": {"all_devices": {}}})
    facts = {"caller": Caller("writer"), "tenant": "t", "message": message}
    call = Call(OPERATIONS[CREATE], decode=None, metadata={}, deadline=0, **facts)
    with pytest.raises(GatewayError) as caught:
        await Authorize(Permits(*operations), ("t",))(call, refused)
    assert caught.value.reason is Reason.ALREADY_ASSIGNED
    assert [warning.metadata for warning in call.record.warnings] == [told]
    assert call.record.trailers.get(ETAG) == etag
