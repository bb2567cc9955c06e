"""The building blocks of the configuration's sections."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, WithJsonSchema

from gateway.names import NAME, NAME_RULE

GUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
TOKEN_HASH = r"^sha256:([0-9a-f]{32}:)?[0-9a-f]{64}$"  # noqa: S105 - a pattern
READ = r"^[A-Za-z][A-Za-z0-9]*(/([A-Za-z][A-Za-z0-9]*|\{id\}|\$count))*$"
PREFIX = r"^(/[A-Za-z0-9_~-]+)+$"
ORIGIN = r"^https?://[A-Za-z0-9.:\[\]-]+$"
# What to say if a value does not match a pattern.
PATTERNS = {
    GUID: "a GUID",
    READ: "a path in Graph without a leading slash, with {id} for keys, such as users/{id}",
    PREFIX: "a path such as /localtest",
    ORIGIN: "an origin such as https://portal.example",
    TOKEN_HASH: "a hash that `compliance-gateway token NAME` prints: sha256: and 64 hexadecimal digits",
}


def _named(name: str) -> str:
    if not re.search(NAME, name):
        raise ValueError(NAME_RULE)
    return name


Name = Annotated[str, AfterValidator(_named)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ConfigError(Exception):
    """The configuration cannot be used; `mistakes` has a line for each fault: where, and what is wrong."""

    def __init__(self, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(mistakes))


class Section(BaseModel):
    """A section of the file. The string below each field documents it; docs/generate.py puts it into docs/configuration.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)


def _existing(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the folder of the configuration file."""
    path = Path((info.context or {}).get("folder", ".")) / path
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


# The schemas are for docs/configuration.md. read_anew: the running gateway reloads the file when it changes.
ExistingFile = Annotated[Path, AfterValidator(_existing), WithJsonSchema({"type": "file"})]
WatchedFile = Annotated[ExistingFile, WithJsonSchema({"type": "file", "read_anew": True})]
