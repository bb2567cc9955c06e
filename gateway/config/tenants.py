"""The Entra tenants, their credentials, and how Graph is spoken to."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.base import GUID, ExistingFile, Seconds, Section
from gateway.config.credentials import Credential
from gateway.config.kinds import a_kind


class Tenant(Section):
    """One Entra tenant. NAME is what callers and rules call it. Either `cloud`, or `authority` and `graph`, is required."""

    tenant_id: str = Field(pattern=GUID)
    """The tenant's ID in Entra."""
    client_id: str = Field(pattern=GUID)
    """The application ID of the gateway's app in the tenant."""
    cloud: Literal["global", "usgov", "dod", "china"] | None = None
    """The Microsoft cloud, which determines the addresses of Entra and Graph."""
    authority: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    """Root URL of Entra, instead of `cloud`."""
    graph: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    """Root URL of Graph, instead of `cloud`."""
    ca_file: ExistingFile | None = None
    """The authorities trusted for Entra and Graph, in PEM, instead of the system's."""
    credentials: list[Credential] = Field(min_length=1, max_length=10)
    """The app's credentials, in the order in which they are tried: if Entra refuses one, the next is used."""

    @model_validator(mode="after")
    def one_cloud(self) -> Self:
        roots = (self.authority, self.graph)
        if (self.cloud is None) != (None not in roots) or (self.cloud and any(roots)):
            raise ValueError("either cloud, or authority and graph, is required to say where Entra and Graph are")
        return self


class Graph(Section):
    """How the gateway calls Graph. The gateway's promises hold as long as Graph keeps to `lag_s` and `late_s`."""

    transport: Annotated[str, a_kind("transports")] = "httptools"
    """`httptools`, `aiohttp`, `requests`, or a kind that is registered in the entry-point group
    `compliance_gateway.transports`."""
    create_route: Literal["auto", "documented", "assign"] = "auto"
    """How a create reaches Graph: `documented` (POST …/assignments), `assign` (POST …/assign with the whole set), or `auto`:
    `documented`, and `assign` where Graph does not have that route."""
    connect_timeout_s: Seconds = 5
    """How long it may take to connect."""
    read_timeout_s: Seconds = 20
    """How long Graph may send nothing before or within an answer."""
    max_answer_bytes: int = Field(default=8 << 20, ge=1024)
    """The largest answer of Graph's that is read; a larger one is an error."""
    max_attempts: int = Field(default=6, ge=1, le=100)
    """How often a request to Graph, or the write of an edit, is attempted. After a 429 it is retried until the deadline."""
    writes_per_20s: int = Field(default=100, ge=1, le=100_000, json_schema_extra={"read_anew": True})
    """The most writes in 20 s for each tenant, of all replicas together. Graph allows an app 100. The gateway lowers its limit
    for a while if Graph refuses requests, because other apps use the tenant too."""
    requests_per_20s: int = Field(default=1000, ge=1, le=1_000_000, json_schema_extra={"read_anew": True})
    """The most requests in 20 s for each tenant, in the same way. Graph allows an app 1,000."""
    read_back_s: Seconds = 60
    """How long the gateway waits until an accepted write shows in a read."""
    doubt_s: float = Field(default=2, ge=0, le=300)
    """How long the gateway looks for a write whose answer was lost, before the caller is told OUTCOME_UNKNOWN."""
    lag_s: float = Field(default=60, ge=0, le=3600)
    """The most that Graph's answers may lag behind its writes."""
    late_s: float = Field(default=120, ge=0, le=3600)
    """The longest time after a write was sent at which Graph may still carry it out."""
