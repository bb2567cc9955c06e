"""The Entra tenants, their credentials, and how Graph is spoken to."""

from typing import Literal, Self

from pydantic import Field, model_validator

from gateway.config.base import GUID, ExistingFile, Seconds, Section
from gateway.config.credentials import Credential


class Tenant(Section):
    """One Entra tenant. Its cloud by name, or by `authority` and `graph` (roots, https), with `ca_file` for a private CA.

    credentials: in the order in which they are tried; the next one where Entra refuses one.
    """

    tenant_id: str = Field(pattern=GUID)
    client_id: str = Field(pattern=GUID)
    cloud: Literal["global", "usgov", "dod", "china"] | None = None
    authority: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    graph: str | None = Field(default=None, pattern=r"^https://[^/?#@\s]+$")
    ca_file: ExistingFile | None = None
    credentials: list[Credential] = Field(min_length=1, max_length=10)

    @model_validator(mode="after")
    def one_cloud(self) -> Self:
        roots = (self.authority, self.graph)
        if (self.cloud is None) != (None not in roots) or (self.cloud and any(roots)):
            raise ValueError("either cloud, or authority and graph, has to say where Entra and Graph are")
        return self


class Graph(Section):
    """How Graph is spoken to. writes_per_20s, requests_per_20s: this replica's share of each tenant's quota.

    read_back_s: how long an accepted write is waited for until it shows; doubt_s: how long one whose answer was lost. lag_s:
    how old Graph's answers may be; late_s: how long after it was sent a write may still be carried out. What is promised holds
    as long as these two do.
    """

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
    lag_s: float = Field(default=60, ge=0, le=3600)
    late_s: float = Field(default=120, ge=0, le=3600)
