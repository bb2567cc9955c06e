"""One tenant's token, cached: a hit costs an attribute look-up and a comparison."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from gateway.credentials.msal_app import Issued
from gateway.errors import GatewayError, Reason

log = logging.getLogger(__name__)

# A token is not served in its last seconds: it has to live until Graph has looked at it.
LEEWAY_S = 10.0
RENEW_AT = 0.5  # of the life, where Entra names no time; MSAL's own rule for long-lived tokens
JITTER = 0.1  # renewals of many tenants and replicas spread over a tenth of the time
RETRY_FIRST_S, RETRY_LONGEST_S = 1.0, 60.0


@dataclass(frozen=True)
class Remembered:
    """A cached token with the times (of this source's clock) at which it is renewed and at which it is no longer used."""

    value: str = field(repr=False)
    renew_at: float
    dead_at: float


class TokenApp(Protocol):
    """What a TokenSource needs of a credential."""

    def acquire(self) -> Issued:
        """Blocking. Raises GatewayError."""
        ...

    def fingerprint(self) -> object:
        """Blocking but cheap: a value that changes when `acquire` may use something new."""
        ...

    def close(self) -> None:
        """Closes its connections."""
        ...


class TokenSource:
    """Provides the tenant's token: fetches it once for all that wait, and renews it in the background before it expires. app:
    runs in `executor`. clock: monotonic seconds."""

    def __init__(
        self,
        app: TokenApp,
        executor: Executor,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._app, self._executor, self._clock, self._jitter = app, executor, clock, jitter
        self._sleep = sleep
        self._token: Remembered | None = None
        self._flight: asyncio.Task[Remembered] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._refused: tuple[float, GatewayError] | None = None
        self._seen: object = None

    async def token(self) -> str:
        """A valid token. Raises GatewayError if there is none and Entra gives none."""
        remembered = self._token
        if remembered is not None and self._clock() < remembered.dead_at:
            return remembered.value
        return (await self._fetch()).value

    def drop(self, value: str) -> None:
        """Drops the token if it is still `value`: Graph refused it."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def try_changed(self) -> None:
        """Tries a changed credential before it is needed. Never raises GatewayError."""
        if self._token is None or self._flight is not None:
            return
        if await asyncio.get_running_loop().run_in_executor(self._executor, self._app.fingerprint) != self._seen:
            try:
                await self._fetch()
            except GatewayError as error:
                log.error("the new credential gives no token", extra={"reason": error.reason.name, **error.metadata})  # noqa: TRY400

    async def close(self) -> None:
        """Ends the renewal and closes the connections to Entra."""
        for task in (self._renewal, self._flight):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(t for t in (self._renewal, self._flight) if t), return_exceptions=True)
        self._app.close()

    async def _fetch(self) -> Remembered:
        if self._flight is None:
            if self._refused is not None and self._clock() < self._refused[0]:
                raise _again(self._refused[1], self._refused[0] - self._clock())
            self._flight = asyncio.create_task(self._fly(), name="token-fetch")
            self._flight.add_done_callback(_look_at_exception)
        # Shielded: one caller that gives up does not end the fetch of the others.
        return await asyncio.shield(self._flight)

    async def _fly(self) -> Remembered:
        try:
            self._seen, issued = await asyncio.get_running_loop().run_in_executor(self._executor, self._look_and_acquire)
        except GatewayError as error:
            # For a moment everyone gets the same answer, so that a load of calls is not a load on a failing Entra.
            self._refused = (self._clock() + max(RETRY_FIRST_S, min(error.retry_after or 0, RETRY_LONGEST_S)), error)
            raise
        else:
            self._refused = None
            self._token = remembered = self._remember(issued)
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew(), name="token-renewal")
            return remembered
        finally:
            self._flight = None

    def _look_and_acquire(self) -> tuple[object, Issued]:
        return self._app.fingerprint(), self._app.acquire()

    def _remember(self, issued: Issued) -> Remembered:
        now = self._clock()
        renew_in = issued.refresh_in if issued.refresh_in is not None else issued.expires_in * RENEW_AT
        renew_in = min(renew_in, issued.expires_in - LEEWAY_S) * (1 - JITTER * self._jitter())
        return Remembered(issued.value, now + max(renew_in, 1.0), now + issued.expires_in - LEEWAY_S)

    async def _renew(self) -> None:
        """Renews until a token expires without a successful renewal; the next call then fetches a token and restarts this."""
        failures = 0
        while (token := self._token) is not None:
            wait = token.renew_at - self._clock() if failures == 0 else _pause(failures)
            if wait > 0:
                await self._sleep(wait)
            if self._clock() >= token.dead_at and failures:
                return
            if self._token is not token:
                failures = 0
                continue
            try:
                await self._fetch()
                failures = 0
            except GatewayError as error:
                failures += 1
                log.warning("token renewal failed", extra={"reason": error.reason.name, "failures": failures, **error.metadata})


def _look_at_exception(flight: "asyncio.Task[Remembered]") -> None:
    """Retrieves the exception: all waiters may be gone, and asyncio would log it as never retrieved."""
    if not flight.cancelled():
        flight.exception()


def _pause(failures: int) -> float:
    return min(RETRY_LONGEST_S, RETRY_FIRST_S * 2.0 ** min(failures, 10))


def _again(error: GatewayError, seconds: float) -> GatewayError:
    retry_after = max(seconds, 0.001) if error.reason is Reason.ENTRA_UNAVAILABLE else None
    return GatewayError(error.reason, error.message, retry_after=retry_after, metadata=error.metadata)
