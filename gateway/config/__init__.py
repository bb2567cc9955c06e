"""The configuration: pydantic models, read once from TOML, every fault reported at once.

Secrets are never in the file: they are named by `file` or `env`. Security settings have no default that opens something;
operational settings all have good ones. Units are in the names: `_s` seconds, `_bytes` bytes.
"""

import re
import tomllib
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from gateway.config.base import PATTERNS, ConfigError, Name, Section
from gateway.config.doors import Authorization, Callers, Server, StaticSection, Tls
from gateway.config.drift import Drift
from gateway.config.exposure import exposed
from gateway.config.quota import Quota
from gateway.config.rest import Rest
from gateway.config.stores import LedgerConfig
from gateway.config.tenants import Graph, Tenant

__all__ = [
    "Authorization", "Callers", "Config", "ConfigError", "Graph", "LedgerConfig", "Quota", "Rest", "Server",
    "Tenant", "Tls", "exposed", "load", "load_authorization", "load_ledger", "load_static", "parse", "parse_ledger",
]  # fmt: skip


class Config(Section):
    """The whole file."""

    server: Server = Server()
    """Where callers come in."""
    rest: Rest = Rest()
    """What the REST door passes on to Graph."""
    callers: Callers
    """Who may call."""
    authorization: Authorization
    """By which rules callers may what."""
    tenants: dict[Name, Tenant] = Field(min_length=1)
    """The Entra tenants, by name."""
    graph: Graph = Graph()
    """How Graph is spoken to."""
    quota: Quota = Quota()
    """How callers share each tenant's quota."""
    ledger: LedgerConfig = Field(default_factory=dict, validate_default=True)
    """The record of every write."""
    drift: Drift = Drift()
    """How changes by others are found."""

    @model_validator(mode="before")
    @classmethod
    def replicas_share_the_ledger(cls, values: Any) -> Any:
        """Tells what became of [locks]."""
        if isinstance(values, dict) and "locks" in values:
            raise ValueError('locks: is no more; replicas share nothing but [ledger] url = "postgresql://…": remove it')
        return values

    @model_validator(mode="after")
    def client_certificates_have_a_port(self) -> Self:
        if (self.callers.mtls is None) != (self.server.mtls is None):
            raise ValueError("callers.mtls and server.mtls need each other")
        return self


class StaticFile(BaseModel):
    """A whole file, of which only [callers.static] counts."""

    callers: StaticSection = StaticSection()


# Errors of pydantic's by type, and how its other messages begin.
WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "model_type": "has to be a table",
    "dict_type": "has to be a table",
    "list_type": "has to be a list",
}
PYDANTIC = re.compile(r"^(Input|Value|String|List|Dictionary|Tuple|URL) should ")
Values = dict[str, Any]
Model = TypeVar("Model", bound=BaseModel)


def load(path: Path) -> Config:
    """Reads the file. Raises ConfigError with every fault in it."""
    return parse(_read(path), folder=path.parent, source=path)


def load_ledger(path: Path) -> LedgerConfig:
    """Reads the file's [ledger] alone: an auditor may have neither the secrets nor the certificates of the rest."""
    return parse_ledger(_read(path).get("ledger", {}), folder=path.parent)


def load_authorization(path: Path) -> Authorization:
    """Reads the file's [authorization] alone, so that mistakes in the rules are told beside mistakes in the file."""
    return _parse(Authorization, _read(path).get("authorization", {}), path.parent)


def load_static(path: Path) -> dict[str, str]:
    """Reads the file's [callers.static] alone: a caller that is taken out ends, whatever else is being changed in the file."""
    return dict(_parse(StaticFile, _read(path), path.parent).callers.static)


def parse(values: Values, folder: Path = Path(), source: Path | None = None) -> Config:
    """Checks values as TOML gives them; relative paths count from `folder`. source: the file that they are from. Raises
    ConfigError with every fault, which files that are open to others are where server.strict_files says so."""
    config = _parse(Config, values, folder)
    if config.server.strict_files and (mistakes := exposed(config, source)):
        raise ConfigError(mistakes)
    return config


def parse_ledger(values: Values, folder: Path = Path()) -> LedgerConfig:
    """As `parse`, for a [ledger]."""
    return _parse(LedgerConfig, values, folder)


def _read(path: Path) -> Values:
    """An empty file is refused: it is one that is just being written."""
    try:
        text = path.read_text()
        if text.strip():
            return tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError([f"{path}: {exc}"]) from exc
    raise ConfigError([f"{path}: is empty"])


def _parse(model: type[Model], values: Values, folder: Path) -> Model:
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as exc:
        raise ConfigError([f"{_place(e['loc'])}: {_rule(e)}" for e in exc.errors(include_input=False)]) from exc


def _place(loc: tuple[int | str, ...]) -> str:
    """The path of the fault, without the tag that pydantic puts after the number of a credential."""
    plain = [part for i, part in enumerate(loc) if part != "[key]" and not (i >= 2 and loc[i - 2] == "credentials")]
    return ".".join(map(str, plain)) or "config"


def _rule(error: Any) -> str:
    if error["type"] in WORDS:
        return WORDS[error["type"]]
    pattern = error.get("ctx", {}).get("pattern")
    if pattern in PATTERNS:
        return f"has to be {PATTERNS[pattern]}"
    return PYDANTIC.sub("has to ", str(error["msg"]).removeprefix("Value error, "))
