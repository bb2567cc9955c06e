"""Where callers come in, and who they are."""

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from gateway.config.base import TOKEN_HASH, ExistingFile, Name, Seconds, Section

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


def _not_mtls(name: str) -> str:
    if name == "mtls":
        raise ValueError("is the prefix of callers with client certificates")
    return name


class Tls(Section):
    """The certificate with its chain, and its key, in PEM; read anew when the files change."""

    cert_file: ExistingFile
    key_file: ExistingFile


class InFlight(Section):
    """How many calls of one caller there may be at a time. A read costs a request of the tenant's quota at once; writes wait
    for each other anyway."""

    reads: int = Field(default=100, ge=1, le=1_000_000)
    writes: int = Field(default=1000, ge=1, le=1_000_000)


def _for_both(value: object) -> object:
    return {"reads": value, "writes": value} if isinstance(value, int) else value


class Server(Section):
    """Where callers come in, and how much they may ask for.

    grpc: for callers with tokens. mtls: a port of its own for gRPC callers with client certificates, which it demands. rest:
    for REST, with either; public_url: its root in links, where callers reach it by another address than they send as Host.
    idle_s: a connection that has not sent a whole request's head, has no call, or has not taken its answer for so long is
    closed. connections: of each door at a time; connections_per_peer: of them, at REST, those of one address. admin: metrics,
    health in detail and channelz, without a token. reflection: whether the gRPC doors say what they serve.
    reload_s: how often files are looked at for changes. strict_files: refuse to start, instead of a warning, while other users
    of the machine may read a secret's file or change any that the configuration names. in_flight: calls of one caller at a
    time; one number is for reads and for writes.
    """

    grpc: str = "127.0.0.1:50051"
    mtls: str | None = None
    rest: str | None = None
    public_url: str | None = Field(default=None, pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*[^/?#\s])?$")
    admin: str = "127.0.0.1:9464"
    reflection: bool = True
    idle_s: Seconds = 75
    connections: int = Field(default=1000, ge=1, le=100_000)
    connections_per_peer: int = Field(default=250, ge=1, le=100_000)
    tls: Tls | None = None
    insecure: bool = False
    default_deadline_s: Seconds = 30
    reload_s: Seconds = 5
    strict_files: bool = False
    max_request_bytes: int = Field(default=1 << 20, ge=1024, le=64 << 20)
    max_metadata_bytes: int = Field(default=32 << 10, ge=1024, le=1 << 20)
    in_flight: Annotated[InFlight, BeforeValidator(_for_both)] = InFlight()
    drain_notice_s: float = Field(default=1, ge=0, le=300)
    drain_s: Seconds = 30

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
    """What callers may. rules_file: rules in Cedar; what none of them permits is refused."""

    kind: str = "cedar"
    rules_file: ExistingFile

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
    """An issuer of JSON web tokens, and for whom they are. Its keys by URL or file. name_claim: who the token is about.

    keys_refresh_s: how old keys from a URL may grow before they are read anew, and so how long a revoked one counts; a file is
    looked at as other files are. keys_kept_s: how long keys are used after they could last be read. max_age_s: how long after
    its `iat` a token is taken, whatever its `exp`; the default is an hour more than a kubelet lets one grow.
    """

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str | None = Field(default=None, pattern=r"^https://[^@\s]+$")
    jwks_file: ExistingFile | None = None
    ca_file: ExistingFile | None = None
    algorithms: tuple[Literal[ALGORITHMS], ...] = Field(default=("RS256", "PS256", "ES256"), min_length=1)  # type: ignore[valid-type]
    name_claim: str = Field(default="sub", min_length=1)
    leeway_s: float = Field(default=60, ge=0, le=600)
    keys_refresh_s: Seconds = 300
    keys_kept_s: float = Field(default=3600, ge=0, le=7 * 86_400)
    max_age_s: float = Field(default=25 * 3600, gt=0, le=366 * 86_400)

    @model_validator(mode="after")
    def one_source_of_keys(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("exactly one of jwks_url and jwks_file says where the keys are")
        if self.keys_kept_s < self.keys_refresh_s:
            raise ValueError("keys_kept_s: may not be less than keys_refresh_s")
        return self


class ClientCa(Section):
    """client_ca_file: PEM of the authorities whose client certificates are taken, on the port `server.mtls`."""

    client_ca_file: ExistingFile


class StaticSection(BaseModel):
    """Of [callers], what is read anew."""

    model_config = ConfigDict(hide_input_in_errors=True)
    static: StaticCallers = Field(default_factory=dict)


class Callers(Section):
    """Who may call; several kinds at once. static: caller name -> hash of its token (`compliance-gateway token` makes both),
    read anew when the file changes. jwt: by a name, which becomes the prefix of its callers' names. Other keys are kinds of
    plug-ins."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)

    mtls: ClientCa | None = None
    static: StaticCallers = Field(default_factory=dict)
    jwt: dict[Annotated[Name, AfterValidator(_not_mtls)], JwtIssuer] = Field(default_factory=dict)

    @model_validator(mode="after")
    def some_authenticator(self) -> Self:
        if not (self.mtls or self.static or self.jwt or self.model_extra):
            raise ValueError("no caller authenticator: add [callers.static], [callers.jwt] or [callers.mtls]")
        if len({issuer.issuer for issuer in self.jwt.values()}) != len(self.jwt):
            raise ValueError("jwt: an issuer may be there once")
        return self
