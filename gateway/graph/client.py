"""One tenant's Graph: token, request, faults, retries within the deadline."""

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gateway.call import Record
from gateway.credentials import TokenSource
from gateway.errors import GatewayError, Kind, Reason
from gateway.graph.faults import fault_of
from gateway.graph.quota import Quota
from gateway.graph.retries import Tried, again, parse_retry_after
from gateway.graph.transports import Request, Response, Transport, TransportError
from gateway.metrics import GRAPH_REQUESTS
from gateway.odata import loads

USER_AGENT = "compliance-gateway"
UNAVAILABLE_RETRY_S = 5.0
# The policy `deadline` ends a call; the transport only sees to it that nothing goes on for long after.
BACKSTOP_S = 1.0


# How long Graph may work on a write. Longer than a transport waits for an answer to begin; a caller that gives up ends nothing.
POST_S = 30.0


@dataclass(frozen=True)
class Permit:
    """What a write needs besides its body, so that nothing has to be waited for when it is sent."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """A success of Graph: HTTP status and the JSON body, None where it was empty."""

    status: int
    json: Any


class GraphClient:
    """Sends requests to one tenant's Graph at `root` (such as https://graph.microsoft.com). tenant: its name, for metrics.

    Reads take their turn in the quota when they are sent; a write has had both of its turns before (see `permit`).
    """

    def __init__(
        self,
        root: str,
        transport: Transport,
        tokens: TokenSource,
        *,
        tenant: str = "",
        quota: Quota | None = None,
        max_attempts: int = 6,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._root, self._transport, self._tokens, self._tenant = root, transport, tokens, tenant
        self.quota = quota or Quota()
        self._max_attempts, self._jitter = max_attempts, jitter

    async def token(self) -> str:
        """The token that requests are sent with. Raises GatewayError."""
        return await self._tokens.token()

    async def permit(self, deadline: float) -> Permit:
        """Waits for all that a write waits for: its turns in the quota and a token. Raises GatewayError."""
        await self.quota.writes.take(deadline)
        try:
            token = await self.token()
            await self.quota.requests.take(deadline)
        except BaseException:
            self.quota.writes.give_back()
            raise
        return Permit(token)

    def give_back(self) -> None:
        """A permit that was not needed."""
        self.quota.writes.give_back()
        self.quota.requests.give_back()

    async def post(self, path: str, body: bytes, permit: Permit, client_request_id: str, record: Record) -> Answer:
        """Sends a write at once, and once: what would have to wait is raised, with Graph's own retry_after if it gave one.

        Raises GatewayError: OUTCOME_UNKNOWN where Graph may have carried it out, or may yet; GRAPH_TOKEN_REFUSED once a token
        was dropped, so that the next permit has another.
        """
        request = Request("POST", self._url(path), _headers(permit.token, client_request_id), body)
        tried, outcome = await self._try(request, POST_S, False, record)
        if isinstance(outcome, Answer):
            return outcome
        if outcome.reason is Reason.GRAPH_TOKEN_REFUSED:
            self._tokens.drop(permit.token)
        outcome.retry_after = tried.retry_after
        raise outcome

    async def get(
        self, path: str, *, deadline: float, record: Record, timeout: float | None = None, urgent: bool = False
    ) -> Answer:
        """Asks until Graph answers, as retries.again allows, and not past `deadline` (event loop's clock).

        path: from the version on (`/beta/…`), or an `@odata.nextLink` of this root. timeout: seconds for each try, from when it
        is sent. urgent: before other reads in the quota. Raises GatewayError.
        """
        url = self._url(path)
        refreshed = fresh = False
        attempt = 0
        while True:
            attempt += 1
            token = await self.token()
            await self.quota.requests.take(deadline, urgent=urgent)
            left = max(deadline - asyncio.get_running_loop().time(), 0.0)
            request = Request("GET", url, _headers(token, str(uuid.uuid4())), None)
            tried, outcome = await self._try(request, min(left, timeout or left), fresh, record)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.reason is Reason.GRAPH_TOKEN_REFUSED and not refreshed:
                refreshed = True  # E10: drop the token, fetch one, try once more
                self._tokens.drop(token)
                continue
            resend = again(tried, attempt, self._jitter())
            if resend is None:
                raise outcome
            out_of_time = asyncio.get_running_loop().time() + resend.delay >= deadline
            if out_of_time or (tried.status != 429 and attempt >= self._max_attempts):
                outcome.retry_after = max(resend.delay, 0.001)
                raise outcome
            fresh = resend.fresh
            await asyncio.sleep(resend.delay)

    async def _try(self, request: Request, timeout: float, fresh: bool, record: Record) -> tuple[Tried, Answer | GatewayError]:
        record.count("graph_requests")
        ids = {"client_request_id": request.headers["client-request-id"]}
        try:
            response = await self._transport.send(request, timeout + BACKSTOP_S, fresh=fresh)
        except TransportError as exc:
            GRAPH_REQUESTS.labels(self._tenant, request.method, "none").inc()
            _note(record, request, graph_status=None, graph_failure=exc.why, **ids)
            return Tried(None, exc.sent), _lost(request, exc, ids)
        GRAPH_REQUESTS.labels(self._tenant, request.method, response.status if 100 <= response.status < 600 else "none").inc()
        ids |= _ids(response)
        _note(record, request, graph_status=response.status, graph_failure=None, **ids)
        outcome = _read(request, response)
        if isinstance(outcome, GatewayError):
            outcome.metadata = {**outcome.metadata, **ids}
        retry_after = parse_retry_after(response.headers.get("retry-after"))
        return Tried(response.status, retry_after=retry_after), outcome

    def _url(self, path: str) -> str:
        if not path.startswith("https://"):
            return self._root + path
        # A next link is followed as it is, but the token goes to this tenant's Graph alone.
        if urlsplit(path)[:2] != urlsplit(self._root)[:2]:
            raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph's next link leads to another host.")
        return path


def _note(record: Record, request: Request, **facts: object) -> None:
    """The last write is what a record tells of; the last read, where nothing was written."""
    if request.method != "GET" or record.facts.get("graph_method", "GET") == "GET":
        record.note(graph_method=request.method, **facts)


def _headers(token: str, client_request_id: str) -> Mapping[str, str]:
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "client-request-id": client_request_id,
    }


def _ids(response: Response) -> dict[str, str]:
    value = response.headers.get("request-id", "")
    return {"graph_request_id": value[:64]} if value.isascii() and value.isprintable() and value else {}


def _read(request: Request, response: Response) -> Answer | GatewayError:
    if not 200 <= response.status < 300:
        error = fault_of(response.status, response.headers, response.body)
        if request.method != "GET" and _may_have_acted(response):
            return GatewayError(Reason.OUTCOME_UNKNOWN, metadata=error.metadata)
        if error.reason.kind is Kind.UNAVAILABLE:
            error.retry_after = UNAVAILABLE_RETRY_S
        return error
    try:
        return Answer(response.status, loads(response.body) if response.body.strip() else None)
    except (ValueError, RecursionError):
        reason = Reason.GRAPH_ANSWER_UNREADABLE if request.method == "GET" else Reason.OUTCOME_UNKNOWN
        return GatewayError(reason, "Graph's answer is no JSON.", metadata={"graph_status": str(response.status)})


def _may_have_acted(response: Response) -> bool:
    """Who says when to come back (503 with Retry-After) has put the request off; any other 5xx, and a time-out (408), may come
    from a front that had passed it on."""
    put_off = response.status == 503 and "retry-after" in response.headers
    return response.status == 408 or (response.status >= 500 and not put_off)


def _lost(request: Request, exc: TransportError, ids: Mapping[str, str]) -> GatewayError:
    if exc.sent and request.method != "GET":
        return GatewayError(
            Reason.OUTCOME_UNKNOWN, f"Graph may or may not have carried out the write: {exc.why}.", metadata=ids
        )
    return GatewayError(
        Reason.GRAPH_UNAVAILABLE, f"Graph cannot be reached: {exc.why}.", retry_after=UNAVAILABLE_RETRY_S, metadata=ids
    )
