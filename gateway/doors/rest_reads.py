"""Reads that are passed on, at the REST door: the headers that go with them, and where their answers go, to the caller piece by
piece, or into a batch."""

import json
import re
from collections.abc import Mapping

from aiohttp import hdrs, web

from gateway.call import Read, Record
from gateway.doors.rest_answers import RestAnswer, told_of
from gateway.doors.rest_http import accepts_gzip
from gateway.doors.rest_requests import Headers
from gateway.errors import GatewayError, Reason, invalid
from gateway.graph.tree import COUNT, ReadPath

# What one item of a batch may hold in memory: there are twenty of them.
ITEM_BYTES = 2 << 20
PRINTABLE = re.compile(r"[ -~]*")
# Preferences that are for this gateway.
OURS = re.compile(r"\s*(wait|return|respond-async|handling)\b", re.IGNORECASE)


def read_of(place: ReadPath, beta: bool, headers: Headers, root: str, sink: "HttpSink | KeptSink", bodiless: bool) -> Read:
    """What is passed on. Raises INVALID_FIELD for headers that cannot be."""
    path = f"/{'beta' if beta else 'v1.0'}{place.path}{'?' if place.query else ''}{place.query}"
    passed = _passed(headers) | ({"Accept": "*/*"} if place.pattern.endswith(COUNT) else {})
    return Read(path, place.pattern, place.kind, place.shows, passed, root, sink, bodiless)


def _passed(headers: Headers) -> dict[str, str]:
    given = {
        "ConsistencyLevel": ", ".join(headers.get("consistencylevel", ())),
        "If-None-Match": ", ".join(headers.get("if-none-match", ())),
        "Prefer": ",".join(one for one in ",".join(headers.get("prefer", ())).split(",") if not OURS.match(one)).strip(),
    }
    for name, value in given.items():
        if not PRINTABLE.fullmatch(value) or len(value) > 256:
            raise invalid(name, "may have at most 256 printable ASCII characters")
    return {name: value for name, value in given.items() if value}


class HttpSink:
    """The answer to a request, as it goes out. response: once it has begun."""

    def __init__(self, http: web.BaseRequest, record: Record, more: Mapping[str, str]) -> None:
        self._http, self._record, self._more = http, record, more
        self.response: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        return self.response is not None

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        response = web.StreamResponse(status=status)
        own = {"Server": "compliance-gateway", hdrs.VARY: hdrs.ACCEPT_ENCODING}
        response.headers.update({**own, **headers, **told_of(self._record), **self._more})
        if accepts_gzip(self._http) and status not in (204, 304) and self._http.method != hdrs.METH_HEAD:
            response.enable_compression(web.ContentCoding.gzip)
        self.response = response
        try:
            await response.prepare(self._http)
        except ConnectionError:
            raise GatewayError(Reason.CALLER_GONE) from None

    async def write(self, data: bytes) -> None:
        assert self.response is not None
        try:
            await self.response.write(data)
        except ConnectionError:
            raise GatewayError(Reason.CALLER_GONE) from None

    async def ended(self) -> web.StreamResponse:
        assert self.response is not None
        await self.response.write_eof()
        return self.response

    def broken_off(self) -> web.StreamResponse:
        """The answer cannot be ended well, and may not look whole."""
        assert self.response is not None
        if self._http.transport is not None:
            self._http.transport.abort()
        return self.response


class KeptSink:
    """The answer as an item of a batch has it, of at most ITEM_BYTES."""

    def __init__(self) -> None:
        self._status, self._headers, self._body = 0, dict[str, str](), bytearray()

    begun = False  # nothing has gone out

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self._status, self._headers = status, {name: value for name, value in headers.items() if name != "content-type"}

    async def write(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > ITEM_BYTES:
            raise GatewayError(
                Reason.GRAPH_ANSWER_UNREADABLE,
                f"The answer is over {ITEM_BYTES} bytes, too large for a batch: request it separately.",
            )

    async def ended(self) -> RestAnswer:
        """Raises GRAPH_ANSWER_UNREADABLE."""
        try:
            body = json.loads(self._body) if self._body.strip() else None
        except ValueError:
            raise GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, "Graph's answer is not JSON.") from None
        return RestAnswer(self._status, self._headers, body)
