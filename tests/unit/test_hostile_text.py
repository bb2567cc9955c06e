"""Text that a database does not take: what strangers and callers send of it is refused, and the refusal is written down."""

import pytest
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from google.protobuf.message import Message

from gateway.call import Call, Caller, decoded
from gateway.config import LedgerConfig
from gateway.errors import GatewayError
from gateway.ledger.ledger import Query
from gateway.ledger.sql_ledger import SqlLedger
from gateway.operations import OPERATIONS
from gateway.pipeline.audit import Audit
from gateway.pipeline.validate import Validate

POLICY = "device_compliance_policy_id"
TARGET = {"all_devices": {}}
NUL = "a\0b"
FIELDS = {
    POLICY: ({POLICY: NUL}, {}),
    "request_id": ({"request_id": NUL}, {}),
    "x-graph-tenant": ({}, {"x-graph-tenant": (NUL,)}),
    "client-request-id": ({}, {"client-request-id": (NUL,)}),
    "assignment.target.group.group_id": ({"assignment": {"target": {"group": {"group_id": NUL}}}}, {}),
}


async def never(_: Call) -> Message:
    raise AssertionError("is not reached")


@pytest.mark.parametrize("field", FIELDS)
async def test_text_with_nul_is_refused_by_its_field_and_the_refusal_kept(url: str, field: str):
    values, metadata = FIELDS[field]
    message = CreateComplianceAssignmentRequest(**{POLICY: "p", "assignment": {"target": TARGET}, **values})
    ledger = SqlLedger(LedgerConfig(url=url))
    await ledger.start()
    audit = Audit(ledger)
    call = Call(OPERATIONS["CreateComplianceAssignment"], decoded(message), metadata, 1e9, policy=NUL, caller=Caller("c"))
    try:
        with pytest.raises(GatewayError) as caught:
            await audit(call, lambda one: Validate(["t"])(one, never))
        await audit.close()
        [entry] = ledger.find(Query(after=0))
    finally:
        await ledger.close()
    assert field in [violation.field for violation in caught.value.violations]
    assert entry.outcome == caught.value.reason.name
