"""JSON web tokens of the configured issuers. They are checked in this order: 1. the token names a configured issuer; 2. an
algorithm of the issuer's list, all of them with public keys; 3. a key of the issuer's, by kid; 4. signature, audience, issuer
and times; 5. a subject that is a valid name. Other header fields (jku, jwk, x5u, …) are ignored. Verified tokens are cached as
long as the issuer's keys stay the same."""

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from gateway.call import AUDIENCE, EARLY, EXPIRED, Call, Caller
from gateway.config.doors import JwtIssuer
from gateway.pipeline.authenticators.jwks import Keys
from gateway.pipeline.authenticators.jwks_sources import from_file, from_url

SUBJECT = re.compile(r"[!-~]{1,256}")
CACHE_SIZE = 10_000
REQUIRED = ["exp", "iat", "iss", "aud"]
# What the texts of strangers make PyJWT and Python raise; numbers beyond floats among them.
UNFIT = (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
# PyJWT looks at claims after the signature.
GENUINE: Mapping[type, str] = {
    jwt.ExpiredSignatureError: EXPIRED,
    jwt.ImmatureSignatureError: EARLY,
    jwt.InvalidAudienceError: AUDIENCE,
}


class Issuer(NamedTuple):
    """name: the prefix of its callers' names."""

    name: str
    settings: JwtIssuer
    keys: Keys


class Verified(NamedTuple):
    """until: Unix time. keys: see Keys.current."""

    caller: Caller
    until: float
    issuer: Issuer
    keys: object


class JsonWebTokens:
    """issuers: by the names that their callers get as prefix. clock: Unix time."""

    def __init__(
        self, issuers: Mapping[str, JwtIssuer], _source: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._issuers = {issuer.issuer: Issuer(name, issuer, _keys(name, issuer)) for name, issuer in issuers.items()}
        self._remembered: OrderedDict[bytes, Verified] = OrderedDict()

    async def caller_of(self, call: Call) -> Caller | None:
        if call.bearer is None or call.bearer.count(".") != 2:
            return None
        digest = hashlib.sha256(call.bearer.encode()).digest()
        found = self._remembered.get(digest)
        if found is not None and self._clock() < found.until and found.issuer.keys.current() is found.keys:
            return found.caller
        try:
            found = await self._verify(call.bearer)
        except UNFIT as exc:
            call.record.note(token_refused=GENUINE.get(type(exc), type(exc).__name__))
            return None
        self._remembered[digest] = found
        if len(self._remembered) > CACHE_SIZE:
            self._remembered.popitem(last=False)
        return found.caller

    async def reload(self) -> None:
        """Reads the issuers' keys anew where it is time."""
        await asyncio.gather(*(issuer.keys.reload() for issuer in self._issuers.values()))

    def health(self) -> Mapping[str, str]:
        """Why an issuer's keys cannot be read, empty where they can, by the place of the issuer in the configuration."""
        return {f"callers.jwt.{issuer.name}": issuer.keys.fault for issuer in self._issuers.values()}

    async def _verify(self, token: str) -> Verified:
        """Raises one of UNFIT."""
        header = jwt.get_unverified_header(token)
        unverified = jwt.decode(token, options={"verify_signature": False})
        issuer = self._issuers[unverified["iss"]]  # 1
        settings = issuer.settings
        if header.get("alg") not in settings.algorithms:  # 2
            raise jwt.InvalidAlgorithmError
        key = await issuer.keys.key(str(header["kid"]))  # 3
        keys = issuer.keys.current()
        if key is None:
            raise jwt.InvalidKeyError
        claims: dict[str, Any] = jwt.decode(  # 4
            token,
            key.key,
            algorithms=list(settings.algorithms),
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway_s,
            options={"require": [*REQUIRED, settings.name_claim]},
        )
        until = min(float(claims["exp"]), float(claims["iat"]) + settings.max_age_s) + settings.leeway_s
        if not self._clock() < until:
            raise jwt.ExpiredSignatureError
        subject = claims[settings.name_claim]
        if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):  # 5
            raise jwt.InvalidTokenError
        return Verified(Caller(f"{issuer.name}:{subject}"), until, issuer, keys)


def _keys(name: str, issuer: JwtIssuer) -> Keys:
    if issuer.jwks_url is not None:
        return Keys(name, from_url(issuer.jwks_url, issuer.ca_file), issuer.keys_refresh_s, issuer.keys_kept_s)
    assert issuer.jwks_file is not None
    return Keys(name, from_file(issuer.jwks_file), 0, issuer.keys_kept_s)
