"""Where callers come in, and who they are."""

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.config.base import TOKEN_HASH, ExistingFile, Name, Seconds, Section, WatchedFile
from gateway.config.kinds import a_kind, kind_of

# With public keys only: a secret that both sides know could be the public key itself, and `none` is no signature.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def _one_caller_each(static: dict[str, str]) -> dict[str, str]:
    callers: dict[str, list[str]] = {}
    for name, line in static.items():
        callers.setdefault(line, []).append(name)
    for names in callers.values():
        if len(names) > 1:
            raise ValueError(f"{' and '.join(names)} have the same token; each caller needs its own")
    return static


StaticCallers = Annotated[dict[Name, Annotated[str, Field(pattern=TOKEN_HASH)]], AfterValidator(_one_caller_each)]


RESERVED = {
    "mtls": "is the prefix of callers with client certificates",
    "operator": "is the prefix of who works with the command line",
}


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(RESERVED[name])
    return name


class Tls(Section):
    """The doors' certificate, in PEM."""

    cert_file: WatchedFile
    """The certificate, with its chain after it."""
    key_file: WatchedFile
    """The certificate's private key, without a passphrase."""


class InFlight(Section):
    """How many calls of one caller may be under way at a time; more is CALLER_TOO_BUSY. `in_flight = 50` says both."""

    reads: int = Field(default=100, ge=1, le=1_000_000)
    """Get and List. Each costs a request of the tenant's quota at once."""
    writes: int = Field(default=1000, ge=1, le=1_000_000)
    """All other operations. They wait for each other anyway, and share writes to Graph."""


def _for_both(value: object) -> object:
    return {"reads": value, "writes": value} if isinstance(value, int) else value


class Server(Section):
    """Where callers come in, and how much they may ask for."""

    grpc: str = "127.0.0.1:50051"
    """Address of the gRPC door for callers with tokens; port 0 is any free one. Off loopback it needs `[server.tls]`."""
    mtls: str | None = None
    """Address of the gRPC door for callers with client certificates, which it demands. Needs `[callers.mtls]` and
    `[server.tls]`."""
    rest: str | None = None
    """Address of the REST door, for callers with tokens or certificates. Off loopback it needs `[server.tls]`. Without it there
    is no REST."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*[^/?#\s])?$")
    """Root of REST in links, where callers reach it by another address than they send as Host; no `/` at its end."""
    admin: str = "127.0.0.1:9464"
    """Address of the admin door: metrics, health in detail and channelz. It asks for no token, so off loopback it needs
    `insecure`."""
    reflection: bool = True
    """Whether the gRPC doors tell anybody which services and messages they have."""
    idle_s: Seconds = 75
    """A connection that has not sent the whole head of a request, has no call, or has not taken its answer for so long is
    closed."""
    connections: int = Field(default=1000, ge=1, le=100_000)
    """Connections of each door at a time, as far as the process's limit of open files allows."""
    connections_per_peer: int = Field(default=250, ge=1, le=100_000)
    """Of the REST door's connections, those of one address at a time."""
    connection_age_s: Seconds = 300
    """After so long, a tenth more or less, a gRPC connection's client is told to open another for its next calls, which may go
    to another worker or replica. Calls that are under way end on the old one."""
    tls: Tls | None = None
    """The certificate of the doors; without it they speak plain text."""
    insecure: bool = False
    """Allows plain text off loopback, and the admin door there: for when something before the gateway guards both."""
    default_deadline_s: Seconds = 30
    """How long a call may take whose caller sets no deadline (over REST: `Prefer: wait=SECONDS`)."""
    reload_s: Seconds = 5
    """How often files are looked at for changes."""
    strict_files: bool = False
    """Refuses to start, instead of a warning, while other users of the machine may read a secret's file, or change any file
    that the configuration names."""
    max_request_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    """Size of a request's body or message; larger ones are refused with MESSAGE_TOO_LARGE."""
    max_metadata_bytes: int = Field(default=32 << 10, ge=1024, le=1 << 20)
    """Size of a request's headers or metadata; larger ones are refused."""
    in_flight: Annotated[InFlight, BeforeValidator(_for_both)] = InFlight()
    """Calls of one caller at a time."""
    drain_notice_s: float = Field(default=1, ge=0, le=300)
    """After SIGTERM, for so long the doors only say that they will stop, so that balancers send nobody more."""
    drain_s: Seconds = 30
    """After that, how long running calls may take to end."""

    @model_validator(mode="before")
    @classmethod
    def metrics_have_moved(cls, values: Any) -> Any:
        """Tells what became of the key `metrics`."""
        if isinstance(values, dict) and "metrics" in values:
            raise ValueError('metrics: is no more: /metrics is at admin = "host:port", by default 127.0.0.1:9464; remove it')
        return values

    @field_validator("grpc", "mtls", "rest", "admin")
    @classmethod
    def host_and_port(cls, address: str | None) -> str | None:
        host, colon, port = (address or "-:0").rpartition(":")
        if not colon or not host or not re.fullmatch(r"\d{1,5}", port) or int(port) > 65535:
            raise ValueError('has to be "host:port", such as "127.0.0.1:50051"')
        return address

    @model_validator(mode="after")
    def plain_text_stays_on_loopback(self) -> Self:
        for door, address in (("grpc", self.grpc), ("rest", self.rest)):
            host = (address or "localhost:0").rpartition(":")[0]
            if self.tls is None and not (self.insecure or is_loopback(host)):
                raise ValueError(
                    f"{door}: {host} is no loopback address and there is no [server.tls]; insecure = true allows it"
                )
        if not (self.insecure or is_loopback(self.admin.rpartition(":")[0])):
            raise ValueError("admin: asks for no token, so off loopback it needs insecure = true")
        if self.mtls is not None and self.tls is None:
            raise ValueError("mtls: needs [server.tls]")
        return self


class Authorization(Section):
    """What callers may do."""

    kind: Annotated[str, a_kind("authorizers")] = "cedar"
    """`cedar`, or a kind that is registered in the entry-point group `compliance_gateway.authorizers`."""
    rules_file: WatchedFile
    """The rules, in Cedar; what none of them permits is refused. A new file with a mistake is not taken."""

    @model_validator(mode="before")
    @classmethod
    def renamed(cls, values: Any) -> Any:
        """Tells the new name of the key that was called `policies`."""
        if isinstance(values, dict) and "policies" in values:
            raise ValueError("policies: is called rules_file now")
        return values


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback ranges."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class JwtIssuer(Section):
    """An issuer of JSON web tokens, by the name that its callers get as prefix: `NAME:subject`."""

    issuer: str = Field(min_length=1)
    """The `iss` of its tokens; it may be there once."""
    audience: str = Field(min_length=1)
    """What the `aud` of its tokens has to hold."""
    jwks_url: str | None = Field(default=None, pattern=r"^https://[^@\s]+$")
    """Where its keys are. Exactly one of `jwks_url` and `jwks_file` is said."""
    jwks_file: WatchedFile | None = None
    """A file with its keys."""
    ca_file: ExistingFile | None = None
    """PEM of the authorities for `jwks_url`, instead of the system's."""
    algorithms: tuple[Literal[ALGORITHMS], ...] = Field(default=("RS256", "PS256", "ES256"), min_length=1)  # type: ignore[valid-type]
    """Signature algorithms that are taken."""
    name_claim: str = Field(default="sub", min_length=1)
    """The claim that names the caller."""
    leeway_s: float = Field(default=60, ge=0, le=600)
    """How far the issuer's clock may be from ours."""
    keys_refresh_s: Seconds = 300
    """How old keys from `jwks_url` may grow before they are read anew, and so how long a revoked one counts. A file is looked
    at every `server.reload_s`."""
    keys_kept_s: float = Field(default=3600, ge=0, le=7 * 86_400)
    """How long keys are used after they could last be read; not less than `keys_refresh_s`."""
    max_age_s: float = Field(default=25 * 3600, gt=0, le=366 * 86_400)
    """How long after its `iat` a token is taken, whatever its `exp`; by default an hour longer than a kubelet keeps one."""

    @model_validator(mode="after")
    def one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("exactly one of jwks_url and jwks_file says where the keys are")
        if self.keys_kept_s < self.keys_refresh_s:
            raise ValueError("keys_kept_s: may not be less than keys_refresh_s")
        return self


class ClientCa(Section):
    """Client certificates: on the port `server.mtls`, and on the REST door. A caller is called `mtls:` and its SPIFFE id, or
    its subject."""

    client_ca_file: WatchedFile
    """PEM of the authorities whose client certificates are taken."""


class StaticSection(BaseModel):
    """Of [callers], what is read anew."""

    model_config = ConfigDict(hide_input_in_errors=True)
    static: StaticCallers = Field(default_factory=dict)


class Callers(Section):
    """Who may call; at least one of them, several at once. Other keys are kinds that are registered in the entry-point group
    `compliance_gateway.authenticators`, which check what stands below them."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    mtls: ClientCa | None = None
    """Callers with client certificates."""
    static: StaticCallers = Field(default_factory=dict, json_schema_extra={"read_anew": True})
    """Callers with tokens of the gateway's: caller name -> hash of its token; `compliance-gateway token NAME` makes both."""
    jwt: dict[Annotated[Name, AfterValidator(_not_reserved)], JwtIssuer] = Field(default_factory=dict)
    """Callers with JSON web tokens: an issuer each, by name."""

    @model_validator(mode="after")
    def some_authenticator(self) -> Self:
        if not (self.mtls or self.static or self.jwt or self.model_extra):
            raise ValueError("no caller authenticator: add [callers.static], [callers.jwt] or [callers.mtls]")
        if len({issuer.issuer for issuer in self.jwt.values()}) != len(self.jwt):
            raise ValueError("jwt: an issuer may be there once")
        for kind in self.model_extra or ():
            kind_of("authenticators", kind)
        return self

    @model_validator(mode="after")
    def told_to_who_names_callers(self, info: ValidationInfo) -> Self:
        """Sections that are validated later check names of callers."""
        if info.context is not None:
            info.context["callers"] = self
        return self

    def may_be(self, name: str) -> bool:
        """Whether a caller can be called so: who plug-ins know may have any name."""
        prefix, colon, rest = name.partition(":")
        known = prefix in self.jwt or (prefix == "mtls" and self.mtls is not None)
        return bool(self.model_extra) or name in self.static or bool(colon and rest and known)

    def kinds(self) -> Mapping[str, Any]:
        """The settings of each kind of authenticator that is in use, in the order in which they are asked. `static` always is:
        its callers may be added while the gateway runs."""
        built_in = {"mtls": self.mtls, "static": self.static, "jwt": self.jwt}
        used = {kind: settings for kind, settings in built_in.items() if settings or kind == "static"}
        return used | (self.model_extra or {})
