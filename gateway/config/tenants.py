"""The Entra tenants, their credentials, and how Graph is spoken to."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.config.base import GUID, ExistingFile, Seconds, Section
from gateway.config.credentials import Credential
from gateway.config.kinds import a_kind


class Tenant(Section):
    """One Entra tenant, by the name that callers and rules use. Its cloud is said by name, or by `authority` and `graph`."""

    tenant_id: str = Field(pattern=GUID)
    """The tenant's id in Entra."""
    client_id: str = Field(pattern=GUID)
    """The id of the gateway's app in it (application id)."""
    cloud: Literal["global", "usgov", "dod", "china"] | None = None
    """Where Entra and Graph are."""
    authority: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    """Root of Entra, instead of `cloud`."""
    graph: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    """Root of Graph, instead of `cloud`."""
    ca_file: ExistingFile | None = None
    """PEM of the authorities for Entra and Graph, instead of the system's."""
    credentials: list[Credential] = Field(min_length=1, max_length=10)
    """How the gateway shows Entra who it is, in the order in which they are tried: the next one where Entra refuses one."""

    @model_validator(mode="after")
    def one_cloud(self) -> Self:
        roots = (self.authority, self.graph)
        if (self.cloud is None) != (None not in roots) or (self.cloud and any(roots)):
            raise ValueError("either cloud, or authority and graph, has to say where Entra and Graph are")
        return self


class Graph(Section):
    """How Graph is spoken to. What the gateway promises holds as long as Graph keeps to `lag_s` and `late_s`."""

    transport: Annotated[str, a_kind("transports")] = "aiohttp"
    """`aiohttp`, `requests`, or a kind that is registered in the entry-point group `compliance_gateway.transports`."""
    create_route: Literal["auto", "documented", "assign"] = "auto"
    """How a create reaches Graph: `documented` (POST …/assignments), `assign` (the whole set), or whichever works."""
    connect_timeout_s: Seconds = 5
    """How long a connection may take to come about."""
    read_timeout_s: Seconds = 20
    """How long Graph may be silent within an answer."""
    max_answer_bytes: int = Field(default=8 << 20, ge=1024)
    """Size of an answer of Graph's; what is larger is not read."""
    max_attempts: int = Field(default=6, ge=1, le=100)
    """How often a request to Graph, or the write of an edit, is tried; after a 429 until the deadline."""
    writes_per_20s: int = Field(default=100, ge=1, le=100_000, json_schema_extra={"read_anew": True})
    """Each tenant's writes in 20 s, of all replicas together, at most. Graph allows an app 100; what its refusals say of others
    who use the tenant is learnt."""
    requests_per_20s: int = Field(default=1000, ge=1, le=1_000_000, json_schema_extra={"read_anew": True})
    """Each tenant's requests in 20 s, in the same way. Graph allows an app 1,000."""
    read_back_s: Seconds = 60
    """How long an accepted write is waited for until it shows."""
    doubt_s: float = Field(default=2, ge=0, le=300)
    """How long a write whose answer was lost is looked for before its caller is told OUTCOME_UNKNOWN."""
    lag_s: float = Field(default=60, ge=0, le=3600)
    """How old Graph's answers may be."""
    late_s: float = Field(default=120, ge=0, le=3600)
    """How long after it was sent a write may still be carried out."""
