"""How the gateway shows Entra who it is: one section for each built-in kind, and one for the kinds of plug-ins."""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from gateway.config.base import GUID, Seconds, Section, WatchedFile
from gateway.config.kinds import a_kind


class SecretCredential(Section):
    """A client secret. Exactly one of `file` and `env` says where it is."""

    kind: Literal["secret"]
    """Which kind of credential it is."""
    file: WatchedFile | None = None
    """A file with the secret."""
    env: str | None = None
    """The name of the environment variable with the secret."""

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("exactly one of file and env says where the secret is")
        if self.env is not None and not os.environ.get(self.env):
            raise ValueError(f"the environment variable {self.env} is not set")
        if self.file is not None and not self.file.read_text().strip():
            raise ValueError(f"the file {self.file} is empty")
        return self


class CertificateCredential(Section):
    """A certificate with its private key."""

    kind: Literal["certificate"]
    """Which kind of credential it is."""
    file: WatchedFile
    """Certificate and RSA key, in one PEM or PFX file."""
    passphrase_file: WatchedFile | None = None
    """A file with the passphrase of the key."""
    x5c: bool = False
    """Sends the certificate along, for apps that trust its subject name and issuer instead of its thumbprint."""


class FederatedCredential(Section):
    """A token that someone else issues and renews: workload identity on Kubernetes."""

    kind: Literal["federated"]
    """Which kind of credential it is."""
    file: WatchedFile
    """The file with the token."""


class ManagedIdentityCredential(Section):
    """The managed identity of the Azure machine or app: its own, or an assigned one, by at most one of these ids."""

    kind: Literal["managed_identity"]
    """Which kind of credential it is."""
    client_id: str | None = Field(default=None, pattern=GUID)
    """Its client id."""
    object_id: str | None = Field(default=None, pattern=GUID)
    """Its object id."""
    resource_id: str | None = Field(default=None, pattern=r"^/subscriptions/\S+$")
    """Its resource id, `/subscriptions/…`."""

    @model_validator(mode="after")
    def one_id(self) -> Self:
        if sum(value is not None for value in (self.client_id, self.object_id, self.resource_id)) > 1:
            raise ValueError("at most one of client_id, object_id and resource_id says which identity")
        return self


class CommandCredential(Section):
    """A program that prints a client assertion; it is given the audience and the client id in the environment, as AUDIENCE and
    CLIENT_ID."""

    kind: Literal["command"]
    """Which kind of credential it is."""
    command: list[str] = Field(min_length=1)
    """The program and its arguments; no shell is between."""
    timeout_s: Seconds = 10
    """How long it may take."""


class PlugInCredential(BaseModel):
    """A kind that is registered in the entry-point group `compliance_gateway.credentials`, which checks the rest."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)
    kind: Annotated[str, a_kind("credentials")]
    """Which kind of credential it is."""


BUILT_IN = (SecretCredential, CertificateCredential, FederatedCredential, ManagedIdentityCredential, CommandCredential)
KINDS = tuple(str(model.model_fields["kind"].annotation.__args__[0]) for model in BUILT_IN)  # type: ignore[union-attr]


def _kind(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in KINDS else "plug-in"


Credential = Annotated[
    Annotated[SecretCredential, Tag("secret")]
    | Annotated[CertificateCredential, Tag("certificate")]
    | Annotated[FederatedCredential, Tag("federated")]
    | Annotated[ManagedIdentityCredential, Tag("managed_identity")]
    | Annotated[CommandCredential, Tag("command")]
    | Annotated[PlugInCredential, Tag("plug-in")],
    Discriminator(_kind),
]
