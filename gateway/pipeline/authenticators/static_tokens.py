"""Tokens from the configuration, checked against salted hashes.

The tokens are made by `new_token` and have 256 random bits, so one round of SHA-256 with a salt is enough: there is
nothing to guess, and the check costs microseconds.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from gateway.call import Call, Caller


class StaticTokens:
    """callers: name -> hash as `hash_token` gives it."""

    def __init__(self, callers: Mapping[str, str]) -> None:
        self._callers = [(Caller(name), *_salt_and_digest(text)) for name, text in callers.items()]
        self._verified: dict[bytes, Caller] = {}  # by hash of the token; one look-up instead of a hash for each caller

    async def caller_of(self, call: Call) -> Caller | None:
        if call.bearer is None:
            return None
        key = _digest(b"", call.bearer)
        found = self._verified.get(key)
        if found is not None:
            return found
        for caller, salt, digest in self._callers:  # all of them, so that the time says nothing
            if hmac.compare_digest(_digest(salt, call.bearer), digest):
                found = self._verified[key] = caller
        return found


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """`sha256:<salt>:<digest>`, both in hex, for [callers.static]."""
    salt = secrets.token_bytes(16)
    return f"sha256:{salt.hex()}:{_digest(salt, token).hex()}"


def _salt_and_digest(text: str) -> tuple[bytes, bytes]:
    _, salt, digest = text.split(":")
    return bytes.fromhex(salt), bytes.fromhex(digest)


def _digest(salt: bytes, token: str) -> bytes:
    return hashlib.sha256(salt + token.encode()).digest()
