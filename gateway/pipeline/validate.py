"""Decodes the message, checks it by the protovalidate rules in the protos, and settles the tenant."""

from collections.abc import Collection

from google.protobuf.message import Message
from protovalidate import Validator
from protovalidate import Violation as RuleViolation

from gateway.call import CORRELATION, CORRELATION_RULE, Call, Handler
from gateway.errors import GatewayError, Reason, Violation, invalid

TENANT_HEADER = "x-graph-tenant"
# Shorter than protovalidate's own words, or with the rule that those leave out.
WORDS = {
    "required": "is required",
    "string.uuid": "has to be a GUID",
    "enum.defined_only": "has to be one of the enum's values",
}


class Validate:
    """The step. tenants: the configured names."""

    def __init__(self, tenants: Collection[str]) -> None:
        self._tenants = tenants
        self._validator = Validator()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises TENANT_UNKNOWN, MESSAGE_MALFORMED, or INVALID_FIELD with every broken rule."""
        if CORRELATION in call.metadata and not call.correlation_id:
            raise invalid(CORRELATION, CORRELATION_RULE)
        call = call.found(tenant=self._tenant_of(call))
        message = await call.decode()
        call = call.found(message=message)
        policy_id = getattr(message, "device_compliance_policy_id", "")
        violations = tuple(map(_violation, self._validator.collect_violations(message)))
        if violations:
            raise GatewayError(
                Reason.INVALID_FIELD, "; ".join(f"{v.field}: {v.rule}" for v in violations[:5]), violations=violations
            )
        call.record.note(policy=policy_id, request_id=getattr(message, "request_id", "") or None)
        return await next_handler(call)

    def _tenant_of(self, call: Call) -> str:
        """Empty where the caller names none of several: `authorize` finds out whether it may use exactly one."""
        name = call.header(TENANT_HEADER)
        if name is None:
            return next(iter(self._tenants)) if len(self._tenants) == 1 else ""
        if name not in self._tenants:
            raise invalid(TENANT_HEADER, "names no configured tenant", Reason.TENANT_UNKNOWN)
        return name


def _violation(violation: RuleViolation) -> Violation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field else ():
        path += f".{element.field_name}" if path else str(element.field_name)
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    return Violation(path or "request", WORDS.get(str(proto.rule_id), str(proto.message)))
