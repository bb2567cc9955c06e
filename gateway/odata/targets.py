"""What an assignment's target is: its kind, its key in a policy, and whom it means. Pure; targets are Graph's JSON objects.

Only this module knows that, from the options in assignment.proto (odata.proto explains them). A member of the oneof without
these options stops the import.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import DeviceAndAppManagementAssignmentTarget, UnknownAssignmentTarget
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from gateway.ids import GUID, canonical_guid, judged_id
from gateway.odata.codec import TYPE, type_key
from gateway.odata.fields import ZERO_GUID
from gateway.odata.text import canonical, dumps

Key = tuple[str, str]

TARGET = DeviceAndAppManagementAssignmentTarget.DESCRIPTOR
CARRIER = UnknownAssignmentTarget.DESCRIPTOR.full_name
ONEOF, BASE, UNKNOWN = "type", "base", "unknown"
FILTER_ID, FILTER_TYPE = "deviceAndAppManagementAssignmentFilterId", "deviceAndAppManagementAssignmentFilterType"
GROUPS = "group"  # the key space whose values are group ids
NO_FILTER = ("", "")


@dataclass(frozen=True)
class TargetKind:
    """name: of the oneof's member; `base` for the abstract type, `unknown` for types that the protos do not know. odata_type:
    with its `#`, empty for unknown. identity: the JSON property that says whom the target means, empty if none does. key_space:
    the first half of the key, shared by kinds of which a policy has one target for each value; empty for base and unknown."""

    name: str
    odata_type: str
    identity: str
    key_space: str
    everyone: bool
    excludes: bool


def members_of(target: Descriptor = TARGET) -> dict[str, Descriptor]:
    """The members of the oneof that have a type of their own: all but `unknown`."""
    own = {field.name: field.message_type for field in target.oneofs_by_name[ONEOF].fields}
    return {name: message for name, message in own.items() if message is not None and message.full_name != CARRIER}


def kinds_of(target: Descriptor) -> dict[str, TargetKind]:
    """The kinds by name. Raises TypeError, which names the message that lacks an option."""
    kinds = {name: _kind(name, message) for name, message in members_of(target).items()}
    base = target.GetOptions().Extensions[odata_pb2.odata_type]
    kinds[BASE] = TargetKind(BASE, base, identity="", key_space="", everyone=False, excludes=False)
    kinds[UNKNOWN] = TargetKind(UNKNOWN, "", identity="", key_space="", everyone=False, excludes=False)
    return kinds


def _kind(name: str, message: Descriptor) -> TargetKind:
    options, marked = message.GetOptions(), _marked(message)
    about = options.Extensions[odata_pb2.odata_target]
    if not options.Extensions[odata_pb2.odata_type] or not about.key_space or len(marked) > 1:
        raise TypeError(f"{message.full_name} needs the options odata_type and odata_target, and at most one odata_target_id")
    identity = marked[0].json_name if marked else ""
    return TargetKind(name, options.Extensions[odata_pb2.odata_type], identity, about.key_space, about.everyone, about.excludes)


def _marked(message: Descriptor) -> list[FieldDescriptor]:
    return [field for field in message.fields if field.GetOptions().Extensions[odata_pb2.odata_target_id]]


def _pseudo_groups() -> Iterable[tuple[str, TargetKind]]:
    for name, message in members_of().items():
        if group := message.GetOptions().Extensions[odata_pb2.odata_target].pseudo_group_id:
            yield group.lower(), KINDS[name]


KINDS: Mapping[str, TargetKind] = kinds_of(TARGET)
EVERYONE = frozenset(kind.name for kind in KINDS.values() if kind.everyone)
# A group's id -> the broad kind that it means (docs/graph.md §2).
PSEUDO_GROUPS: Mapping[str, TargetKind] = dict(_pseudo_groups())
# By type, compared and as Graph spells it.
_OF_TYPE = {
    spelled: kind for kind in KINDS.values() if kind.odata_type for spelled in (kind.odata_type, type_key(kind.odata_type))
}
_IDENTITIES = {kind.identity for kind in KINDS.values() if kind.identity}
_ID_FIELDS = {name: [field.name for field in _marked(message)] for name, message in members_of().items()}


def kind_of(target: Mapping[str, Any]) -> TargetKind:
    """By `@odata.type`, compared without case and `#`; unknown where it has none."""
    name = target.get(TYPE)
    if not isinstance(name, str):
        return KINDS[UNKNOWN]
    return _OF_TYPE.get(name) or _OF_TYPE.get(type_key(name), KINDS[UNKNOWN])


def key_of_target(target: Mapping[str, Any]) -> Key:
    """The key of which a policy has at most one: a group (included or excluded), a collection, all users, all devices; an
    unknown target as a whole, without its filter, nulls and annotations. A pseudo group has the key of the broad target that it
    means."""
    kind = kind_of(target)
    value = target.get(kind.identity) if kind.identity else type_key(kind.odata_type)
    if kind.key_space and isinstance(value, str):
        if not kind.identity:
            return kind.key_space, value
        name = judged_id(value)
        broad = PSEUDO_GROUPS.get(name) if kind.key_space == GROUPS else None
        return (broad.key_space, type_key(broad.odata_type)) if broad else (kind.key_space, name)
    own = {k: v for k, v in target.items() if v is not None and k not in (FILTER_ID, FILTER_TYPE) and k[:1] != "@"}
    return _type_of(target), canonical(own)


def ids_of(target: Mapping[str, Any]) -> frozenset[str]:
    """The IDs that rules judge, as judged_id spells them: those of groups and collections; for a type that the gateway does not
    know, every GUID anywhere in the target except its filter's."""
    kind = kind_of(target)
    named = {judged_id(value) for name in _IDENTITIES if isinstance(value := target.get(name), str) and value}
    if not kind.key_space or (kind.identity and not isinstance(target.get(kind.identity), str)):
        text = dumps({k: v for k, v in target.items() if k not in (FILTER_ID, FILTER_TYPE)})
        named.update(map(canonical_guid, GUID.findall(text)))
    return frozenset(named)


def kinds_meant(target: Mapping[str, Any], ids: frozenset[str] | None = None) -> frozenset[str]:
    """The names of its kind and, for a pseudo group, of the broad kind that it means: what rules judge. ids: its own, where
    they are known."""
    broad = (PSEUDO_GROUPS[name].name for name in (ids_of(target) if ids is None else ids) if name in PSEUDO_GROUPS)
    return frozenset((kind_of(target).name, *broad))


def group_of(target: Mapping[str, Any]) -> str:
    """The id of the Entra group that it includes or excludes; empty where it means no group, as with a pseudo group."""
    kind = kind_of(target)
    value = target.get(kind.identity) if kind.key_space == GROUPS else None
    return value if isinstance(value, str) and judged_id(value) not in PSEUDO_GROUPS else ""


def is_everyone(target: Mapping[str, Any]) -> bool:
    """Whether it means all users or all devices, or excludes them."""
    return not EVERYONE.isdisjoint(kinds_meant(target))


def filter_of(target: Mapping[str, Any]) -> tuple[str, str]:
    """The filter's id and type; two empty strings where there is none, however that is spelled."""
    kind, filter_id = str(target.get(FILTER_TYPE) or "none").lower(), str(target.get(FILTER_ID) or ZERO_GUID).lower()
    return NO_FILTER if kind == "none" or filter_id == ZERO_GUID else (filter_id, kind)


def extra_properties(target: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of a target of a known type that neither say who is meant nor what its filter is."""
    kind = kind_of(target)
    if not kind.key_space:
        return {}
    return {k: v for k, v in target.items() if k not in (TYPE, FILTER_ID, FILTER_TYPE, kind.identity)}


def text_of(target: Message) -> str:
    """Who is meant by the message, such as `group 0b1c2d3e-…`: its kind and id, or its type where that is unknown."""
    name = target.WhichOneof(ONEOF) or BASE
    if name == BASE:
        return name
    named = ["odata_type"] if name == UNKNOWN else _ID_FIELDS[name]
    return " ".join([name, *filter(None, (getattr(getattr(target, name), field) for field in named))])


def text_of_json(target: Mapping[str, Any]) -> str:
    """The same of Graph's JSON object."""
    kind = kind_of(target)
    value = target.get(kind.identity) if kind.identity else target.get(TYPE) if kind.name == UNKNOWN else None
    return f"{kind.name} {value}" if isinstance(value, str) and value else kind.name


def target_of_text(text: str) -> dict[str, str]:
    """The target that is written as `group:ID`, `all_devices`, `unknown:TYPE`: its kind and, after a colon, its id, or its type
    where that is unknown. Raises ValueError, which says what it may be."""
    name, _, value = text.partition(":")
    kind = KINDS.get(name)
    if kind is None:
        raise ValueError(f"has to be one of {', '.join(KINDS)}")
    if kind.name == UNKNOWN:
        if kind_of({TYPE: value}) is not kind or not value:
            raise ValueError(f"{name}: needs a type after the colon, other than those of the known kinds")
        return {TYPE: value}
    if value and not kind.identity:
        raise ValueError(f"{name} takes no ID")
    return {TYPE: kind.odata_type, **({kind.identity: value} if value else {})}


def _type_of(target: Mapping[str, Any]) -> str:
    """The type name for comparing."""
    name = target.get(TYPE)
    return type_key(name) if isinstance(name, str) else ""
