"""What a credential kind has to do. Plug-ins register in the entry-point group `compliance_gateway.credentials`; they are
made with their section of the configuration (a model with what it says) and pass gateway.testing.credential_contract."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from pydantic import SecretStr


class CredentialError(Exception):
    """The credential has nothing to present; the text says why, and holds nothing secret."""


@dataclass(frozen=True)
class Secret:
    """A client secret."""

    value: SecretStr


@dataclass(frozen=True)
class Assertion:
    """A signed statement of who we are. make: (audience, client id) -> JWT; blocking, may raise CredentialError."""

    make: Callable[[str, str], str] = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """The managed identity of the machine: its own, or the one with this id."""

    kind: Literal["system", "client_id", "object_id", "resource_id"]
    id: str = ""


@dataclass(frozen=True)
class Proof:
    """What is presented to Entra now. stamp: another where another proof is meant. expires_at: aware; None if unknown."""

    material: Secret | Assertion | Identity
    stamp: str = field(repr=False)
    expires_at: datetime | None = None


class Credential(Protocol):
    """One credential of a tenant."""

    def present(self) -> Proof:
        """What it has now, read anew; blocking. Raises CredentialError."""
        ...

    def fingerprint(self) -> object:
        """Cheap: a value that changes when `present` may give something else, or None where only asking can tell."""
        ...
