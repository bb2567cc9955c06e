"""Signed heads of the chain (seals). Somebody who controls the database can recompute the chain, but cannot sign its head;
seals that are kept elsewhere reveal that. Ed25519 (RFC 8032). Pure."""

import base64
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

# What is signed begins with it, so that a key which signs other things too signs no seal by accident.
PURPOSE = "compliance-gateway seal 1"


class SealError(Exception):
    """A line that is not a seal by this key; the message says which."""


class Seal(BaseModel):
    """position, hash: of the head, as verify prints them. sealed_at: UTC, ISO 8601. signature: base64."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    position: int = Field(ge=0)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    sealed_at: str
    signature: str

    @property
    def head(self) -> tuple[int, str]:
        return self.position, self.hash


def sealed(head: tuple[int, str], sealed_at: str, key: Ed25519PrivateKey) -> Seal:
    """A head, signed."""
    signature = base64.b64encode(key.sign(_signed(*head, sealed_at))).decode()
    return Seal(position=head[0], hash=head[1], sealed_at=sealed_at, signature=signature)


def read_seals(lines: Iterable[str], key: Ed25519PublicKey) -> Iterator[Seal]:
    """The seals, one a line as JSON. Raises SealError for a line that this key has not signed."""
    for number, line in enumerate(lines, 1):
        try:
            seal = Seal.model_validate_json(line)
            signature = base64.b64decode(seal.signature, validate=True)
            key.verify(signature, _signed(seal.position, seal.hash, seal.sealed_at))
        except ValidationError:
            raise SealError(f"line {number} is not a seal") from None
        except (ValueError, InvalidSignature):
            raise SealError(f"line {number} is not signed by this key") from None
        yield seal


def _signed(position: int, head: str, sealed_at: str) -> bytes:
    return "\n".join((PURPOSE, str(position), head, sealed_at)).encode()
