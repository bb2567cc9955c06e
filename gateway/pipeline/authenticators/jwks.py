"""An issuer's public keys: read when needed and every few minutes, and kept for a while if they cannot be read."""

import asyncio
import json
import logging
import time
from collections.abc import Callable

import jwt

from gateway.metrics import JWKS_FAILED, JWKS_UP
from gateway.pipeline.authenticators.jwks_sources import KeysError, Source

log = logging.getLogger(__name__)

# An unknown kid causes a read of the keys, but at most one in so many seconds, however many calls bring one; the same holds for
# an issuer whose reads fail.
COOLDOWN_S = 10.0


class Keys:
    """name: of the issuer in the configuration. source: reads the keys; blocking. refresh_s: how old the keys may be before
    they are read again; 0: at every reload. kept_s: how long they are used after the last successful read. clock: monotonic
    seconds."""

    def __init__(
        self, name: str, source: Source, refresh_s: float, kept_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._source, self._clock = name, source, clock
        self._refresh_s, self._kept_s = refresh_s, kept_s
        self._text = b""
        self._keys: dict[str, jwt.PyJWK] = {}
        self._tried_at = self._read_at = float("-inf")
        self._flight: asyncio.Task[None] | None = None
        self.fault = "not read yet"

    def current(self) -> object | None:
        """The current keys: another object after they changed, so that what was verified with the old ones is no longer valid;
        None if they are too old to use. Starts a read if it is due, without waiting for it."""
        self._begin(max(self._refresh_s, COOLDOWN_S))
        return self._keys if self._clock() - self._read_at <= self._kept_s else None

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """The key with this kid; reads the keys again first if it is unknown. None if the issuer does not have it."""
        if self.current() is None or kid not in self._keys:
            self._begin(COOLDOWN_S)
            await self._landed()
        return self._keys.get(kid) if self.current() is not None else None

    async def reload(self) -> None:
        """Reads the keys anew if it is time."""
        self._begin(min(self._refresh_s, COOLDOWN_S) if self.fault else self._refresh_s)
        await self._landed()

    def _begin(self, age: float) -> None:
        if self._flight is None and self._clock() - self._tried_at >= age:
            self._tried_at = self._clock()
            self._flight = asyncio.create_task(self._refresh(), name="jwks")

    async def _landed(self) -> None:
        if self._flight is not None:
            await asyncio.shield(self._flight)

    async def _refresh(self) -> None:
        try:
            text = await asyncio.to_thread(self._source)
            if text != self._text or not self._keys:
                self._keys, self._text = _parse(text), text
        except KeysError as exc:
            JWKS_FAILED.labels(self._name, exc.cause).inc()
            if str(exc) != self.fault:
                why = {"issuer": self._name, "cause": exc.cause, "why": str(exc)}
                log.warning("the issuer's keys cannot be read; the previous keys stay in use for keys_kept_s", extra=why)
            self.fault = str(exc)
        else:
            self.fault, self._read_at = "", self._clock()
        finally:
            JWKS_UP.labels(self._name).set(not self.fault)
            self._flight = None


def _parse(text: bytes) -> dict[str, jwt.PyJWK]:
    """By kid. Raises KeysError."""
    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(text)).keys
    except Exception as exc:  # noqa: BLE001 - what PyJWT raises of another's text is not a list that ends
        raise KeysError("answer", f"the answer is not a JWK set with a signature key ({type(exc).__name__})") from None
    return {str(key.key_id): key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
