"""Names of tenants and callers, and the static tokens of callers: what the command `token` needs, which loads nothing else."""

import hashlib
import secrets

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}\Z"
NAME_RULE = "a name has up to 63 lower-case letters, digits, dots, hyphens and underscores, and begins with a letter or a digit"


def new_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """`sha256:<digest>` in hex, for [callers.static]. Fit for tokens of `new_token` only: nothing that can be guessed."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
