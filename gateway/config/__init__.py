"""The configuration: pydantic models, read from TOML. All faults of a file are reported together.

Secrets are never in the file itself: `file` or `env` says where each is. No security setting has a default that lets anybody
in; every operational setting has a default. Units are in the names: `_s` seconds, `_bytes` bytes.
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
    """The rules that say what callers may do."""
    tenants: dict[Name, Tenant] = Field(min_length=1)
    """The Entra tenants, by name."""
    graph: Graph = Graph()
    """How the gateway calls Graph."""
    quota: Quota = Quota()
    """How callers share each tenant's quota."""
    ledger: LedgerConfig = Field(default_factory=dict, validate_default=True)
    """The record of every write."""
    drift: Drift = Drift()
    """How changes by others are found."""

    @model_validator(mode="before")
    @classmethod
    def replicas_share_the_ledger(cls, values: Any) -> Any:
        """Says what replaced [locks]."""
        if isinstance(values, dict) and "locks" in values:
            raise ValueError('locks: was removed: replicas share only [ledger] url = "postgresql://…"')
        return values

    @model_validator(mode="after")
    def client_certificates_have_a_port(self) -> Self:
        if (self.callers.mtls is None) != (self.server.mtls is None):
            raise ValueError("callers.mtls and server.mtls have to be set together")
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
    """Reads only [ledger]: an auditor may have neither the secrets nor the certificates of the rest. Raises ConfigError."""
    return parse_ledger(_read(path).get("ledger", {}), folder=path.parent)


def load_authorization(path: Path) -> Authorization:
    """Reads only [authorization], so that mistakes in the rules are reported together with those in the file. Raises
    ConfigError."""
    return _parse(Authorization, _read(path).get("authorization", {}), path.parent)


def load_static(path: Path) -> dict[str, str]:
    """Reads only [callers.static]: removing a caller takes effect even if the rest of the file has faults just then. Raises
    ConfigError."""
    return dict(_parse(StaticFile, _read(path), path.parent).callers.static)


def parse(values: Values, folder: Path = Path(), source: Path | None = None) -> Config:
    """Validates values as tomllib returns them. folder: what relative paths are relative to. source: the file that they are
    from. Raises ConfigError with every fault; with server.strict_files, files open to other users are faults too."""
    config = _parse(Config, values, folder)
    if config.server.strict_files and (mistakes := exposed(config, source)):
        raise ConfigError(mistakes)
    return config


def parse_ledger(values: Values, folder: Path = Path()) -> LedgerConfig:
    """As `parse`, for a [ledger]."""
    return _parse(LedgerConfig, values, folder)


def _read(path: Path) -> Values:
    """Refuses an empty file, which somebody is probably just writing."""
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
