"""Page tokens: where the next page begins, and for which policy. The checksum finds a damaged one; there is nothing secret
to protect: a forged token shows another page of a list that its caller may read anyway."""

import base64
import hashlib
import json

from gateway.errors import invalid

CHECKSUM_BYTES = 12


def page_token(of: str, tenant: str, policy: str, offset: int) -> str:
    """The token for the page that begins at `offset`. of: the set's name."""
    text = json.dumps([of, tenant, policy, offset]).encode()
    return base64.urlsafe_b64encode(_checksum(text) + text).decode().rstrip("=")


def offset_of(token: str, of: str, tenant: str, policy: str) -> int:
    """Where the token's page begins. Raises INVALID_FIELD for a damaged token or one of another list."""
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        checksum, text = data[:CHECKSUM_BYTES], data[CHECKSUM_BYTES:]
        values = json.loads(text) if checksum == _checksum(text) else []
    except ValueError:
        values = []
    if not values or page_token(*values) != token:
        raise invalid("page_token", "is not one that this service gave")
    if values[:3] != [of, tenant, policy]:
        raise invalid("page_token", "is of another policy")
    return int(values[3])


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:CHECKSUM_BYTES]
