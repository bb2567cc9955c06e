"""JSON web tokens of the configured issuers. In this order: 1. the token names an issuer that we know; 2. an algorithm of the
issuer's list, all of them with public keys; 3. a key of the issuer's, by kid; 4. signature, audience, issuer and times; 5. a
subject that can be a name. Whatever else its header says (jku, jwk, x5u, …) is not looked at."""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from gateway.call import Call, Caller
from gateway.config.doors import JwtIssuer
from gateway.pipeline.authenticators.jwks import Keys, from_file, from_url

SUBJECT = re.compile(r"[!-~]{1,256}")
MOST_REMEMBERED = 10_000
REQUIRED = ["exp", "iss", "aud"]


class JsonWebTokens:
    """issuers: by the names that their callers get as prefix. clock: Unix time."""

    def __init__(self, issuers: Mapping[str, JwtIssuer], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._issuers = {issuer.issuer: (name, issuer, _keys(issuer)) for name, issuer in issuers.items()}
        self._remembered: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def caller_of(self, call: Call) -> Caller | None:
        if call.bearer is None or call.bearer.count(".") != 2:
            return None
        digest = hashlib.sha256(call.bearer.encode()).digest()
        caller, until = self._remembered.get(digest, (None, 0.0))
        if caller is not None and self._clock() < until:
            return caller
        try:
            caller, until = await self._verify(call.bearer)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError) as exc:
            call.record.note(token_refused=type(exc).__name__)
            return None
        self._remembered[digest] = caller, until
        if len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return caller

    async def look(self) -> None:
        """Nothing yet."""

    async def _verify(self, token: str) -> tuple[Caller, float]:
        """The caller, and until when the token is good. Raises PyJWTError and what odd tokens may cause."""
        header = jwt.get_unverified_header(token)
        unverified = jwt.decode(token, options={"verify_signature": False})
        name, issuer, keys = self._issuers[unverified["iss"]]  # 1
        if header.get("alg") not in issuer.algorithms:  # 2
            raise jwt.InvalidAlgorithmError
        key = await keys.key(str(header["kid"]))  # 3
        if key is None:
            raise jwt.InvalidKeyError
        claims: dict[str, Any] = jwt.decode(  # 4
            token,
            key.key,
            algorithms=list(issuer.algorithms),
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=issuer.leeway_s,
            options={"require": [*REQUIRED, issuer.name_claim]},
        )
        subject = claims[issuer.name_claim]
        if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):  # 5
            raise jwt.InvalidTokenError
        return Caller(f"{name}:{subject}"), float(claims["exp"]) + issuer.leeway_s


def _keys(issuer: JwtIssuer) -> Keys:
    if issuer.jwks_url is not None:
        return Keys(from_url(issuer.jwks_url, issuer.ca_file))
    assert issuer.jwks_file is not None
    return Keys(from_file(issuer.jwks_file))
