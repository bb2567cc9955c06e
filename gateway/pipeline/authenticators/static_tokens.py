"""Static tokens from the configuration, found by their digests; reloaded when the configuration's file changes.

`new_token` generates the tokens with 256 random bits: there is nothing to guess, so a digest needs no salt, and one look-up by
digest finds the caller, however many there are.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.call import Call, Caller
from gateway.config import ConfigError, load_static
from gateway.files import version_of
from gateway.metrics import RELOADS
from gateway.names import hash_token, new_token

__all__ = ["StaticTokens", "hash_token", "new_token"]

log = logging.getLogger(__name__)

Digest = Callable[[bytes], bytes]


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


class Salted(NamedTuple):
    """A line of the old, salted form."""

    caller: Caller
    salt: bytes
    digest: bytes


class Lines(NamedTuple):
    """The configured lines. salted: those whose tokens were not seen yet; once a token was seen it is found by its digest, so
    that in the long run an unknown token costs one hash here too."""

    known: dict[bytes, Caller]
    salted: list[Salted]


class StaticTokens:
    """callers: name -> line as `hash_token` returns it. source: the configuration's file. digest: for tests."""

    def __init__(self, callers: Mapping[str, str], source: Path | None = None, digest: Digest = sha256) -> None:
        self._source, self._digest = source, digest
        self._seen = source and version_of(source)
        # One attribute, so that new lines are in place at once, with nothing of what the old ones knew.
        self._lines = _lines(callers)

    async def caller_of(self, call: Call) -> Caller | None:
        bearer = call.bearer
        if bearer is None:
            return None
        lines, token = self._lines, bearer.encode()
        digest = self._digest(token)
        found = lines.known.get(digest)
        if found is not None or not lines.salted:
            return found
        # All of them, so that the time says nothing.
        matching = [line for line in lines.salted if hmac.compare_digest(self._digest(line.salt + token), line.digest)]
        for line in matching:
            lines.salted.remove(line)
            found = lines.known[digest] = line.caller
        return found

    async def reload(self) -> None:
        """Takes over the file's [callers.static] if the file has changed and the section is valid; faults in other sections do
        not matter."""
        if self._source is None or (seen := version_of(self._source)) == self._seen:
            return
        self._seen = seen
        try:
            self._lines = _lines(await asyncio.to_thread(load_static, self._source))
        except ConfigError as exc:
            RELOADS.labels("static callers", "refused").inc()
            log.error("the new [callers.static] is wrong; the old one stays", extra={"why": str(exc)})  # noqa: TRY400
        else:
            RELOADS.labels("static callers", "ok").inc()
            log.info("static callers loaded", extra={"file": str(self._source)})

    def health(self) -> Mapping[str, str]:
        return {}


def _lines(callers: Mapping[str, str]) -> Lines:
    lines = Lines({}, [])
    for name, text in callers.items():
        _, *salt, digest = text.split(":")
        if salt:
            lines.salted.append(Salted(Caller(name), bytes.fromhex(salt[0]), bytes.fromhex(digest)))
        else:
            lines.known[bytes.fromhex(digest)] = Caller(name)
    return lines
