"""`$metadata`: types, properties, relations and the action of what the REST door serves, as OData's CSDL (XML, 4.0). Made from
the protos, the sets and the tree of what is read through. Pure.

It is small: types that have more properties in Graph are open, and what `[rest] read_through` adds is not in it.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element, SubElement, tostring

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment, UnknownAssignmentTarget
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.errors import invalid
from gateway.graph.tree import BUILT_IN, COUNT, KEY, SINGLETONS
from gateway.odata.codec import is_subtype
from gateway.operations import Operation
from gateway.sets import COMPLIANCE, SETS

EDMX, EDM = ("http://docs.oasis-open.org/odata/ns/" + name for name in ("edmx", "edm"))
GRAPH = "microsoft.graph"
ENTITY = "entity"
TEXT, TEXTS, FLAG, NUMBER, TIME = "Edm.String", "Collection(Edm.String)", "Edm.Boolean", "Edm.Int32", "Edm.DateTimeOffset"
SCALARS = {FieldDescriptor.TYPE_STRING: TEXT, FieldDescriptor.TYPE_BOOL: FLAG, FieldDescriptor.TYPE_INT32: NUMBER}
# Fields of a policy that Graph does not have as properties.
OURS = ("platform", "odata_type", "is_assigned", "assignment_count")
POLICIES = COMPLIANCE.name
# What its reading is called. Whoever is known may: it says nothing of a tenant.
METADATA = Operation("Metadata", Empty, Empty, (), COMPLIANCE, writes=False)
# What each segment of the tree leads to, by Graph's metadata.
TYPES = {
    **{name: name for name in SINGLETONS},
    POLICIES: COMPLIANCE.policy_type,
    "assignments": COMPLIANCE.row_type.rpartition(".")[2],
    "scheduledActionsForRule": "deviceComplianceScheduledActionForRule",
    "scheduledActionConfigurations": "deviceComplianceActionItem",
    "deviceStatuses": "deviceComplianceDeviceStatus",
    "userStatuses": "deviceComplianceUserStatus",
    "deviceSettingStateSummaries": "settingStateDeviceSummary",
    "deviceStatusOverview": "deviceComplianceDeviceOverview",
    "userStatusOverview": "deviceComplianceUserOverview",
    "assignmentFilters": "deviceAndAppManagementAssignmentFilter",
    "deviceCompliancePolicySettingStateSummaries": "deviceCompliancePolicySettingStateSummary",
    "groups": "group",
}
OWN = {
    TYPES[POLICIES]: DeviceCompliancePolicy.DESCRIPTOR,
    TYPES["assignments"]: DeviceCompliancePolicyAssignment.DESCRIPTOR,
}
SINGLE = ("deviceStatusOverview", "userStatusOverview")
ONLY_BETA = ("assignmentFilters",)
# Of what is passed on and never read here: what scripts ask for. A filter's platform is an enumeration that grows.
PROPERTIES = {
    "deviceAndAppManagementAssignmentFilter": {
        **dict.fromkeys(("displayName", "description", "platform", "rule"), TEXT),
        **dict.fromkeys(("createdDateTime", "lastModifiedDateTime"), TIME),
        "roleScopeTags": TEXTS,
    },
    "group": {
        **dict.fromkeys(("displayName", "description", "mail", "mailNickname", "membershipRule", "visibility"), TEXT),
        **dict.fromkeys(("mailEnabled", "securityEnabled"), FLAG),
        "createdDateTime": TIME,
        "groupTypes": TEXTS,
    },
}
FORMATS = ("", "$format=xml", "$format=application/xml")


def metadata(query: str, *, beta: bool) -> bytes:
    """The document, for the query options of a request. Raises INVALID_FIELD for any but `$format=xml`."""
    if unquote(query).lower() not in FORMATS:
        raise invalid("query", "may only be $format=xml: $metadata is XML")
    return _document(beta)


@cache
def _document(beta: bool) -> bytes:
    root = Element("edmx:Edmx", {"xmlns:edmx": EDMX, "Version": "4.0"})
    schema = SubElement(SubElement(root, "edmx:DataServices"), "Schema", {"xmlns": EDM, "Namespace": GRAPH})
    entity = _add(schema, "EntityType", ENTITY, Abstract="true")
    _add(_add(entity, "Key"), "PropertyRef", "id")
    _add(entity, "Property", "id", Type=TEXT, Nullable="false")
    own = _Types(schema, beta)
    types = {name: own.entity(descriptor, name) for name, descriptor in OWN.items()}
    for name in _spelt(DeviceCompliancePolicy.Platform.DESCRIPTOR):
        _add(schema, "EntityType", name, BaseType=_full(TYPES[POLICIES]))
    for name, parent, single in _relations(beta):
        _type_of(schema, types, TYPES[name])
        to = _full(TYPES[name]) if single else f"Collection({_full(TYPES[name])})"
        if parent:
            _add(_type_of(schema, types, TYPES[parent]), "NavigationProperty", name, Type=to, ContainsTarget="true")
    for one in SETS.values():
        rows = f"Collection({one.row_type.removeprefix('#')})"
        action = _add(schema, "Action", one.action, IsBound="true")
        _add(action, "Parameter", "bindingParameter", Type=_full(one.policy_type))
        _add(action, "Parameter", one.parameter, Type=rows)
        _add(action, "ReturnType", Type=rows)
    container = _add(schema, "EntityContainer", "GraphService")
    for name in dict.fromkeys(pattern.split("/")[0] for pattern in BUILT_IN):
        is_single = name in SINGLETONS
        kind = {"Type" if is_single else "EntityType": _full(TYPES[name])}
        _add(container, "Singleton" if is_single else "EntitySet", name, **kind)
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _relations(beta: bool) -> Iterator[tuple[str, str, bool]]:
    """The last segment of each path of the tree, the one that it hangs below (empty for none), and whether it is one object."""
    for pattern in BUILT_IN:
        names = pattern.split("/")
        if names[-1] in (KEY, COUNT) or (not beta and not set(ONLY_BETA).isdisjoint(names)):
            continue
        above = [name for name in names if name != KEY][:-1]
        yield names[-1], above[-1] if above else "", names[-1] in SINGLE


def _type_of(schema: Element, types: dict[str, Element], name: str) -> Element:
    """The type of what is passed on, made where it is not there yet."""
    if name not in types:
        types[name] = _add(schema, "EntityType", name, BaseType=_full(ENTITY), OpenType="true")
        for one, kind in PROPERTIES.get(name, {}).items():
            _add(types[name], "Property", one, Type=kind)
    return types[name]


class _Types:
    """Types of messages, added to a schema, each once."""

    def __init__(self, schema: Element, beta: bool) -> None:
        self._schema, self._beta, self._made = schema, beta, set[str]()

    def entity(self, descriptor: Descriptor, name: str) -> Element:
        """Of a message that has a key. A policy's subtypes have no messages of their own."""
        abstract = {"Abstract": "true"} if descriptor is DeviceCompliancePolicy.DESCRIPTOR else {}
        made = _add(self._schema, "EntityType", name, BaseType=_full(ENTITY), **abstract, **_open(descriptor))
        self._properties(made, descriptor)
        return made

    def _complex(self, descriptor: Descriptor) -> str:
        """The full name of the type of a message without a key; its subtypes come with it."""
        name = _name(descriptor)
        if name in self._made:
            return _full(name)
        self._made.add(name)
        unknown = UnknownAssignmentTarget.DESCRIPTOR
        subtypes = [f.message_type for f in descriptor.fields if f.message_type and is_subtype(f)]
        subtypes = [one for one in subtypes if one is not unknown]
        abstract = {"Abstract": "true"} if subtypes else {}
        self._properties(_add(self._schema, "ComplexType", name, **abstract, **_open(descriptor)), descriptor)
        included = {_kind(one).key_space: one for one in subtypes if not _kind(one).excludes}
        for one in subtypes:
            # What excludes is of the type of what it excludes, and has its properties.
            derived = _kind(one).excludes
            base = _name(included[_kind(one).key_space]) if derived else name
            made = _add(self._schema, "ComplexType", _name(one), BaseType=_full(base))
            if not derived:
                self._properties(made, one)
        return _full(name)

    def _properties(self, made: Element, descriptor: Descriptor) -> None:
        for field in descriptor.fields:
            options = field.GetOptions().Extensions
            hidden = options[odata_pb2.odata_beta] and not self._beta
            if not (hidden or options[odata_pb2.odata_other_properties] or is_subtype(field) or field.name in ("id", *OURS)):
                kind = self._type(field)
                _add(made, "Property", field.json_name, Type=f"Collection({kind})" if field.is_repeated else kind)

    def _type(self, field: FieldDescriptor) -> str:
        if field.message_type is Timestamp.DESCRIPTOR:
            return TIME
        if field.message_type is not None:
            return self._complex(field.message_type)
        return self._enum(field.enum_type) if field.enum_type is not None else SCALARS[field.type]

    def _enum(self, enum: EnumDescriptor) -> str:
        name = enum.name[0].lower() + enum.name[1:]
        if name not in self._made:
            self._made.add(name)
            made = _add(self._schema, "EnumType", name)
            for number, one in enumerate(_spelt(enum)):
                _add(made, "Member", one, Value=str(number))
        return _full(name)


def _add(parent: Element, tag: str, name: str = "", **attributes: str) -> Element:
    named = {"Name": name} if name else {}
    return SubElement(parent, tag, named | attributes)


def _spelt(enum: EnumDescriptor) -> list[str]:
    """The values, as Graph spells them."""
    return [name for value in enum.values if (name := value.GetOptions().Extensions[odata_pb2.odata_name])]


def _full(name: str) -> str:
    return f"{GRAPH}.{name}"


def _name(descriptor: Descriptor) -> str:
    return str(descriptor.GetOptions().Extensions[odata_pb2.odata_type]).rpartition(".")[2]


def _kind(descriptor: Descriptor) -> Any:
    return descriptor.GetOptions().Extensions[odata_pb2.odata_target]


def _open(descriptor: Descriptor) -> dict[str, str]:
    """Whether Graph may have more properties of it than there are fields."""
    others = any(field.GetOptions().Extensions[odata_pb2.odata_other_properties] for field in descriptor.fields)
    return {"OpenType": "true"} if others else {}
