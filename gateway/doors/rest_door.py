"""The REST door: Graph's own wire format over HTTP, with aiohttp.web. Wire <-> Call, and nothing else."""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from aiohttp import hdrs, web
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.call import CORRELATION, CORRELATION_RULE, ENTRY_ID, Call, Handler, Record, correlation_id, decoded
from gateway.config import Rest, Server
from gateway.doors.bodies import Bodies
from gateway.doors.connections import Listener, Shares, listening_at, within_files
from gateway.doors.rest_answers import RestAnswer, answer_of, refusal_of, with_record
from gateway.doors.rest_batch import BATCH, Item, answers_to, item_answer, items_of, json_of_item
from gateway.doors.rest_connection import Connection
from gateway.doors.rest_cors import Cors
from gateway.doors.rest_http import (
    SMALL,
    accepts_gzip,
    headers_of,
    named,
    refused,
    response_of,
    split,
    with_ids,
)
from gateway.doors.rest_incoming import Incoming, incoming_of
from gateway.doors.rest_metadata import METADATA, metadata
from gateway.doors.rest_pages import Pages
from gateway.doors.rest_paths import BATCH_PATH, COUNT, LARGEST_PAGE, METADATA_PATH, READS, VERSION, leading, located, paged
from gateway.doors.rest_reads import HttpSink, KeptSink, read_of
from gateway.doors.rest_requests import Headers, check_lengths, known_etags, message_of
from gateway.doors.rest_routes import Route, not_allowed, template_of
from gateway.doors.tls import Certificates
from gateway.doors.together import Together
from gateway.errors import GatewayError, Reason, invalid
from gateway.graph.tree import ReadPath, Tree
from gateway.operations import READ_THROUGH, Operation
from gateway.worker import Worker

log = logging.getLogger(__name__)

MINIMAL = re.compile(r"(^|[,;\s])return\s*=\s*\"?minimal\b", re.IGNORECASE)
LINGERING_S = 2.0  # how long a refused body goes on being read, so that the client hears why
HEAD_S = 10.0  # how long a new connection may take to send its first head
RETIRING_S = 0.1  # how often a door that retires looks whether it has connections


class RestDoor:
    """Serves `handle` on `settings.rest`. admit: authenticates a batch by its own headers, before its body is read. client_ca:
    verifies client certificates, if given. worker: which of several worker processes this is, if any. address: host and port,
    after `start`. Raises ConfigError for certificates that cannot be used."""

    def __init__(
        self,
        handle: Handler,
        admit: Handler,
        settings: Server,
        client_ca: Path | None = None,
        worker: Worker | None = None,
        rest: Rest | None = None,
    ) -> None:
        self._handle, self._admit, self._settings, self._rest = handle, admit, settings, rest or Rest()
        self._tree, self._cors = Tree(self._rest.read_through), Cors(self._rest.cors_origins)
        self._shared = worker.rest[1] if worker else []
        self._tls = Certificates(settings.tls, client_ca).context() if settings.tls else None
        self._certified = client_ca is not None
        self._pages, self._bodies = Pages(Together(worker).ready if worker else None), Bodies()
        self._server: web.Server | None = None
        self._listener: Listener | None = None
        self.address, self._retiring = "", False

    async def start(self) -> None:
        """Binds the address and serves. Raises OSError if the address cannot be bound."""
        loop, address = asyncio.get_running_loop(), self._settings.rest or ""
        # No aiohttp.web.Application: what it answers by itself (CONNECT, `*`, Expect) is not as all else here, nor in the log.
        self._server = web.Server(self._serve, handler_cancellation=True)
        connect = partial(
            Connection,
            self._server,
            loop=loop,
            access_log=cast(Any, None),
            keepalive_timeout=self._settings.idle_s,
            max_line_size=self._settings.max_metadata_bytes,
            max_field_size=self._settings.max_metadata_bytes,
            lingering_time=LINGERING_S,
            read_bufsize=SMALL,
            head_s=min(self._settings.idle_s, HEAD_S),
            answer_s=self._settings.idle_s,
            most_ahead=2 * self._settings.max_metadata_bytes,  # the line and the headers
            auto_decompress=False,
        )
        shares = Shares(within_files(self._settings.connections), self._settings.connections_per_peer)
        sockets = [socket.socket(fileno=number) for number in self._shared] or listening_at(address)
        self._listener = Listener(sockets, lambda lost: connect(lost=lost), shares, self._tls)
        self.address = f"{address.rpartition(':')[0]}:{self._listener.start()}"
        self._pages.serving = True

    async def say_health(self, name: str, *, healthy: bool, why: str = "") -> None:  # noqa: ARG002 - why is at the admin door
        """Sets what `/readyz` reports of `name`."""
        self._pages.health[name] = "up" if healthy else "down"

    async def leave(self) -> None:
        """Reports from now on that the gateway is not ready."""
        self._pages.serving = False

    async def retire(self) -> None:
        """Accepts no new connection, and returns when there is none: each ends with its next answer, or after `idle_s`."""
        self._retiring = True
        if self._listener is not None:
            self._listener.close()
        while self._server is not None and self._server.connections:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(RETIRING_S)

    async def stop(self, grace: float) -> None:
        """Accepts no new call, and lets running ones end within `grace` seconds."""
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(grace)

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        response = await self._response(http)
        if self._retiring:
            response.force_close()
        return response

    async def _response(self, http: web.BaseRequest) -> web.StreamResponse:
        headers = headers_of(http)
        cast(Connection, http.protocol).heard()
        answer: RestAnswer | web.StreamResponse
        try:
            page = self._pages.find(split(http.raw_path)[0])
            if page is not None:
                if http.method not in READS:
                    raise not_allowed(READS)
                return named(await page(http), with_ids(RestAnswer(200), headers))
            if self._cors.asks(http):
                return self._cors.answer(http)
            if sum(len(name) + len(value) for name, value in http.raw_headers) > self._settings.max_metadata_bytes:
                raise GatewayError(Reason.HEADERS_TOO_LARGE)
            incoming = incoming_of(http, headers, self._settings, self._rest.prefixes, self._bodies, self._certified)
            path, query = split(incoming.target)
            if batch := BATCH_PATH.fullmatch(path):
                answer = await self._answer_batch(incoming, batch[1])
            elif described := METADATA_PATH.fullmatch(path):
                answer = await self._answer_metadata(incoming, query, beta=bool(described[1]))
            else:
                answer = await self._answer(incoming)
        except GatewayError as error:
            answer = _refused(error, headers, http.method, http.raw_path, http.remote)
        if isinstance(answer, web.StreamResponse):
            return answer
        return response_of(replace(answer, headers={**answer.headers, **self._cors.headers(http)}), gzip=accepts_gzip(http))

    async def _answer(self, incoming: Incoming) -> RestAnswer | web.StreamResponse:
        """Carries out one operation, or a read that is passed on. Raises GatewayError only for a request that leads to
        neither."""
        path, query = split(incoming.target)
        counted = COUNT.fullmatch(path)
        if counted and query:
            rule = "is not allowed with /$count, which counts all; $count=true on the list counts what $filter matches"
            raise invalid("query", rule)
        route = leading(incoming.method, counted[1] if counted else path, query, self._tree)
        if isinstance(route, ReadPath):
            return await self._pass_on(incoming, route, beta=path.lower().startswith("/beta/"))
        if counted:
            return await self._count(incoming, route)
        query, applied = paged(route, query, incoming.headers)

        async def decode() -> Message:
            return message_of(route, query, incoming.headers, await incoming.body(call.record.caller) if route.body else None)

        call = self._call(route.operation, incoming, decode, route.policy)
        minimal = MINIMAL.search(", ".join(incoming.headers.get("prefer", ()))) is not None
        try:
            message = await self._handle(call)
        except GatewayError as error:
            answer = refusal_of(error, route, call.id, correlation_id(call.metadata))
        else:
            known = () if route.operation.writes else known_etags(incoming.headers)
            answer = answer_of(route, message, incoming.root, query, minimal=minimal, known=known)
            answer = replace(answer, headers={**answer.headers, **applied})
        return with_record(answer, call)

    async def _count(self, incoming: Incoming, route: Route) -> RestAnswer:
        """The number of a policy's assignments, from the list, page by page."""
        message, count = cast(Any, message_of(route, f"$top={LARGEST_PAGE}", incoming.headers, None)), 0
        while True:
            call = self._call(route.operation, incoming, decoded(message), route.policy)
            try:
                found: Any = await self._handle(call)
            except GatewayError as error:
                return with_record(refusal_of(error, route, call.id, correlation_id(call.metadata)), call)
            count += len(found.assignments)
            if not found.next_page_token:
                return with_record(RestAnswer(200, {}, count), call)
            message.page_token = found.next_page_token

    async def _pass_on(self, incoming: Incoming, place: ReadPath, *, beta: bool) -> RestAnswer | web.StreamResponse:
        record, http = Record(), incoming.http
        sink = HttpSink(http, record, self._cors.headers(http)) if http is not None else KeptSink()
        read = read_of(place, beta, incoming.headers, incoming.root, sink, incoming.bodiless)
        call = replace(self._call(READ_THROUGH, incoming, decoded(Empty()), place.policy), record=record, read=read)
        record.note(path=place.pattern)
        try:
            await self._handle(call)
            ended = await sink.ended()
            return with_record(ended, call) if isinstance(ended, RestAnswer) else ended
        except GatewayError as error:
            if isinstance(sink, HttpSink) and sink.begun:
                return sink.broken_off()
            return with_record(refusal_of(error, None, call.id, correlation_id(call.metadata)), call)

    def _call(self, operation: Operation, incoming: Incoming, decode: Callable[[], Awaitable[Message]], policy: str) -> Call:
        return Call(
            operation,
            decode=decode,
            metadata=incoming.headers,
            deadline=incoming.deadline,
            certificate=incoming.certificate,
            door="rest",
            policy=policy,
        )

    async def _answer_metadata(self, incoming: Incoming, query: str, *, beta: bool) -> RestAnswer:
        """Whoever is known may read it. Raises METHOD_NOT_ALLOWED, and INVALID_FIELD for query options that it has not."""
        if incoming.method != "GET":
            raise not_allowed(READS)
        call = self._call(METADATA, incoming, decoded(Empty()), "")
        try:
            await self._admit(call)
        except GatewayError as error:
            return with_record(refusal_of(error, None, call.id, correlation_id(call.metadata)), call)
        return with_record(RestAnswer(200, {"OData-Version": "4.0"}, metadata(query, beta=beta)), call)

    async def _answer_batch(self, incoming: Incoming, version: str) -> RestAnswer:
        """Carries out every item as if it had come alone. Raises GatewayError for a body that is not a batch."""
        if incoming.method != "POST":
            raise not_allowed(["POST"])
        if CORRELATION in incoming.headers and not correlation_id(incoming.headers):
            raise invalid(CORRELATION, CORRELATION_RULE)
        call = self._call(BATCH, incoming, decoded(Empty()), "")
        try:
            await self._admit(call)
        except GatewayError as error:
            return with_record(refusal_of(error, None, call.id, correlation_id(call.metadata)), call)
        caller = call.record.caller
        try:
            items = items_of(await incoming.body(caller))
        except GatewayError as error:
            return _refused(error, incoming.headers, incoming.method, incoming.target, incoming.peer, caller)
        shared = {k: v for k, v in incoming.headers.items() if k in ("authorization", "x-graph-tenant", CORRELATION)}

        async def send(item: Item) -> RestAnswer:
            given = {name: (value,) for name, value in item.headers.items()}
            headers = {**shared, "content-type": ("application/json",), **given}
            # Graph's SDK for Python leaves the version in.
            target = located(item.url if VERSION.match(item.url) else version + item.url, ()).target
            body = partial(json_of_item, item, headers)
            one = replace(incoming, method=item.method, target=target, headers=headers, body=body, http=None)
            try:
                check_lengths(headers)
                return cast(RestAnswer, await self._answer(one))  # nothing of it has gone out
            except GatewayError as error:
                return _refused(error, headers, item.method, target, incoming.peer, caller)

        failed = partial(refused, GatewayError(Reason.DEPENDENCY_FAILED), shared)
        answers = await answers_to(items, send, lambda _: failed())
        responses = [item_answer(item, answer) for item, answer in zip(items, answers, strict=True)]
        return with_ids(RestAnswer(200, {}, {"responses": responses}), incoming.headers)


def _refused(
    error: GatewayError, headers: Headers, method: str, target: str, peer: str | None, caller: str | None = None
) -> RestAnswer:
    """The answer to a request that leads to no operation. It is logged here, since it never reaches `audit`."""
    answer = refused(error, headers)
    path, _ = split(target)
    facts = {
        "id": answer.headers[ENTRY_ID],
        "door": "rest",
        "method": method if method in hdrs.METH_ALL else "other",
        "path": "/{version}/$batch" if BATCH_PATH.fullmatch(path) else template_of(path),
        "peer": peer,
        "caller": caller,
        "outcome": error.reason.name,
    }
    log.info("refused", extra=facts)
    return answer
