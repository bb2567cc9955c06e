"""An issuer's public keys, from a URL or a file: fetched when needed, kept when the issuer is down."""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt

log = logging.getLogger(__name__)

FRESH_S = 300.0
# A kid that nobody knows makes the keys be fetched anew, but not by every call that brings one.
COOLDOWN_S = 10.0
FETCH_S = 5.0


class Keys:
    """fetch: blocking; gives the JWK set. clock: monotonic seconds."""

    def __init__(self, fetch: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key, after a look at the issuer if it is new; None where the issuer does not have it."""
        age = self._clock() - self._fetched_at
        if self._flight is None and age > (FRESH_S if kid in self._keys else COOLDOWN_S):
            self._fetched_at = self._clock()
            self._flight = asyncio.create_task(self._refresh(), name="jwks")
        if kid not in self._keys and self._flight is not None:
            await asyncio.shield(self._flight)
        return self._keys.get(kid)

    async def _refresh(self) -> None:
        try:
            keys = jwt.PyJWKSet.from_dict(await asyncio.to_thread(self._fetch)).keys
            self._keys = {str(key.key_id): key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
        except (jwt.PyJWTError, OSError, ValueError, TypeError, AttributeError) as exc:
            log.warning("the issuer's keys cannot be read; those before stay", extra={"error": type(exc).__name__})
        finally:
            self._flight = None


def from_url(url: str, ca_file: Path | None) -> Callable[[], Any]:
    """Fetches from `url`; PyJWT's own client follows no redirect."""
    context = ssl.create_default_context(cafile=ca_file)
    return jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_S, ssl_context=context).fetch_data


def from_file(path: Path) -> Callable[[], Any]:
    """Reads `path`."""
    return lambda: json.loads(path.read_text())
