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
    "mtls": "is reserved for callers with client certificates",
    "operator": "is reserved for operators at the command line",
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
    """Concurrent calls of one caller; further calls are refused with CALLER_TOO_BUSY. `in_flight = 50` sets both keys."""

    reads: int = Field(default=100, ge=1, le=1_000_000)
    """Get and List. Each needs a request of the tenant's quota immediately."""
    writes: int = Field(default=1000, ge=1, le=1_000_000)
    """All other operations. They queue, and share writes to Graph."""


def _for_both(value: object) -> object:
    return {"reads": value, "writes": value} if isinstance(value, int) else value


class Server(Section):
    """The doors at which callers come in, and the limits on what callers may ask for."""

    grpc: str = "127.0.0.1:50051"
    """Address (`host:port`) of the gRPC door for callers with tokens; port 0 means any free port. Beyond loopback it needs
    `[server.tls]`."""
    mtls: str | None = None
    """Address of the gRPC door that demands client certificates. It needs `[callers.mtls]` and `[server.tls]`."""
    rest: str | None = None
    """Address of the REST door, for callers with tokens or certificates. Beyond loopback it needs `[server.tls]`. Without this
    key there is no REST door."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*[^/?#\s])?$")
    """Root of the links in REST answers, if callers reach the gateway at another address than their Host header says; without a
    `/` at its end."""
    admin: str = "127.0.0.1:9464"
    """Address of the admin door: metrics, detailed health and channelz. It requires no token, so beyond loopback it needs
    `insecure`."""
    reflection: bool = True
    """Whether the gRPC doors serve reflection, which tells anybody which services and messages there are."""
    idle_s: Seconds = 75
    """A connection is closed if for so long it has not sent the complete head of a request, has no call, or has not read its
    answer."""
    connections: int = Field(default=1000, ge=1, le=100_000)
    """Concurrent connections at each door, as far as the process's limit of open files allows."""
    connections_per_peer: int = Field(default=250, ge=1, le=100_000)
    """Concurrent connections of one address at the REST door."""
    connection_age_s: Seconds = 300
    """After so long, give or take a tenth, the client of a gRPC connection is told to open another connection for its next
    calls, which may reach another worker or replica. Running calls end on the old connection."""
    tls: Tls | None = None
    """The doors' certificate; without it they use plain text."""
    insecure: bool = False
    """Allows plain text, and the admin door, beyond loopback. Use it only if something in front of the gateway protects
    both."""
    default_deadline_s: Seconds = 30
    """The deadline of a call whose caller sets none (REST callers set one with `Prefer: wait=SECONDS`)."""
    reload_s: Seconds = 5
    """How often the gateway checks its files for changes."""
    strict_files: bool = False
    """Whether the gateway refuses to start, rather than warns, if other users of the machine can read a secret's file or change
    any file that the configuration names."""
    max_request_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    """The largest body or message of a request; larger ones are refused with MESSAGE_TOO_LARGE."""
    max_metadata_bytes: int = Field(default=32 << 10, ge=1024, le=1 << 20)
    """The largest headers or metadata of a request; larger ones are refused."""
    in_flight: Annotated[InFlight, BeforeValidator(_for_both)] = InFlight()
    """Concurrent calls of one caller."""
    drain_notice_s: float = Field(default=1, ge=0, le=300)
    """How long after SIGTERM the gateway only reports that it is stopping, so that load balancers stop sending calls to it."""
    drain_s: Seconds = 30
    """How long running calls may then take to end."""

    @model_validator(mode="before")
    @classmethod
    def metrics_have_moved(cls, values: Any) -> Any:
        """Says what replaced the key `metrics`."""
        if isinstance(values, dict) and "metrics" in values:
            raise ValueError('metrics: was removed: /metrics is at admin = "host:port", by default 127.0.0.1:9464')
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
                    f"{door}: {host} is not a loopback address and there is no [server.tls]; insecure = true allows that"
                )
        if not (self.insecure or is_loopback(self.admin.rpartition(":")[0])):
            raise ValueError("admin: requires no token, so beyond loopback it needs insecure = true")
        if self.mtls is not None and self.tls is None:
            raise ValueError("mtls: needs [server.tls]")
        return self


class Authorization(Section):
    """What callers may do."""

    kind: Annotated[str, a_kind("authorizers")] = "cedar"
    """`cedar`, or a kind that is registered in the entry-point group `compliance_gateway.authorizers`."""
    rules_file: WatchedFile
    """The rules, in Cedar; whatever none of them permits is refused. If a changed file has a mistake, the previous rules
    stay."""

    @model_validator(mode="before")
    @classmethod
    def renamed(cls, values: Any) -> Any:
        """Says the new name of the key `policies`."""
        if isinstance(values, dict) and "policies" in values:
            raise ValueError("policies: was renamed to rules_file")
        return values


def is_loopback(host: str) -> bool:
    """True for localhost and the loopback ranges."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class JwtIssuer(Section):
    """An issuer of JSON web tokens. NAME is the prefix of its callers' names: `NAME:subject`."""

    issuer: str = Field(min_length=1)
    """The `iss` of its tokens. No two sections may have the same."""
    audience: str = Field(min_length=1)
    """The value that the `aud` of its tokens has to contain."""
    jwks_url: str | None = Field(default=None, pattern=r"^https://[^@\s]+$")
    """The URL of its keys. Exactly one of `jwks_url` and `jwks_file` is required."""
    jwks_file: WatchedFile | None = None
    """A file with its keys."""
    ca_file: ExistingFile | None = None
    """The authorities trusted for `jwks_url`, in PEM, instead of the system's."""
    algorithms: tuple[Literal[ALGORITHMS], ...] = Field(default=("RS256", "PS256", "ES256"), min_length=1)  # type: ignore[valid-type]
    """The accepted signature algorithms."""
    name_claim: str = Field(default="sub", min_length=1)
    """The claim that names the caller."""
    leeway_s: float = Field(default=60, ge=0, le=600)
    """The accepted difference between the issuer's clock and this machine's."""
    keys_refresh_s: Seconds = 300
    """How often the keys are read from `jwks_url`, and so how long a revoked key is accepted. `jwks_file` is checked for
    changes every `server.reload_s`."""
    keys_kept_s: float = Field(default=3600, ge=0, le=7 * 86_400)
    """How long keys are used after the last successful read, if they cannot be read; not less than `keys_refresh_s`."""
    max_age_s: float = Field(default=25 * 3600, gt=0, le=366 * 86_400)
    """How long after its `iat` a token is accepted, whatever its `exp`; by default an hour longer than a kubelet keeps one."""

    @model_validator(mode="after")
    def one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("exactly one of jwks_url and jwks_file has to say where the keys are")
        if self.keys_kept_s < self.keys_refresh_s:
            raise ValueError("keys_kept_s: may not be less than keys_refresh_s")
        return self


class ClientCa(Section):
    """Client certificates, at `server.mtls` and at the REST door. A caller's name is `mtls:` and its SPIFFE ID, or its subject
    if it has none."""

    client_ca_file: WatchedFile
    """The authorities whose client certificates are accepted, in PEM."""


class StaticSection(BaseModel):
    """Of [callers], what is read anew."""

    model_config = ConfigDict(hide_input_in_errors=True)
    static: StaticCallers = Field(default_factory=dict)


class Callers(Section):
    """Who may call. At least one of these is required; several may be used together. Any other key names a kind that is
    registered in the entry-point group `compliance_gateway.authenticators`, which validates its own section."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    mtls: ClientCa | None = None
    """Callers with client certificates."""
    static: StaticCallers = Field(default_factory=dict, json_schema_extra={"read_anew": True})
    """Callers with tokens issued by the gateway: caller name -> hash of its token. `compliance-gateway token NAME` generates
    the token and this line."""
    jwt: dict[Annotated[Name, AfterValidator(_not_reserved)], JwtIssuer] = Field(default_factory=dict)
    """Callers with JSON web tokens: the issuers, by name."""

    @model_validator(mode="after")
    def some_authenticator(self) -> Self:
        if not (self.mtls or self.static or self.jwt or self.model_extra):
            raise ValueError("no caller authenticator: add [callers.static], [callers.jwt] or [callers.mtls]")
        if len({issuer.issuer for issuer in self.jwt.values()}) != len(self.jwt):
            raise ValueError("jwt: no two sections may have the same issuer")
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
