"""The RPCs as rows, read from the proto descriptors: names, message types, HTTP rules, the set, whether they write."""

from dataclasses import dataclass
from types import MappingProxyType

from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.sets import COMPLIANCE, SETS, AssignableSet

SERVICE = service_pb2.DESCRIPTOR.services_by_name["ComplianceAssignmentService"]
POLICY = "device_compliance_policy_id"
VERBS = ("get", "post", "patch", "delete")


@dataclass(frozen=True)
class HttpRule:
    """One binding of google.api.http: `POST`, `/v1.0/…/{device_compliance_policy_id}/assignments`, `assignment`."""

    verb: str
    path: str
    body: str


@dataclass(frozen=True)
class Operation:
    """One RPC. writes: whether it changes anything."""

    name: str
    request: type[Message]
    response: type[Message]
    http: tuple[HttpRule, ...]
    set: AssignableSet
    writes: bool

    @property
    def of_policy(self) -> bool:
        """Whether it is about one policy, or about the whole tenant."""
        return POLICY in self.request.DESCRIPTOR.fields_by_name


def _operation(method: MethodDescriptor) -> Operation:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    bindings = tuple(
        HttpRule(verb.upper(), getattr(binding, verb), binding.body)
        for binding in (rule, *rule.additional_bindings)
        for verb in VERBS
        if getattr(binding, verb)
    )
    # What is of no policy is of the service of compliance policies, which has a quota of its own.
    [of] = {one.name for one in SETS.values() for binding in bindings if f"/{one.name}/" in binding.path} or {COMPLIANCE.name}
    messages = (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
    return Operation(method.name, *messages, bindings, SETS[of], writes=bindings[0].verb != "GET")


OPERATIONS = MappingProxyType({method.name: _operation(method) for method in SERVICE.methods})
# What REST passes on to Graph, and no RPC: a read of what is beside assignments.
READ_THROUGH = Operation("ReadThrough", Empty, Empty, (), COMPLIANCE, writes=False)
# All that a caller can be permitted.
PERMITTED = MappingProxyType({**OPERATIONS, READ_THROUGH.name: READ_THROUGH})
