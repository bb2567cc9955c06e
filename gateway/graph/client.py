"""One tenant's Graph: requests with token and quota, retries within the deadline, errors."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gateway.call import Record
from gateway.clock import Skew, moment
from gateway.credentials import TokenSource
from gateway.errors import GatewayError, Kind, Reason
from gateway.graph.graph_errors import graph_error_of
from gateway.graph.quota import Bid, Bidder, Quota, Turns
from gateway.graph.retries import Tried, again, parse_retry_after
from gateway.graph.transports import Request, Response, Streamed, Transport, TransportError
from gateway.ids import new_guid
from gateway.metrics import graph_requests_of
from gateway.odata import loads

USER_AGENT = "compliance-gateway"
UNAVAILABLE_RETRY_S = 5.0
# The policy `deadline` ends a call; the transport only sees to it that nothing goes on for long after.
BACKSTOP_S = 1.0
HEADERS = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": USER_AGENT}
# How long Graph may take for a write. Longer than a transport waits for an answer to begin; a caller that gives up does not end
# it.
POST_S = 30.0
# The error statuses of a passed-on read that its caller gets as they are: the request itself is wrong. The others concern the
# gateway.
PASSED = frozenset(range(400, 500)) - {401, 403, 407, 408, 429}
# The most that is read of an error answer.
ERROR_BYTES = 64 << 10


@dataclass(eq=False)
class Permit:
    """What a write needs beside its body (turns and a token), taken in advance so that nothing waits when it is sent. Usable
    once."""

    token: str = field(repr=False)
    is_spent: bool = False


@dataclass(frozen=True)
class GraphAnswer:
    """A success of Graph: HTTP status and the JSON body, None if it was empty."""

    status: int
    json: Any


class GraphClient:
    """Sends requests to one tenant's Graph at `root` (such as https://graph.microsoft.com). tenant: its name, for metrics.

    A read takes its turn in the quota when it is sent; a write has taken both of its turns before (see `permit`).
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
        self.root, self._transport, self._tokens, self._tenant = root, transport, tokens, tenant
        self.quota, self.skew = quota or Quota(), Skew(tenant)
        self._max_attempts, self._jitter = max_attempts, jitter

    async def token(self) -> str:
        """The token for requests. Raises GatewayError."""
        return await self._tokens.token()

    @asynccontextmanager
    async def permit(self, deadline: float, bid: Bid, *, urgent: bool = False) -> AsyncIterator[Permit]:
        """Waits for all that a write needs: its turns in the quota and a token. What the block does not use is given back.
        urgent: before all others. Raises GatewayError."""
        writes, requests = self.quota.writes, self.quota.requests
        await writes.take(deadline, bid, urgent=urgent)
        try:
            token = await self._tokens.token()
            await requests.take(deadline, Bid.of(Bidder(bid.payer)), urgent=True)
        except BaseException:
            writes.give_back()
            raise
        permit = Permit(token)
        try:
            yield permit
        finally:
            if not permit.is_spent:
                writes.give_back()
                requests.give_back()

    async def post(self, path: str, body: bytes, permit: Permit, client_request_id: str, record: Record) -> GraphAnswer:
        """Sends a write once and immediately. If it had to wait, it raises instead, with Graph's own retry_after if there is
        one: the set that it carries would be stale.

        Raises GatewayError: OUTCOME_UNKNOWN if Graph may have carried it out or may still do so; GRAPH_TOKEN_REFUSED after the
        token was dropped, so that the next permit has another.
        """
        own = {"Authorization": f"Bearer {permit.token}", "client-request-id": client_request_id}
        request = Request("POST", self.root + path, {**HEADERS, **own}, body, urgent=True)
        permit.is_spent = True
        sending = partial(self._transport.send, request, POST_S + BACKSTOP_S)
        turns = (self.quota.requests, self.quota.writes)
        tried, outcome = await self._try(request, sending, record, turns, writes=True)
        if isinstance(outcome, GraphAnswer):
            return outcome
        assert isinstance(outcome, GatewayError)
        if outcome.reason is Reason.GRAPH_TOKEN_REFUSED:
            self._tokens.drop(permit.token)
        outcome.retry_after = tried.retry_after
        raise outcome

    async def get(
        self,
        path: str,
        *,
        deadline: float,
        record: Record,
        timeout: float | None = None,
        urgent: bool = False,
        bid: Bid | None = None,
        body: bytes | None = None,
    ) -> GraphAnswer:
        """Reads, with retries as retries.again allows, until Graph answers or `deadline` (event loop's clock) passes.

        path: from the version on (`/beta/…`), or an `@odata.nextLink` of this root. timeout: seconds for each attempt, from
        when it is sent. urgent: the read is needed by a write: it goes before callers' reads in the quota, and uses other
        connections. bid: of all readers that share it, closed before anything is sent; by default of the record's caller. body:
        JSON of a POST that only reads. Raises GatewayError.
        """
        url = self.root + path if path.startswith("/") else self._followed(path)

        async def send(token: str, left: float, fresh: bool) -> tuple[Tried, GraphAnswer | Streamed | GatewayError]:
            request = Request("GET" if body is None else "POST", url, {**HEADERS, **_own(token)}, body, urgent)
            sending = partial(self._transport.send, request, min(left, timeout or left) + BACKSTOP_S, fresh=fresh)
            return await self._try(request, sending, record, (self.quota.requests,))

        answer = await self._until(deadline, record, send, urgent, bid)
        assert isinstance(answer, GraphAnswer)
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], *, deadline: float, record: Record
    ) -> AsyncIterator[Streamed]:
        """As `get`, for an answer that is passed on: a success, or an error about the request itself. headers: in addition to
        those that every request has. Raises GatewayError for every other answer."""
        async with AsyncExitStack() as stack:

            async def send(token: str, left: float, fresh: bool) -> tuple[Tried, GraphAnswer | Streamed | GatewayError]:  # noqa: ARG001 - a stream takes whatever connection there is
                own = {name: value for name, value in HEADERS.items() if name != "Content-Type"}
                request = Request("GET", self.root + path, {**own, **headers, **_own(token)})
                return await self._try(request, partial(opened, request, left + BACKSTOP_S), record, (self.quota.requests,))

            async def opened(request: Request, seconds: float) -> Response | Streamed:
                async with AsyncExitStack() as one:
                    streamed = await one.enter_async_context(self._transport.stream(request, seconds))
                    if streamed.status < 300 or streamed.status == 304 or streamed.status in PASSED:
                        stack.push_async_exit(one.pop_all())
                        return streamed
                    body = bytearray()
                    async for piece in streamed.pieces:
                        body += piece
                        if len(body) > ERROR_BYTES:
                            break
                    return Response(streamed.status, streamed.headers, bytes(body))

            answer = await self._until(deadline, record, send)
            assert isinstance(answer, Streamed)
            yield answer

    async def _until(
        self,
        deadline: float,
        record: Record,
        send: Callable[[str, float, bool], Awaitable[tuple[Tried, GraphAnswer | Streamed | GatewayError]]],
        urgent: bool = False,
        bid: Bid | None = None,
    ) -> GraphAnswer | Streamed:
        """send: once, with this token, within so many seconds, on a new connection or not."""
        refreshed = fresh = False
        attempt = 0
        while True:
            attempt += 1
            token = await self._tokens.token()
            turn = bid if bid is not None and bid.is_open else Bid.of(*(bid.bidders if bid else (Bidder(record.caller),)))
            await self.quota.requests.take(deadline, turn, urgent=urgent)
            turn.is_open = False
            left = max(deadline - asyncio.get_running_loop().time(), 0.0)
            tried, outcome = await send(token, left, fresh)
            if not isinstance(outcome, GatewayError):
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

    async def _try(
        self,
        request: Request,
        sending: Callable[[], Awaitable[Response | Streamed]],
        record: Record,
        turns: Sequence[Turns],
        *,
        writes: bool = False,
    ) -> tuple[Tried, GraphAnswer | Streamed | GatewayError]:
        """turns: that the request uses up. Of a 429 the last of them learns: whichever window was full, a write that is refused
        waits, and with the next read that is refused all do."""
        status = failure = retry_after = None
        ids = {"client_request_id": request.headers["client-request-id"]}
        outcome: GraphAnswer | Streamed | GatewayError
        try:
            try:
                response = await sending()
            finally:
                for one in turns:
                    one.answered()
        except TransportError as exc:
            failure, tried, outcome = exc.why, Tried(None, exc.sent), _lost(exc, writes)
        else:
            self.skew.seen(response.headers)
            status, request_id = response.status, response.headers.get("request-id", "")
            if request_id and request_id.isascii() and request_id.isprintable():
                ids["graph_request_id"] = request_id[:64]
            if "retry-after" in response.headers:
                retry_after = parse_retry_after(response.headers["retry-after"], moment(response.headers.get("date", "")))
            if status == 429:
                turns[-1].refused(retry_after)
            else:
                turns[-1].accepted()
            tried = Tried(status, retry_after=retry_after)
            outcome = response if isinstance(response, Streamed) else _read(response, writes)
        graph_requests_of(self._tenant, request.method, status if status and 100 <= status < 600 else "none").inc()
        record.facts["graph_requests"] = int(str(record.facts.get("graph_requests", 0))) + 1
        # The last write is what a record tells of; the last read, where nothing was written.
        if writes or record.facts.get("graph_method", "GET") == "GET":
            record.note(graph_method=request.method, graph_status=status, graph_failure=failure, **ids)
        if isinstance(outcome, GatewayError):
            outcome.metadata = {**outcome.metadata, **ids}
        return tried, outcome

    def _followed(self, link: str) -> str:
        """A next link is followed as it is, but the token goes to this tenant's Graph alone."""
        if urlsplit(link)[:2] != urlsplit(self.root)[:2]:
            raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph's next link leads to another host.")
        return link


def _own(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "client-request-id": new_guid()}


def _read(response: Response, writes: bool) -> GraphAnswer | GatewayError:
    if not 200 <= response.status < 300:
        error = graph_error_of(response.status, response.headers, response.body)
        if writes and _may_have_acted(response):
            return GatewayError(Reason.OUTCOME_UNKNOWN, metadata=error.metadata)
        if error.reason.kind is Kind.UNAVAILABLE:
            error.retry_after = UNAVAILABLE_RETRY_S
        return error
    try:
        return GraphAnswer(response.status, loads(response.body) if response.body.strip() else None)
    except (ValueError, RecursionError):
        reason = Reason.OUTCOME_UNKNOWN if writes else Reason.GRAPH_ANSWER_UNREADABLE
        return GatewayError(reason, "Graph's answer is not JSON.", metadata={"graph_status": str(response.status)})


def _may_have_acted(response: Response) -> bool:
    """Whether Graph may have acted. A 503 with Retry-After has postponed the request; any other 5xx, and a 408, may come from a
    front end that had already passed it on."""
    put_off = response.status == 503 and "retry-after" in response.headers
    return response.status == 408 or (response.status >= 500 and not put_off)


def _lost(exc: TransportError, writes: bool) -> GatewayError:
    if exc.sent and writes:
        return GatewayError(Reason.OUTCOME_UNKNOWN, f"Graph may or may not have carried out the write: {exc.why}.")
    return GatewayError(Reason.GRAPH_UNAVAILABLE, f"Graph cannot be reached: {exc.why}.", retry_after=UNAVAILABLE_RETRY_S)
