"""The REST door: Graph's own wire format over HTTP, by aiohttp.web. Wire <-> Call, and nothing else."""

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.call import CORRELATION, CORRELATION_RULE, Call, CallWarning, Handler, correlation_id, decoded
from gateway.config import Server
from gateway.doors.rest_answers import Answer, answer_of, refusal_of
from gateway.doors.rest_batch import BATCH, Item, answers_to, items_of
from gateway.doors.rest_body import check_type, json_of
from gateway.doors.rest_http import certificate_of, headers_of, read, root_of, split
from gateway.doors.rest_pages import Pages
from gateway.doors.rest_requests import Headers, message_of
from gateway.doors.rest_routes import not_allowed, route_of
from gateway.doors.tls import Certificates
from gateway.errors import GatewayError, Reason, invalid
from gateway.logs import log_bug
from gateway.odata import dumps
from gateway.operations import Operation

log = logging.getLogger(__name__)

WARNING = "compliance-gateway-warning"
REQUEST_ID = "request-id"
VERSION = re.compile(r"/(v1\.0|beta)/", re.IGNORECASE)
BATCH_PATH = re.compile(r"(/v1\.0|/beta)/\$batch", re.IGNORECASE)
MINIMAL = re.compile(r"(^|[,;\s])return\s*=\s*\"?minimal\b", re.IGNORECASE)
WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\b", re.IGNORECASE)
# A body may take half of the time that its call has: the rest is for the operation.
BODY_SHARE = 2
# How long a refused body goes on being read, so that the client hears why.
LINGERING_S = 2.0


@dataclass(frozen=True)
class Incoming:
    """A request, on its own or in a batch. target: path and query as sent. body: reads it and gives the JSON, or raises
    GatewayError.
    root: of this gateway, for links. deadline: event loop's clock."""

    method: str
    target: str
    headers: Headers
    body: Callable[[], Awaitable[Any]]
    root: str
    deadline: float
    certificate: bytes | None = None


class RestDoor:
    """Serves `handle` on `settings.rest`. admit: judges a batch by its own headers, before its body is read. Client
    certificates are verified by `client_ca`, where there is one. address: host and port, after `start`. Raises ConfigError for
    certificates that are not fit."""

    def __init__(self, handle: Handler, admit: Handler, settings: Server, client_ca: Path | None = None) -> None:
        self._handle, self._admit, self._settings = handle, admit, settings
        self._tls = Certificates(settings.tls, client_ca).context() if settings.tls else None
        self._asks_for_certificates = client_ca is not None
        self._pages = Pages()
        app = web.Application()
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0)
        self._listening: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        """Binds and serves. Raises OSError where the address cannot be bound."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        host, _, port = (self._settings.rest or "").rpartition(":")
        connect = partial(
            Connection,
            cast(web.Server, self._runner.server),
            loop=loop,
            access_log=cast(Any, None),
            keepalive_timeout=self._settings.idle_s,
            max_line_size=self._settings.max_metadata_bytes,
            max_field_size=self._settings.max_metadata_bytes,
            lingering_time=LINGERING_S,
            auto_decompress=False,
        )
        self._listening = await loop.create_server(connect, host.strip("[]"), int(port), ssl=self._tls)
        self.address = f"{host}:{self._listening.sockets[0].getsockname()[1]}"
        self._pages.serving = True

    async def say_health(self, name: str, *, healthy: bool) -> None:
        """What `/readyz` says of `name`."""
        self._pages.health[name] = healthy

    async def stop(self, notice: float, grace: float) -> None:
        """Says for `notice` seconds that it is not ready, then takes no new call and lets running ones end."""
        self._pages.serving = False
        await asyncio.sleep(notice)
        if self._listening is not None:
            self._listening.close()
        if self._runner.server is not None:
            self._runner.server.pre_shutdown()
            await self._runner.server.shutdown(grace)
        await self._runner.cleanup()

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        headers = headers_of(http)
        try:
            path, _ = split(http.raw_path)
            page = self._pages.find(path)
            if page is not None:
                if http.method != "GET":
                    raise not_allowed(["GET"])
                return _named(page(http), _with_ids(Answer(200), headers))
            if sum(len(name) + len(value) for name, value in http.raw_headers) > self._settings.max_metadata_bytes:
                raise GatewayError(Reason.HEADERS_TOO_LARGE)
            incoming = self._incoming(http, headers)
            batch = BATCH_PATH.fullmatch(path)
            answer = await (self._answer_batch(incoming, batch[1]) if batch else self._answer(incoming))
        except GatewayError as error:
            answer = _refused(error, headers)
            log.info("refused", extra={"id": answer.headers[REQUEST_ID], "door": "rest", "outcome": error.reason.name})
        return _response(answer)

    def _incoming(self, http: web.Request, headers: Headers) -> Incoming:
        wait = WAIT.search(", ".join(headers.get("prefer", ())))
        default = self._settings.default_deadline_s
        seconds = float(wait[1]) if wait else default
        return Incoming(
            http.method,
            http.raw_path,
            headers,
            partial(self._json, http, headers, min(seconds, default) / BODY_SHARE),
            self._settings.public_url or root_of(http),
            asyncio.get_running_loop().time() + seconds,
            certificate_of(http) if self._asks_for_certificates else None,
        )

    async def _json(self, http: web.Request, headers: Headers, seconds: float) -> Any:
        limit = self._settings.max_request_bytes
        check_type(headers)
        return json_of(headers, await read(http, limit, seconds), limit)

    async def _answer(self, incoming: Incoming) -> Answer:
        """One operation. Raises GatewayError only for what leads to none."""
        path, query = split(incoming.target)
        route = route_of(incoming.method, path)

        async def decode() -> Message:
            return message_of(route, query, incoming.headers, await incoming.body() if route.body else None)

        call = self._call(route.operation, incoming, decode, route.policy)
        minimal = MINIMAL.search(", ".join(incoming.headers.get("prefer", ()))) is not None
        try:
            message = await self._handle(call)
        except GatewayError as error:
            answer = refusal_of(error, route, call.id, call.correlation_id)
        else:
            answer = answer_of(route, message, incoming.root, query, minimal=minimal)
        return _with_record(answer, call)

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

    async def _answer_batch(self, incoming: Incoming, version: str) -> Answer:
        """Every item passes the door as if it had come alone. Raises GatewayError for what is no batch."""
        if incoming.method != "POST":
            raise not_allowed(["POST"])
        if CORRELATION in incoming.headers and not correlation_id(incoming.headers):
            raise invalid(CORRELATION, CORRELATION_RULE)
        call = self._call(BATCH, incoming, decoded(Empty()), "")
        try:
            await self._admit(call)
        except GatewayError as error:
            return _with_record(refusal_of(error, None, call.id, call.correlation_id), call)
        items = items_of(await incoming.body())
        shared = {k: v for k, v in incoming.headers.items() if k in ("authorization", "x-graph-tenant", CORRELATION)}

        async def send(item: Item) -> Answer:
            given = {name: (value,) for name, value in item.headers.items()}
            headers = {**shared, "content-type": ("application/json",), **given}
            # Graph's SDK for Python leaves the version in.
            target = item.url if VERSION.match(item.url) else version + item.url
            one = replace(incoming, method=item.method, target=target, headers=headers, body=partial(_json_of, item, headers))
            try:
                return await self._answer(one)
            except GatewayError as error:
                return _refused(error, headers)

        failed = partial(_refused, GatewayError(Reason.DEPENDENCY_FAILED), shared)
        answers = await answers_to(items, send, lambda _: failed())
        responses = [_item_answer(item, answer) for item, answer in zip(items, answers, strict=True)]
        return _with_ids(Answer(200, {}, {"responses": responses}), incoming.headers)


class Connection(web.RequestHandler):
    """aiohttp's, but what is no HTTP is answered in Graph's shape, and neither logged nor repeated: it may hold a token."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if exc is not None and status >= 500:
            log_bug(log, exc, door="rest")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is under way") from exc
        error = invalid("request", "is no HTTP that can be read", Reason.MESSAGE_MALFORMED)
        response = _response(_refused(error if status < 500 else GatewayError(Reason.INTERNAL), {}))
        response.force_close()
        return response


async def _json_of(item: Item, headers: Headers) -> Any:
    check_type(headers)
    if item.body is None:
        raise invalid("body", "is empty, and has to be a JSON object", Reason.MESSAGE_MALFORMED)
    return item.body


def _with_record(answer: Answer, call: Call) -> Answer:
    warnings = {WARNING: ", ".join(map(_warning, call.record.warnings))} if call.record.warnings else {}
    return replace(answer, headers={**answer.headers, **call.record.trailers, **warnings})


def _warning(warning: CallWarning) -> str:
    """As a structured field (RFC 8941): a token with parameters."""
    return "; ".join([warning.reason, *(f'{name}="{value}"' for name, value in warning.metadata.items())])


def _refused(error: GatewayError, headers: Headers) -> Answer:
    """Where there is no call."""
    bare = _with_ids(Answer(0), headers)
    answer = refusal_of(error, None, bare.headers[REQUEST_ID], bare.headers.get(CORRELATION, ""))
    return replace(answer, headers={**answer.headers, **bare.headers})


def _with_ids(answer: Answer, headers: Headers) -> Answer:
    sent = correlation_id(headers)
    echo = {CORRELATION: sent} if sent else {}
    return replace(answer, headers={**answer.headers, REQUEST_ID: str(uuid.uuid4()), **echo})


def _item_answer(item: Item, answer: Answer) -> Mapping[str, Any]:
    json = {"Content-Type": "application/json"} if answer.body is not None else {}
    body = {"body": answer.body} if answer.body is not None else {}
    return {"id": item.id, "status": answer.status, "headers": {**json, **answer.headers}, **body}


def _response(answer: Answer) -> web.Response:
    if answer.body is None:
        return _named(web.Response(status=answer.status), answer)
    json = web.Response(
        status=answer.status, body=dumps(answer.body).encode(), content_type="application/json", charset="utf-8"
    )
    return _named(json, answer)


def _named(response: web.Response, answer: Answer) -> web.Response:
    """With the answer's headers, and without the versions that aiohttp tells."""
    response.headers.update({"Server": "compliance-gateway", **answer.headers})
    return response
