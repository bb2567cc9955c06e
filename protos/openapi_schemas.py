"""Graph's JSON objects as schemas, from the descriptors, their rules, their options and their comments."""

from typing import Any

from compliance_gateway.v1 import odata_pb2
from compliance_gateway.v1.assignment_pb2 import UnknownAssignmentTarget
from compliance_gateway.vendored.buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from openapi_words import constants_of, in_words_of_rest

from gateway.odata.codec import is_subtype

Json = dict[str, Any]

TYPE = "@odata.type"
GUID = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"

# Messages that are a text in JSON.
TEXTS: dict[str, Json] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
}
BITS = {FieldDescriptor.TYPE_INT32: 32, FieldDescriptor.TYPE_INT64: 64}


def comments_of(files: FileDescriptorSet) -> dict[str, str]:
    """The leading comments in REST's words, by full name. files: with source info."""
    found, constants = {}, constants_of(files)
    for file in files.file:
        for location in file.source_code_info.location:
            name = _name_at(file, list(location.path))
            if name and location.leading_comments:
                comment = " ".join(line.strip() for line in location.leading_comments.strip().splitlines())
                found[name] = in_words_of_rest(comment, constants)
    return found


def _name_at(file: FileDescriptorProto, path: list[int]) -> str:
    """The full name of what a source location is about; empty for other locations."""
    names, node = [file.package], file
    for field_number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number[field_number]
        if not field.is_repeated or field.message_type is None:
            return ""
        node = getattr(node, field.name)[index]
        names.append(getattr(node, "name", ""))
    return ".".join(names) if path and len(path) % 2 == 0 else ""


def reference(descriptor: Descriptor, beta: bool, comments: dict[str, str], schemas: Json) -> Json:
    odata_type = descriptor.GetOptions().Extensions[odata_pb2.odata_type]
    own = descriptor.full_name.removeprefix(f"{descriptor.file.package}.")  # a type that Graph does not have
    name = f"{'beta' if beta else 'v1.0'}.{odata_type.rpartition('.')[2] or own[0].lower() + own[1:]}"
    if name not in schemas:
        schemas[name] = {}  # it may refer to itself
        schemas[name] = _schema(descriptor, odata_type, beta, comments, schemas)
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(descriptor: Descriptor, odata_type: str, beta: bool, comments: dict[str, str], schemas: Json) -> Json:
    members = [f for f in descriptor.fields if f.containing_oneof and is_subtype(f)]
    shown = [f for f in descriptor.fields if _is_shown(f, beta)]
    properties: Json = {f.json_name: property_of(f, beta, comments, schemas) for f in shown}
    about = {"type": "object", "description": comments.get(descriptor.full_name, "")}
    if not members:
        required = [TYPE] if "Target" in descriptor.name else []  # which of the subtypes it is
        required += [f.json_name for f in shown if is_required(f)]
        named = {TYPE: {"type": "string", "enum": _spellings(odata_type)}} if odata_type else {}
        needed = {"required": required} if required else {}
        return {**about, **needed, "properties": {**named, **properties}, **choices(descriptor)}
    known = {f.message_type.GetOptions().Extensions[odata_pb2.odata_type]: f.message_type for f in members}
    references = {name: reference(found, beta, comments, schemas) for name, found in known.items() if name}
    name = f"{'beta' if beta else 'v1.0'}.otherAssignmentTarget"
    others = {"type": "string", "not": {"enum": [spelling for name in references for spelling in _spellings(name)]}}
    words = comments.get(UnknownAssignmentTarget.DESCRIPTOR.full_name, "")
    schemas[name] = {
        "type": "object",
        "description": f"{words} Or, with its own type or none, the abstract one.",
        "properties": {TYPE: others},
    }
    mapping = {name: found["$ref"] for name, found in references.items()}
    other = {"$ref": f"#/components/schemas/{name}"}
    return {
        **about,
        "properties": properties,
        "discriminator": {"propertyName": TYPE, "mapping": {**mapping, odata_type: other["$ref"]}},
        "anyOf": [*references.values(), other],
    }


def _spellings(odata_type: str) -> list[str]:
    """With its `#` and, as some of Microsoft's pages have it, without."""
    return [odata_type, odata_type.removeprefix("#")]


def _is_shown(field: FieldDescriptor, beta: bool) -> bool:
    options = field.GetOptions()
    if options.Extensions[odata_pb2.odata_other_properties] or options.Extensions[odata_pb2.odata_header] or is_subtype(field):
        return False
    return beta or not options.Extensions[odata_pb2.odata_beta]


def is_required(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


def choices(descriptor: Descriptor) -> Json:
    """Of the choices that have to be made, one each."""
    required = [one for one in descriptor.oneofs if one.GetOptions().Extensions[validate_pb2.oneof].required]
    found = [{"oneOf": [{"required": [f.json_name]} for f in one.fields]} for one in required if not is_subtype(one.fields[0])]
    return found[0] if found else {}


def _is_choice(field: FieldDescriptor) -> bool:
    return field.containing_oneof is not None and len(field.containing_oneof.fields) > 1


def property_of(field: FieldDescriptor, beta: bool, comments: dict[str, str], schemas: Json) -> Json:
    out: Json = {"description": comments.get(field.full_name, "")}
    if field.message_type and field.message_type.full_name in TEXTS:
        out |= TEXTS[field.message_type.full_name]
    elif field.message_type:
        inner = reference(field.message_type, beta, comments, schemas)
        rules = field.GetOptions().Extensions[validate_pb2.field].repeated
        bounds = {"minItems": rules.min_items, "maxItems": rules.max_items}
        out |= {"type": "array", "items": inner, **{k: v for k, v in bounds.items() if v}} if field.is_repeated else inner
    elif field.enum_type:
        names = [value.GetOptions().Extensions[odata_pb2.odata_name] for value in field.enum_type.values]
        out |= {"type": ["string", "null"], "enum": [*dict.fromkeys(filter(None, names)), None]}
    else:
        out |= rules_of(field, field.json_name)
        if not (is_required(field) or _is_choice(field)):
            out["type"] = [out["type"], "null"]
    if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]:
        out["readOnly"] = True
    return out


def rules_of(field: FieldDescriptor, at: str) -> Json:
    """A scalar's type and the rules of buf.validate."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if bits := BITS.get(field.type):
        bounds = rules.int32 if bits == 32 else rules.int64
        least = 1 if at == "$top" else bounds.gte
        return {"type": "integer", "minimum": least, "maximum": bounds.lte if bounds.HasField("lte") else (1 << bits - 1) - 1}
    text = rules.string
    pattern = GUID if text.uuid else text.pattern
    longest = {"maxLength": text.max_len} if text.HasField("max_len") else {}
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **longest}
