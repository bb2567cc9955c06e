"""A Codec per message type: compiled from the descriptor, then only dict and attribute access."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import UnknownAssignmentTarget
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.odata.fields import Field, Json, ODataError
from gateway.odata.text import JsonError, dumps, loads, loads_strictly

TYPE = "@odata.type"
UNKNOWN = UnknownAssignmentTarget.DESCRIPTOR


def type_key(name: str) -> str:
    """A type name for comparing: without `#`, case folded (docs/graph.md §2)."""
    return name.removeprefix("#").lower()


@cache
def codec(descriptor: Descriptor, *, beta: bool = True) -> "Codec":
    """The codec of a message type, compiled at its first use. Without `beta` it speaks Graph's v1.0."""
    return Codec(descriptor, beta=beta)


class Codec:
    """Converts messages of one type. See to_json and from_json."""

    def __init__(self, descriptor: Descriptor, *, beta: bool) -> None:
        self.make = cast(Callable[[], Message], GetMessageClass(descriptor))
        self.odata_type: str = descriptor.GetOptions().Extensions[odata_pb2.odata_type]
        subtypes = [f for f in descriptor.fields if f.containing_oneof and is_subtype(f)]
        self.choices = [_names(one) for one in descriptor.oneofs if not any(f in subtypes for f in one.fields)]
        self.subtype_oneof = next((f.containing_oneof.name for f in subtypes if f.containing_oneof), "")
        self.unknown = next((f.name for f in subtypes if f.message_type is UNKNOWN), "")
        self.subtypes = {f.name: codec(f.message_type, beta=beta) for f in subtypes if f.name != self.unknown}
        self.subtype_names = {type_key(c.odata_type): name for name, c in self.subtypes.items()}
        self.subtypes_spelled = {c.odata_type: name for name, c in self.subtypes.items()}  # as Graph spells them
        self.endings = {key.rpartition(".")[2] for key in (*self.subtype_names, type_key(self.odata_type))}
        fields = [Field(f, beta, codec) for f in descriptor.fields if f not in subtypes]
        self.others = next((f.name for f in fields if f.holds_others), "")
        self.fields = [f for f in fields if not (f.holds_others or f.in_header) and (beta or not f.in_beta)]
        self.hidden = [f for f in fields if f.in_beta and not beta]
        self.names = frozenset(f.json_name for f in fields if not f.holds_others)

    def to_json(self, message: Message, at: str = "", *, answer: bool = False) -> Json:
        """The message as Graph's JSON object. answer: with the output-only fields, which Graph is never sent.

        Raises ODataError for an `unknown` target that is no JSON object, or whose type ends like one that has a message of its
        own; and for a base type that carries more than a filter.
        """
        subtype = message.WhichOneof(self.subtype_oneof) if self.subtype_oneof else None
        if subtype is None:
            out = {TYPE: self.odata_type} if self.odata_type else {}
        elif subtype == self.unknown:
            out = self._unknown_to_json(message, _join(at, subtype), answer)
        else:
            out = self.subtypes[subtype].to_json(getattr(message, subtype), _join(at, subtype), answer=answer)
        for field in self.fields:
            if (answer or not field.output_only) and field.is_set(message):
                out[field.json_name] = field.to_json(getattr(message, field.name), _join(at, field.name), answer)
        for field in self.hidden:
            out.pop(field.json_name, None)
        if self.others and getattr(message, self.others) and (answer or self.subtype_oneof):
            if subtype is None and not answer:
                raise ODataError(_join(at, self.others), "is not allowed with the base type: choose a concrete target")
            out |= self._others_to_json(message, out, _join(at, self.others), answer)
        return out

    def from_json(self, value: Any, at: str = "", *, strict: bool = False) -> Message:
        """A message from Graph's JSON object; null is absent. Properties without a field go into the field for such, if the
        message has one.

        strict: for input of callers; an enum spelling that the protos lack is refused, not taken as unspecified, and so is what
        this version of Graph hides. Raises ODataError where a value has the wrong type.
        """
        message = self.make()
        self.read_into(message, value, at, strict)
        return message

    def read_into(self, message: Message, value: Any, at: str, strict: bool) -> None:
        """The same, into a message that is empty."""
        if not isinstance(value, dict):
            raise ODataError(at, "has to be a JSON object")
        if strict and not self.odata_type:
            self._check_names(value, at)
        subtype = self._read_subtype(message, value, at, strict) if self.subtype_oneof else ""
        for field in self.fields:
            found = value.get(field.json_name)
            if found is not None:
                field.read(message, found, _join(at, field.json_name), strict)
        if strict and any(not field.means_nothing(value.get(field.json_name)) for field in self.hidden):
            raise ODataError(at, f"v1.0 has no {' and no '.join(f.json_name for f in self.hidden)}: use beta")
        if self.others and not (subtype and subtype == self.unknown):
            own = self.names | self.subtypes[subtype].names if subtype else self.names
            others = {k: v for k, v in value.items() if k not in own and "@" not in k}
            if others:
                setattr(message, self.others, dumps(others))

    def _check_names(self, value: Json, at: str) -> None:
        """Of a message of the gateway's own, which Graph does not know: what is misspelled is not left out silently, nor one of
        two choices."""
        for name in value:
            if name not in self.names and "@" not in name:
                own = ", ".join(sorted(self.names))
                raise ODataError(_join(at, name[:64]), f"is not a property of this object; its properties are {own}")
        for names in self.choices:
            if len(given := [name for name in names if value.get(name) is not None]) > 1:
                raise ODataError(at, f"may have only one of {', '.join(given)}")

    def _read_subtype(self, message: Message, value: Json, at: str, strict: bool) -> str:
        """The member of the oneof that it is; empty for the base type."""
        name = value.get(TYPE) or self.odata_type
        if not isinstance(name, str):
            raise ODataError(_join(at, TYPE), "has to be a string")
        if subtype := self.subtypes_spelled.get(name) or self.subtype_names.get(type_key(name)):
            of_subtype = getattr(message, subtype)
            of_subtype.SetInParent()
            self.subtypes[subtype].read_into(of_subtype, value, at, strict)
            return subtype
        if type_key(name) == type_key(self.odata_type):
            return ""
        # Graph's annotations are ignored (docs/graph.md §2), a caller's refused.
        text = dumps({k: v for k, v in value.items() if k != TYPE and (strict or k[:1] != "@")})
        getattr(message, self.unknown).MergeFrom(UnknownAssignmentTarget(odata_type="#" + name.removeprefix("#"), json=text))
        return self.unknown

    def _others_to_json(self, message: Message, out: Json, at: str, answer: bool) -> Json:
        others = _object(getattr(message, self.others), at, answer)
        known = {name.lower() for name in (*out, *self.names)}
        if not answer and any(name.lower() in known or "@" in name for name in others):
            raise ODataError(at, "may have only properties that have no field of their own")
        return others

    def _unknown_to_json(self, message: Message, at: str, answer: bool) -> Json:
        unknown: UnknownAssignmentTarget = getattr(message, self.unknown)
        # Whatever stands before the name: `graph` alone is an alias of `microsoft.graph`, and there may be more.
        if not answer and type_key(unknown.odata_type).rpartition(".")[2] in self.endings:
            raise ODataError(_join(at, "odata_type"), "ends like the name of a known type: use the field of that type")
        at = _join(at, "json")
        inner = _object(unknown.json or "{}", at, answer)
        if not answer and any(k[:1] == "@" for k in inner):
            raise ODataError(at, "may have no property that begins with @: the type belongs in odata_type")
        beside = self.make()
        for field in self.fields:
            spelled = [k for k in inner if k.lower() == field.json_name.lower()]
            if spelled not in ([], [field.json_name]):
                raise ODataError(at, f"has {field.json_name} more than once, or in another case")
            field.read(beside, inner.get(field.json_name), _join(at, field.json_name), strict=True)
            if spelled and not field.same(beside, message):
                raise ODataError(at, f"has another value of {field.json_name} than the field {field.name}")
        return {TYPE: "#" + unknown.odata_type.removeprefix("#"), **inner}


def _object(text: str, at: str, answer: bool) -> Json:
    """answer: the text is Graph's, whatever it holds; otherwise a caller's."""
    try:
        value = loads(text) if answer else loads_strictly(text.encode())
    except JsonError as exc:
        raise ODataError(at, f"has to be a JSON object; {exc.at} {exc.rule}") from exc
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ODataError(at, "has to be a JSON object")
    return value


def is_subtype(field: FieldDescriptor) -> bool:
    """Whether the field's JSON is the target's own object, with another type."""
    message = field.message_type
    return message is not None and (message is UNKNOWN or message.GetOptions().HasExtension(odata_pb2.odata_target))


def _names(one: OneofDescriptor) -> list[str]:
    return [field.json_name for field in one.fields]


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name
