"""A plug-in of protoc's that writes the protos anew, as text, without the options that buf.validate, google.api and OData's
spelling bring: what a client needs, and nothing that it would have to fetch. buf has left these out of the request."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

MEMBERS = {
    DescriptorProto: {"field": 2, "nested_type": 3, "enum_type": 4, "oneof_decl": 8},
    EnumDescriptorProto: {"value": 2},
    FileDescriptorProto: {"message_type": 4, "enum_type": 5, "service": 6},
}
Path = tuple[int, ...]


class Text:
    """The text of one file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._said = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}

    def lines(self) -> Iterator[str]:
        yield from ("// Written by protos/generate.py.", "")
        yield from self._comment((12,), "")
        yield from ('syntax = "proto3";', "", f"package {self._file.package};", "")
        if self._file.dependency:
            yield from (*(f'import "{name}";' for name in self._file.dependency), "")
        yield f'option java_package = "{self._file.options.java_package}";'  # of buf's managed mode, as is the next
        yield f"option java_multiple_files = {str(self._file.options.java_multiple_files).lower()};"
        for place, service in enumerate(self._file.service):
            yield from self._block((6, place), "", f"service {service.name}", self._methods(service, (6, place)))
        yield from self._types(self._file, (), "")

    def _types(self, owner: Any, path: Path, margin: str) -> Iterator[str]:
        numbers = MEMBERS[type(owner)]
        for kind, write in (("enum_type", self._values), ("message_type", self._fields), ("nested_type", self._fields)):
            word = "enum" if kind == "enum_type" else "message"
            for place, inner in enumerate(getattr(owner, kind, ())):
                at = (*path, numbers[kind], place)
                yield from self._block(at, margin, f"{word} {inner.name}", write(inner, at, margin + "  "))

    def _block(self, path: Path, margin: str, head: str, body: Iterator[str]) -> Iterator[str]:
        yield ""
        yield from self._comment(path, margin)
        yield from (f"{margin}{head} {{", *body, f"{margin}}}")

    def _methods(self, service: Any, path: Path) -> Iterator[str]:
        for place, method in enumerate(service.method):
            yield from self._comment((*path, 2, place), "  ")
            yield f"  rpc {method.name}({self._name(method.input_type)}) returns ({self._name(method.output_type)});"

    def _values(self, enum: EnumDescriptorProto, path: Path, margin: str) -> Iterator[str]:
        for place, value in enumerate(enum.value):
            yield from self._comment((*path, 2, place), margin)
            yield f"{margin}{value.name} = {value.number};"

    def _fields(self, message: DescriptorProto, path: Path, margin: str) -> Iterator[str]:
        yield from self._types(message, path, margin)
        numbered = list(enumerate(message.field))
        for choice, fields in groupby(numbered, key=lambda pair: _choice(pair[1])):
            written = [line for place, field in fields for line in self._field(field, (*path, 2, place), margin, choice)]
            if choice < 0:
                yield from written
            else:
                name = message.oneof_decl[choice].name
                yield from self._block((*path, 8, choice), margin, f"oneof {name}", iter(written))

    def _field(self, field: FieldDescriptorProto, path: Path, margin: str, choice: int) -> Iterator[str]:
        inner = margin + ("  " if choice >= 0 else "")
        label = "repeated " if field.label == field.LABEL_REPEATED else "optional " if field.proto3_optional else ""
        kind = self._name(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
        yield from self._comment(path, inner)
        yield f"{inner}{label}{kind} {field.name} = {field.number};"

    def _name(self, name: str) -> str:
        return name.removeprefix(f".{self._file.package}.").removeprefix(".")

    def _comment(self, path: Path, margin: str) -> Sequence[str]:
        said = self._said.get(path, "")
        return [f"{margin}//{line}" for line in said.removesuffix("\n").split("\n")] if said else []


def _choice(field: FieldDescriptorProto) -> int:
    """The index of the oneof; -1 for none."""
    return field.oneof_index if field.HasField("oneof_index") and not field.proto3_optional else -1


def answer(request: CodeGeneratorRequest) -> CodeGeneratorResponse:
    """A file of the same name for each that has something to say."""
    out = CodeGeneratorResponse(supported_features=CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    for file in request.proto_file:
        if file.name in request.file_to_generate and (file.message_type or file.enum_type or file.service):
            out.file.add(name=file.name, content="\n".join(Text(file).lines()) + "\n")
    return out


if __name__ == "__main__":
    sys.stdout.buffer.write(answer(CodeGeneratorRequest.FromString(sys.stdin.buffer.read())).SerializeToString())
