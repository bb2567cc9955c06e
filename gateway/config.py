"""The configuration: pydantic models, read once from TOML, every fault reported at once.

Secrets are never in the file: they are named by `file` or `env`. Security settings have no default that opens something;
operational settings all have good ones. Units are in the names: `_s` seconds, `_bytes` bytes.
"""

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

GUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"
TOKEN_HASH = r"^sha256:[0-9a-f]{32}:[0-9a-f]{64}$"  # noqa: S105 - a pattern
Name = Annotated[str, Field(pattern=NAME)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class ConfigError(Exception):
    """The configuration cannot be used; `faults` has a line for each fault: where, and what is wrong."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _existing(path: Path, info: ValidationInfo) -> Path:
    """Relative paths count from the folder of the configuration file."""
    path = Path((info.context or {}).get("folder", ".")) / path
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


ExistingFile = Annotated[Path, AfterValidator(_existing)]


class Server(Section):
    """Where callers come in, and how much they may ask for."""

    grpc: str = "127.0.0.1:50051"
    insecure: bool = False
    default_deadline_s: Seconds = 30
    max_request_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    drain_notice_s: float = Field(default=1, ge=0, le=300)
    drain_s: Seconds = 30

    @model_validator(mode="after")
    def plain_text_stays_on_loopback(self) -> Self:
        host, colon, port = self.grpc.rpartition(":")
        if not colon or not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
            raise ValueError('grpc: has to be "host:port", such as "127.0.0.1:50051"')
        if not (self.insecure or is_loopback(host)):
            raise ValueError(f"grpc: {host} is not a loopback address and the door is plain text; insecure = true allows it")
        return self


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback ranges."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Callers(Section):
    """Who may call. `static`: caller name -> salted hash of its token (`compliance-gateway token` makes both)."""

    static: dict[Name, Annotated[str, Field(pattern=TOKEN_HASH)]] = {}

    @model_validator(mode="after")
    def some_authenticator(self) -> Self:
        if not self.static:
            raise ValueError("no caller authenticator: add [callers.static] with at least one caller")
        return self


class SecretCredential(Section):
    """A client secret from a file or an environment variable."""

    kind: Literal["secret"]
    file: ExistingFile | None = None
    env: str | None = None

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("exactly one of file and env says where the secret is")
        if self.env is not None and not os.environ.get(self.env):
            raise ValueError(f"the environment variable {self.env} is not set")
        if self.file is not None and not self.file.read_text().strip():
            raise ValueError(f"the file {self.file} is empty")
        return self

    def read(self) -> SecretStr:
        """The secret as it is now."""
        return SecretStr(self.file.read_text().strip() if self.file else os.environ[self.env or ""])


class Tenant(Section):
    """One Entra tenant. Its cloud by name, or by `authority` and `graph` (roots, https), with `ca_file` for a private CA."""

    tenant_id: str = Field(pattern=GUID)
    client_id: str = Field(pattern=GUID)
    cloud: Literal["global", "usgov", "dod", "china"] | None = None
    authority: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    graph: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    ca_file: ExistingFile | None = None
    credentials: list[SecretCredential] = Field(min_length=1, max_length=1)

    @model_validator(mode="after")
    def one_cloud(self) -> Self:
        roots = (self.authority, self.graph)
        if (self.cloud is None) != (None not in roots) or (self.cloud and any(roots)):
            raise ValueError("either cloud, or authority and graph, has to say where Entra and Graph are")
        return self


class Graph(Section):
    """How Graph is spoken to. writes_per_20s, requests_per_20s: this replica's share of each tenant's quota."""

    transport: str = "aiohttp"
    create_route: Literal["auto", "documented", "assign"] = "auto"
    connect_timeout_s: Seconds = 5
    read_timeout_s: Seconds = 20
    max_answer_bytes: int = Field(default=8 << 20, ge=1024)
    max_attempts: int = Field(default=6, ge=1, le=100)
    writes_per_20s: int = Field(default=100, ge=1, le=100_000)
    requests_per_20s: int = Field(default=1000, ge=1, le=1_000_000)
    read_back_s: Seconds = 60
    doubt_s: float = Field(default=2, ge=0, le=300)


class LocksConfig(Section):
    """The lock per policy: `process` for one gateway, `redis` where several replicas write to the same tenants."""

    kind: Literal["process", "redis"] = "process"
    url: str | None = Field(default=None, pattern=r"^rediss?://[^@\s]+$")
    password_file: ExistingFile | None = None
    ttl_s: float = Field(default=15, ge=1, le=300)

    @model_validator(mode="after")
    def redis_has_a_url(self) -> Self:
        if (self.kind == "redis") != (self.url is not None):
            raise ValueError('url goes with kind = "redis"')
        return self


class LedgerConfig(Section):
    """The record of every write. url: `sqlite:///file` for one gateway, `postgresql://user@host/database` for several.

    How long things are kept: the answers, and with them the request ids; the entries, for ever if not said.
    """

    kind: str = "sql"
    url: str = Field(default="sqlite:///ledger.db", validate_default=True)
    password_file: ExistingFile | None = None
    answers_kept_days: float = Field(default=7, gt=0, le=36_500)
    entries_kept_days: float | None = Field(default=None, gt=0, le=36_500)

    @field_validator("url")
    @classmethod
    def known_database(cls, url: str, info: ValidationInfo) -> str:
        """A relative path of a file counts from the folder of the configuration file."""
        if re.fullmatch(r"sqlite:///[^?]+", url):
            path = Path((info.context or {}).get("folder", ".")) / url.removeprefix("sqlite:///")
            return f"sqlite:///{path.absolute()}"
        if not re.fullmatch(r"postgresql://([^:@/\s]+@)?[^@\s]+", url):
            raise ValueError("has to be sqlite:///file or postgresql://user@host/database, with the password in password_file")
        return url

    @model_validator(mode="after")
    def entries_outlive_answers(self) -> Self:
        if self.entries_kept_days is not None and self.entries_kept_days < self.answers_kept_days:
            raise ValueError("entries_kept_days: may not be less than answers_kept_days")
        return self

    def password(self) -> str | None:
        """The password as it is now."""
        return self.password_file.read_text().strip() if self.password_file else None


class Config(Section):
    """All of it."""

    server: Server = Server()
    callers: Callers
    tenants: dict[Name, Tenant] = Field(min_length=1)
    graph: Graph = Graph()
    locks: LocksConfig = LocksConfig()
    ledger: LedgerConfig = Field(default_factory=dict, validate_default=True)


Values = dict[str, Any]
Model = TypeVar("Model", bound=Section)


def load(path: Path) -> Config:
    """Reads the file. Raises ConfigError with every fault in it."""
    return parse(_read(path), folder=path.parent)


def load_ledger(path: Path) -> LedgerConfig:
    """Reads the file's [ledger] alone: an auditor may have neither the secrets nor the certificates of the rest."""
    return parse_ledger(_read(path).get("ledger", {}), folder=path.parent)


def parse(values: Values, folder: Path = Path()) -> Config:
    """Checks values as TOML gives them; relative paths count from `folder`. Raises ConfigError with every fault."""
    return _parse(Config, values, folder)


def parse_ledger(values: Values, folder: Path = Path()) -> LedgerConfig:
    """As `parse`, for a [ledger]."""
    return _parse(LedgerConfig, values, folder)


def _read(path: Path) -> Values:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise ConfigError([f"{path}: {exc}"]) from exc


def _parse(model: type[Model], values: Values, folder: Path) -> Model:
    try:
        return model.model_validate(values, context={"folder": folder})
    except ValidationError as exc:
        raise ConfigError([f"{_place(e['loc'])}: {_rule(e)}" for e in exc.errors(include_input=False)]) from exc


def _place(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "config"


def _rule(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    return str(error["msg"]).removeprefix("Value error, ")
