"""The Protocol of a credential kind. Plug-ins register in the entry-point group `compliance_gateway.credentials`; they are
constructed with their section of the configuration (a model), and have to pass gateway.testing.credential_contract."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from pydantic import SecretStr


class CredentialError(Exception):
    """The credential cannot be presented; the message says why, and has nothing secret."""


@dataclass(frozen=True)
class Secret:
    """A client secret."""

    value: SecretStr


@dataclass(frozen=True)
class Assertion:
    """A signed assertion that identifies the app. make: (audience, client ID) -> JWT; blocking, may raise CredentialError."""

    make: Callable[[str, str], str] = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """The machine's managed identity: the system-assigned one, or the one with this ID."""

    kind: Literal["system", "client_id", "object_id", "resource_id"]
    id: str = ""


@dataclass(frozen=True)
class Proof:
    """What is presented to Entra. stamp: changes when the proof changes. expires_at: timezone-aware; None if unknown."""

    material: Secret | Assertion | Identity
    stamp: str = field(repr=False)
    expires_at: datetime | None = None


class Credential(Protocol):
    """One credential of a tenant."""

    def present(self) -> Proof:
        """The present proof, read again each time; blocking. Raises CredentialError."""
        ...

    def fingerprint(self) -> object:
        """A cheap value that changes when `present` may return something else, or None if only `present` can tell."""
        ...
