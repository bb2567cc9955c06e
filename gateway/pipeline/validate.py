"""Decodes the message, checks it by the protovalidate rules in the protos, and determines the tenant. From here on the policy's
ID has one spelling (see gateway.ids), for rules, writers, leases, page tokens, digests and the ledger."""

from collections.abc import Collection, Iterator
from typing import Any, cast

from google.protobuf.message import Message
from protovalidate import Validator
from protovalidate import Violation as RuleViolation

from gateway.call import CORRELATION, CORRELATION_RULE, Call, Handler, correlation_id
from gateway.errors import GatewayError, Reason, Violation, invalid
from gateway.ids import canonical_guid
from gateway.odata.fields import most_items
from gateway.pace import rest

TENANT_HEADER = "x-graph-tenant"
# Shorter than protovalidate's own words, or with the rule that those leave out.
WORDS = {
    "required": "is required",
    "string.uuid": "has to be a GUID",
    "enum.defined_only": "has to be one of the enum's values",
    "enum.in": "has to be one of the enum's values that this request offers",
}
# Compiles the rules of a kind of message when it sees the first one: up to 25 ms.
VALIDATOR = Validator()


class Validate:
    """The step. tenants: the configured names."""

    def __init__(self, tenants: Collection[str]) -> None:
        self._tenants = tenants
        self._kinds: set[type[Message]] = set()

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises TENANT_UNKNOWN, MESSAGE_MALFORMED, or INVALID_FIELD with the first broken rules and the number of the
        others."""
        if CORRELATION in call.metadata and not correlation_id(call.metadata):
            raise invalid(CORRELATION, CORRELATION_RULE)
        call = call.found(tenant=self._tenant_of(call))
        message: Any = await call.decode()
        if call.operation.writes:
            await rest()
        if (kind := type(message)) not in self._kinds:  # its rules are compiled apart from what the first one holds
            self._kinds.add(kind)
            VALIDATOR.collect_violations(kind())
            await rest()
        policy_id = None
        if call.operation.of_policy:
            message.device_compliance_policy_id = policy_id = canonical_guid(message.device_compliance_policy_id)
        call = call.found(message=message)
        violations = tuple(_too_long(message)) or tuple(
            violation_of(found, message) for found in VALIDATOR.collect_violations(message)
        )
        await rest()
        if violations:
            raise GatewayError(Reason.INVALID_FIELD, violations=violations)
        call.record.note(policy=policy_id, request_id=getattr(message, "request_id", "") or None)
        return await next_handler(call)

    def _tenant_of(self, call: Call) -> str:
        """The tenant; empty if there are several and the caller names none: `authorize` then finds out whether the caller may
        use exactly one."""
        names = call.metadata.get(TENANT_HEADER, ())
        if len(names) > 1:
            raise invalid(TENANT_HEADER, "may be given only once")
        if not names:
            return next(iter(self._tenants)) if len(self._tenants) == 1 else ""
        [name] = names
        if name not in self._tenants:
            raise invalid(TENANT_HEADER, "is not the name of a configured tenant", Reason.TENANT_UNKNOWN)
        return name


def _too_long(message: Message) -> Iterator[Violation]:
    """Lists that are too long, checked first, so that their elements cost nothing."""
    for field, items in message.ListFields():
        most = most_items(field)
        if most and len(items) > most:
            yield Violation(field.name, f"may have at most {most} items")


def violation_of(violation: RuleViolation, request: Message) -> Violation:
    """Where and which rule, in our words."""
    proto, descriptor = violation.proto, cast(Any, request.DESCRIPTOR)
    path, words = "", WORDS.get(str(proto.rule_id), str(proto.message))
    for element in proto.field.elements if proto.field else ():
        name = str(element.field_name)
        path += f".{name}" if path else name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
        if name in descriptor.oneofs_by_name and name not in descriptor.fields_by_name:
            words = f"needs one of {', '.join(field.name for field in descriptor.oneofs_by_name[name].fields)}"
        elif (inner := descriptor.fields_by_name[name].message_type) is not None:
            descriptor = inner
    return Violation(path or "request", words)
