"""The fields of a message: how each is read from and written to Graph's JSON."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.vendored.buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.odata.timestamps import format_timestamp, parse_timestamp

ZERO_GUID = "00000000-0000-0000-0000-000000000000"

Json = dict[str, Any]
ToJson = Callable[[Any, str, bool], Any]
FromJson = Callable[[Any, str, bool], Any]


class OfMessage(Protocol):
    """A codec, as its fields need it."""

    def to_json(self, message: Message, at: str = "", *, answer: bool = False) -> Json: ...

    def from_json(self, value: Any, at: str = "", *, strict: bool = False) -> Message: ...

    def read_into(self, message: Message, value: Any, at: str, strict: bool) -> None: ...


class CodecOf(Protocol):
    """Gives the codec of a message type."""

    def __call__(self, descriptor: Descriptor, *, beta: bool) -> OfMessage: ...


class ODataError(ValueError):
    """The value at `at` breaks `rule`. `at` is a path of proto field names in messages, of JSON names in JSON."""

    def __init__(self, at: str, rule: str) -> None:
        self.at, self.rule = at, rule
        super().__init__(f"{at}: {rule}")


@cache
def most_items(field: FieldDescriptor) -> int:
    """How many items a repeated field may have by its rule in the proto; 0 where it has none."""
    return int(field.GetOptions().Extensions[validate_pb2.field].repeated.max_items) if field.is_repeated else 0


class Field:
    """One field: how it is read from and written to JSON. codec_of: gives the codec of another message type."""

    def __init__(self, field: FieldDescriptor, beta: bool, codec_of: CodecOf) -> None:
        options = field.GetOptions()
        self.in_beta = options.Extensions[odata_pb2.odata_beta]
        self.holds_others = options.Extensions[odata_pb2.odata_other_properties]
        self.in_header = bool(options.Extensions[odata_pb2.odata_header])
        self.name, self.json_name, self.repeated = field.name, field.json_name, field.is_repeated
        self.output_only = field_behavior_pb2.OUTPUT_ONLY in options.Extensions[field_behavior_pb2.field_behavior]
        self.has_presence, self.default = field.has_presence, field.default_value
        self.empties: tuple[str | None, ...] = (
            (None, ZERO_GUID) if options.Extensions[odata_pb2.odata_zero_guid_is_empty] else (None,)
        )
        self.is_message = field.message_type is not None
        self.inner = codec_of(field.message_type, beta=beta) if field.message_type and _is_ours(field.message_type) else None
        self.to_json, self.from_json = _converters(field, beta, codec_of)
        if self.repeated:
            self.to_json, self.from_json = _each(self.to_json), _array(_each(self.from_json), most_items(field))

    def is_set(self, message: Message) -> bool:
        if self.has_presence:
            return message.HasField(self.name)
        return bool(getattr(message, self.name)) and getattr(message, self.name) not in self.empties

    def same(self, one: Message, other: Message) -> bool:
        """Whether both messages say the same; the zero of an enum is the same as its first value, `none`."""
        values = [getattr(m, self.name) for m in (one, other)]
        return len({"" if v in (*self.empties, 0, 1) else str(v).lower() for v in values}) == 1

    def means_nothing(self, value: Any) -> bool:
        """Whether the JSON value says no more than an absent one."""
        return value in (*self.empties, "none")

    def read(self, message: Message, value: Any, at: str, strict: bool) -> None:
        if value in self.empties:
            return
        if self.inner is not None and not self.repeated:
            inner = getattr(message, self.name)
            inner.SetInParent()
            self.inner.read_into(inner, value, at, strict)
            return
        converted = self.from_json(value, at, strict)
        if self.repeated:
            getattr(message, self.name).extend(converted)
        elif self.is_message:
            getattr(message, self.name).MergeFrom(converted)
            getattr(message, self.name).SetInParent()
        else:
            setattr(message, self.name, converted)


def _is_ours(message: Descriptor) -> bool:
    """Whether it has a codec, and no text form of its own."""
    return message not in (Timestamp.DESCRIPTOR, Duration.DESCRIPTOR, FieldMask.DESCRIPTOR)


SCALARS: Mapping[int, tuple[type, str, int]] = {
    FieldDescriptor.TYPE_STRING: (str, "a string", 0),
    FieldDescriptor.TYPE_BOOL: (bool, "true or false", 0),
    FieldDescriptor.TYPE_INT32: (int, "an integer", 32),
    FieldDescriptor.TYPE_INT64: (int, "an integer", 64),
}


def _converters(field: FieldDescriptor, beta: bool, codec_of: CodecOf) -> tuple[ToJson, FromJson]:
    if field.message_type is Timestamp.DESCRIPTOR:
        return (lambda value, _at, _answer: format_timestamp(value)), _timestamp_from_json
    if field.message_type in (Duration.DESCRIPTOR, FieldMask.DESCRIPTOR):
        return (lambda value, _at, _answer: value.ToJsonString()), _text_reader(field.message_type)
    if field.message_type is not None:
        inner = codec_of(field.message_type, beta=beta)
        return (
            lambda value, at, answer: inner.to_json(value, at, answer=answer),
            lambda value, at, strict: inner.from_json(value, at, strict=strict),
        )
    if field.enum_type is not None:
        return _enum_converters(field.enum_type)
    kind, words, bits = SCALARS[field.type]

    def from_json(value: Any, at: str, _strict: bool) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ODataError(at, f"has to be {words}")
        if isinstance(value, int) and bits and not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ODataError(at, f"has to be an integer of {bits} bits")
        return value

    return (lambda value, _at, _answer: value), from_json


def _enum_converters(enum: EnumDescriptor) -> tuple[ToJson, FromJson]:
    names = {v.number: v.GetOptions().Extensions[odata_pb2.odata_name] for v in enum.values}
    numbers = {name.lower(): number for number, name in names.items() if name}
    allowed = ", ".join(dict.fromkeys(name for name in names.values() if name))

    def from_json(value: Any, at: str, strict: bool) -> int:
        if not isinstance(value, str):
            raise ODataError(at, "has to be a string")
        if strict and value.lower() not in numbers:
            raise ODataError(at, f"has to be one of {allowed}")
        return numbers.get(value.lower(), 0)

    return (lambda value, _at, _answer: names[value]), from_json


def _timestamp_from_json(value: Any, at: str, _strict: bool) -> Timestamp:
    try:
        return parse_timestamp(value)
    except (TypeError, ValueError):
        raise ODataError(at, "has to be a DateTimeOffset such as 2026-11-24T11:38:22.1234567Z") from None


def _text_reader(descriptor: Descriptor) -> FromJson:
    """Of a type that has a text form in JSON."""
    words = {Duration.DESCRIPTOR: "seconds, such as 1.5s"}.get(descriptor, "property paths such as target, separated by commas")

    def from_json(value: Any, at: str, _strict: bool) -> Any:
        read: Any = GetMessageClass(descriptor)()
        try:
            read.FromJsonString(value)
        except (AttributeError, TypeError, ValueError):
            raise ODataError(at, f"has to be {words}") from None
        return read

    return from_json


def _each(one: Callable[[Any, str, bool], Any]) -> Callable[[Any, str, bool], list[Any]]:
    return lambda values, at, flag: [one(value, f"{at}[{i}]", flag) for i, value in enumerate(values)]


def _array(each: FromJson, most: int) -> FromJson:
    def from_json(values: Any, at: str, strict: bool) -> Any:
        if not isinstance(values, list):
            raise ODataError(at, "has to be an array")
        if most and len(values) > most:  # before anything is made of them
            raise ODataError(at, f"may have at most {most} items")
        return each(values, at, strict)

    return from_json
