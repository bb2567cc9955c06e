"""What the protos say, in REST's words: fields and enum values as JSON and queries spell them, HTTP's statuses, and methods by
their paths."""

import re
from collections.abc import Iterator, Mapping

from compliance_gateway.v1 import odata_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

from gateway.doors.rest_requests import ELSEWHERE
from gateway.errors import Kind
from gateway.operations import OPERATIONS

# A field of answers that has another form there.
ANSWERED = {"next_page_token": "$skiptoken` of `@odata.nextLink"}
# What is said beside, for who reads the proto.
ASIDE = re.compile(r" \((?:AIP-\d+|REST: [\w-]+)\)")
FIELD = re.compile(r"`([a-z_.]+_[a-z_.]+…?)`")
CONSTANT = re.compile(r"(?<![`\w])[A-Z][A-Z_]+(?![`\w])")
METHOD = re.compile(rf"(?<!`)\b({'|'.join(OPERATIONS)})(?:Request)?\b")


def constants_of(files: FileDescriptorSet) -> dict[str, str]:
    """What REST has for the names of gRPC's statuses, and for those of enum values, which come without their enum's."""
    return {kind.name: str(kind.http) for kind in Kind} | {name: word for file in files.file for name, word in _values(file)}


def in_words_of_rest(comment: str, constants: Mapping[str, str]) -> str:
    text = FIELD.sub(lambda found: f"`{_field(found[1])}`", ASIDE.sub("", comment))
    text = CONSTANT.sub(lambda found: constants.get(found[0], found[0]), text)
    return METHOD.sub(lambda found: f"`{_call(found[1])}`", text)


def _values(owner: FileDescriptorProto | DescriptorProto) -> Iterator[tuple[str, str]]:
    for enum in owner.enum_type:
        enum_name = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper()
        for value in enum.value:
            if word := value.options.Extensions[odata_pb2.odata_name]:
                yield value.name.removeprefix(f"{enum_name}_"), f"`{word}`"
    for inner in owner.message_type if isinstance(owner, FileDescriptorProto) else owner.nested_type:
        yield from _values(inner)


def _field(name: str) -> str:
    return ANSWERED.get(name) or ELSEWHERE.get(name) or re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _call(operation: str) -> str:
    rule = OPERATIONS[operation].http[0]
    return re.sub(
        r"{\w+}", "{id}", f"{rule.verb} …/deviceCompliancePolicies{rule.path.partition('deviceCompliancePolicies')[2]}"
    )
