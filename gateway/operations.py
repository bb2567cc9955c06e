"""The RPCs of all services as a table, read from the proto descriptors: names, message types, HTTP rules, the set, whether they
write."""

from dataclasses import dataclass
from types import MappingProxyType

from compliance_gateway.v1 import compliance_assignment_service_pb2, compliance_policy_service_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.sets import COMPLIANCE, SETS, AssignableSet

FILES = (compliance_assignment_service_pb2, compliance_policy_service_pb2)
SERVICES = tuple(service for file in FILES for service in file.DESCRIPTOR.services_by_name.values())
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
    """One RPC. http: empty where REST has no form of its own for it. writes: whether it changes anything. service: its full
    name, empty for what REST alone has."""

    name: str
    request: type[Message]
    response: type[Message]
    http: tuple[HttpRule, ...]
    set: AssignableSet
    writes: bool
    service: str = ""

    @property
    def of_policy(self) -> bool:
        """Whether it is about one policy, or about the whole tenant."""
        return POLICY in self.request.DESCRIPTOR.fields_by_name


def _operation(method: MethodDescriptor) -> Operation:
    options = method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    bindings = tuple(
        HttpRule(verb.upper(), getattr(binding, verb), binding.body)
        for binding in (rule, *rule.additional_bindings)
        for verb in VERBS
        if getattr(binding, verb)
    )
    # What is of no policy is of the service of compliance policies, which has a quota of its own.
    [of] = {one.name for one in SETS.values() for binding in bindings if f"/{one.name}/" in binding.path} or {COMPLIANCE.name}
    messages = (GetMessageClass(method.input_type), GetMessageClass(method.output_type))
    reads = options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS or {one.verb for one in bindings} == {"GET"}
    service = method.containing_service.full_name
    return Operation(method.name, *messages, bindings, SETS[of], writes=not reads, service=service)


OPERATIONS = MappingProxyType({method.name: _operation(method) for service in SERVICES for method in service.methods})
if len(OPERATIONS) != sum(len(service.methods) for service in SERVICES):
    raise TypeError("two services have a method of one name, which stands for it in rules, entries and metrics")
# What REST passes on to Graph, and no RPC: a read of what is beside assignments.
READ_THROUGH = Operation("ReadThrough", Empty, Empty, (), COMPLIANCE, writes=False)
# All that a caller can be permitted.
PERMITTED = MappingProxyType({**OPERATIONS, READ_THROUGH.name: READ_THROUGH})
