"""Graph's HTTP answers: chunked, compressed if requested, with the headers of real answers. They follow
microsoftgraph/msgraph-sdk-powershell#1257 and jseerden/IntuneBackupAndRestore#82."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from gateway.emulator.backend import Asked

SERVER = {"DataCenter": "West Europe", "Slice": "E", "Ring": "5", "ScaleUnit": "001", "RoleInstance": "AM4PEPF0001511F"}
DIAGNOSTIC = json.dumps({"ServerInfo": SERVER}, separators=(",", ":"))
JSON = "application/json"
ODATA = f"{JSON};odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
HTTP_ERRORS = 400
NOT_MODIFIED = 304


def answer(
    http: web.Request, asked: Asked, status: int, body: Any = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The HTTP answer. body: sent as JSON, except text (HTML), a number of `$count` (plain text) and None (no body)."""
    known = {
        "request-id": asked.id,
        "client-request-id": asked.client_id,
        "x-ms-ags-diagnostic": DIAGNOSTIC,
        "Strict-Transport-Security": "max-age=31536000",
    }
    known |= headers or {}
    if body is None or status == NOT_MODIFIED:
        return web.Response(status=status, headers=known)
    if isinstance(body, int):
        return _streamed(http, web.Response(status=status, text=str(body), content_type="text/plain", headers=known))
    if isinstance(body, str):
        return _streamed(http, web.Response(status=status, text=body, content_type="text/html", headers=known))
    known["Content-Type"] = JSON if status >= HTTP_ERRORS else ODATA
    return _streamed(http, web.Response(status=status, body=json.dumps(body).encode(), headers=known))


def _streamed(http: web.Request, response: web.Response) -> web.Response:
    response.headers[hdrs.VARY] = hdrs.ACCEPT_ENCODING
    response.enable_chunked_encoding()
    if "gzip" in http.headers.get(hdrs.ACCEPT_ENCODING, "").lower():
        response.enable_compression(web.ContentCoding.gzip)
    return response


async def unsigned(_http: web.Request, response: web.StreamResponse) -> None:
    """aiohttp's signal on_response_prepare: removes the Server header."""
    response.headers.pop(hdrs.SERVER, None)
