"""How the gateway authenticates to Entra: one section for each built-in kind, and one for the kinds of plug-ins."""

import os
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from gateway.config.base import GUID, Seconds, Section, WatchedFile
from gateway.config.kinds import a_kind


class SecretCredential(Section):
    """A client secret, in exactly one of `file` and `env`."""

    kind: Literal["secret"]
    """Which kind of credential it is."""
    file: WatchedFile | None = None
    """A file with the secret."""
    env: str | None = None
    """The name of the environment variable with the secret."""

    @model_validator(mode="after")
    def one_source(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("exactly one of file and env has to say where the secret is")
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
    """Whether the certificate itself is sent too, for apps that trust its subject name and issuer instead of its thumbprint."""


class FederatedCredential(Section):
    """A token that another system issues and renews, such as workload identity on Kubernetes."""

    kind: Literal["federated"]
    """Which kind of credential it is."""
    file: WatchedFile
    """The file with the token."""


class ManagedIdentityCredential(Section):
    """The managed identity of the Azure machine or app: the system-assigned one, or a user-assigned one by one of these IDs."""

    kind: Literal["managed_identity"]
    """Which kind of credential it is."""
    client_id: str | None = Field(default=None, pattern=GUID)
    """The identity's client ID."""
    object_id: str | None = Field(default=None, pattern=GUID)
    """The identity's object ID."""
    resource_id: str | None = Field(default=None, pattern=r"^/subscriptions/\S+$")
    """The identity's resource ID, `/subscriptions/…`."""

    @model_validator(mode="after")
    def one_id(self) -> Self:
        if sum(value is not None for value in (self.client_id, self.object_id, self.resource_id)) > 1:
            raise ValueError("at most one of client_id, object_id and resource_id may be given")
        return self


class CommandCredential(Section):
    """A program that prints a client assertion. Its environment has the audience and the client ID, as AUDIENCE and
    CLIENT_ID."""

    kind: Literal["command"]
    """Which kind of credential it is."""
    command: list[str] = Field(min_length=1)
    """The program and its arguments; it is run without a shell."""
    timeout_s: Seconds = 10
    """How long the program may take."""


class PlugInCredential(BaseModel):
    """A kind that is registered in the entry-point group `compliance_gateway.credentials`, which validates the other keys."""

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
