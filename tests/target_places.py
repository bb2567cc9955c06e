"""Every place that has to know a member of the target's oneof, as a question: does it? `forgotten` asks them all.

Asked with the member's name and its message, which need not be of the protos that the gateway was built with.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tomli_w
from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import odata_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass
from rest_json import NAMES
from test_clients import TARGETS
from typer.testing import CliRunner

from gateway.assignments.rows import key_of
from gateway.cli import app
from gateway.emulator.clock import Clock
from gateway.emulator.intune import Intune
from gateway.emulator.model import TYPES
from gateway.emulator.unconfirmed import Unconfirmed
from gateway.odata import codec
from gateway.odata.targets import KINDS, key_of_target, members_of
from gateway.pipeline.authorize import with_targets
from gateway.pipeline.cedar import Cedar, Question
from gateway.pipeline.entries import target_of
from gateway.pipeline.rules import RulesError

ROOT = Path(__file__).parents[1]
TYPE, GUID, OTHER = "@odata.type", "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f", "1d2e3f40-5162-4738-8495-a6b7c8d9eaf0"
ASKED = Question("caller", "CreateComplianceAssignment", "tenant", "policy")
TARGET = codec(pb.DeviceAndAppManagementAssignmentTarget.DESCRIPTOR)


@dataclass(frozen=True)
class Member:
    """A member of the oneof. target: the descriptor of the message with the oneof."""

    name: str
    message: Descriptor
    target: Descriptor

    def json(self, value: str = GUID) -> dict[str, str]:
        """A target of this type, every property with this value."""
        name = self.message.GetOptions().Extensions[odata_pb2.odata_type]
        return {TYPE: name, **{field.json_name: value for field in self.message.fields}}

    @property
    def camel(self) -> str:
        return "".join(word.title() for word in self.name.split("_"))

    @property
    def lower_camel(self) -> str:
        return self.camel[0].lower() + self.camel[1:]


def known_by_type(member: Member, _: Path) -> bool:
    """A key that no other property changes, and that the id changes."""
    keys = [key_of_target(target) for target in (member.json(), {**member.json(), "surprise": 1}, member.json(OTHER))]
    return member.name in KINDS and keys[0] == keys[1] and (keys[0] == keys[2]) == (not member.message.fields)


def known_to_rows(member: Member, _: Path) -> bool:
    return key_of({"target": member.json()}) == key_of({"target": {**member.json(), "surprise": 1}})


def known_to_authorisation(member: Member, _: Path) -> bool:
    asked = with_targets(ASKED, [member.json()], [member.json(OTHER)])
    ids = [frozenset({value} if member.message.fields else ()) for value in (GUID, OTHER)]
    return (asked.kinds, asked.added_ids, asked.removed_ids) == (frozenset({member.name}), *ids)


def known_to_cedar(member: Member, folder: Path) -> bool:
    """Who may this kind alone may; a target that names nobody means everyone, which needs a permit more."""
    rules = folder / f"{member.name}.cedar"
    rules.write_text(
        f'permit(principal, action, resource) when {{ ["{member.name}"].containsAll(context.kinds) }}'
        ' unless { action == Action::"TouchEveryone" };'
    )
    try:
        missing = Cedar(rules).ask(with_targets(ASKED, [member.json()], ())).missing
    except RulesError:
        return False
    return missing == ("" if member.message.fields else "TouchEveryone")


def known_to_entries(member: Member, _: Path) -> bool:
    message = GetMessageClass(member.target.file.message_types_by_name["DeviceCompliancePolicyAssignment"])()
    inner = getattr(message.target, member.name)
    inner.SetInParent()
    for field in member.message.fields:
        setattr(inner, field.name, GUID)
    try:
        return target_of(message) == " ".join([member.name, *(GUID for _ in member.message.fields)])
    except KeyError:
        return False


def known_to_the_codec(member: Member, _: Path) -> bool:
    return TARGET.from_json(member.json()).WhichOneof("type") == member.name


def known_to_the_command(member: Member, folder: Path) -> bool:
    """`authorize --target` takes it: it answers, by 0 or 1."""
    text = f"{member.name}:{GUID}" if member.message.fields else member.name
    known = ("--config", str(config(folder)), "--caller", ASKED.caller, "--operation", ASKED.operation)
    return CliRunner().invoke(app, ["authorize", *known, "--target", text]).exit_code in (0, 1)


def known_to_the_emulator(member: Member, _: Path) -> bool:
    """Of its list of types, and with a row id that no other property changes."""
    intune = Intune(Clock(), Unconfirmed())
    intune.add_policy("p", "P", [{"target": member.json()}, {"target": {**member.json(), "surprise": 1}}])
    one, other = (row["id"] for row in intune.read("p"))
    return member.json()[TYPE].rpartition(".")[2] in TYPES.values() and one == other


def known_to_the_cases(member: Member, _: Path) -> bool:
    cases = json.loads((ROOT / "tests/cases/operations.json").read_text())
    return any(
        member.lower_camel in case["request"].get("assignment", {}).get("target", {})
        for case in cases
        if case["operation"] == "CreateComplianceAssignment" and case["grpc"] == "OK"
    )


def known_to_the_clients_tests(member: Member, _: Path) -> bool:
    return any(member.name in target for target in TARGETS.values())


def known_to_the_rest_caller(member: Member, _: Path) -> bool:
    own = [text for field in member.message.fields for text in (field.json_name, field.name)] or ["", ""]
    return NAMES.get(member.name) == (member.json()[TYPE].rpartition(".")[2], *own)


def known_to_openapi(member: Member, _: Path) -> bool:
    return f'"{member.json()[TYPE]}"' in text_of("gateway/doors/docs/openapi.json")


# The file with a line for each target, and how the member is spelled in it.
CLIENTS: Mapping[str, tuple[str, Callable[[Member], str]]] = {
    "go": ("targets.go", lambda member: f"DeviceAndAppManagementAssignmentTarget_{member.camel}{{"),
    "java": ("src/main/java/com/compliance_gateway/client/Targets.java", lambda member: f".set{member.camel}("),
    "python": ("compliance_gateway/targets.py", lambda member: f"Target({member.name}="),
    "rust": ("src/targets.rs", lambda member: f"Type::{member.camel}("),
    "typescript": ("src/targets.ts", lambda member: f'case: "{member.lower_camel}"'),
}


def in_client(language: str) -> Callable[[Member, Path], bool]:
    file, spelling = CLIENTS[language]
    return lambda member, _: spelling(member) in text_of(f"clients/{language}/{file}")


PLACES: Mapping[str, Callable[[Member, Path], bool]] = {
    "targets": known_by_type,
    "rows": known_to_rows,
    "authorisation": known_to_authorisation,
    "Cedar": known_to_cedar,
    "entries": known_to_entries,
    "codec": known_to_the_codec,
    "authorize --target": known_to_the_command,
    "openapi.json": known_to_openapi,
    "emulator": known_to_the_emulator,
    "cases/operations.json": known_to_the_cases,
    "the clients' tests": known_to_the_clients_tests,
    "the REST caller": known_to_the_rest_caller,
    **{f"clients/{language}": in_client(language) for language in CLIENTS},
}


def forgotten(target: Descriptor, folder: Path) -> Iterator[tuple[str, str]]:
    """Each member of the oneof of `target` with a place that does not know it. folder: for files."""
    for name, message in members_of(target).items():
        member = Member(name, message, target)
        yield from ((name, place) for place, knows in PLACES.items() if not knows(member, folder))


@cache
def text_of(path: str) -> str:
    return (ROOT / path).read_text()


def config(folder: Path) -> Path:
    """A configuration whose rules permit nothing."""
    (folder / "secret").write_text("x")
    (folder / "rules.cedar").write_text("")
    credentials = [{"kind": "secret", "file": str(folder / "secret")}]
    path = folder / "gateway.toml"
    values = {
        "callers": {"static": {"caller": "sha256:" + "0" * 32 + ":" + "0" * 64}},
        "authorization": {"rules_file": str(folder / "rules.cedar")},
        "tenants": {"t": {"tenant_id": GUID, "client_id": GUID, "cloud": "global", "credentials": credentials}},
    }
    path.write_text(tomli_w.dumps(values))
    return path
