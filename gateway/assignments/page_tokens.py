"""Page tokens: where the next page begins. A token cannot be forged without the key, and is valid for one list of one tenant
only. The key is the ledger's, so tokens are valid at every replica and after every restart."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable

from gateway.errors import GatewayError, Reason, invalid

OFFSET_BYTES, MAC_BYTES = 8, 16  # together a multiple of three: no padding, and one spelling
RETRY_S = 1.0


class PageTokens:
    """key: returns 32 random bytes, empty while they are unknown."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key

    def token(self, of: str, tenant: str, policy: str, offset: int) -> str:
        """The token for the page that begins at `offset`. of: the set's name. Raises LEDGER_UNAVAILABLE: no key."""
        if not (key := self._key()):
            raise GatewayError(
                Reason.LEDGER_UNAVAILABLE,
                "A page token needs the ledger's key, and this gateway has not been able to read the ledger yet.",
                retry_after=RETRY_S,
            )
        text = json.dumps(["page token", of, tenant, policy, offset]).encode()
        mac = hmac.digest(key, text, hashlib.sha256)[:MAC_BYTES]
        return base64.urlsafe_b64encode(offset.to_bytes(OFFSET_BYTES) + mac).decode()

    def offset(self, token: str, of: str, tenant: str, policy: str) -> int:
        """Where the token's page begins. Raises INVALID_FIELD for a token that was not issued for this list, and what `token`
        raises."""
        try:
            offset = int.from_bytes(base64.b64decode(token, altchars=b"-_", validate=True)[:OFFSET_BYTES])
        except ValueError:
            offset = 0
        if not hmac.compare_digest(self.token(of, tenant, policy, offset).encode(), token.encode()):
            raise invalid("page_token", "is not a token that this service issued for this list")
        return offset
