"""What the REST door needs of aiohttp's requests (headers, target, root, certificate, the bytes of the body), and its answers
as aiohttp sends them."""

import asyncio
import re
import ssl
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from aiohttp import web

from gateway.call import CORRELATION, ENTRY_ID, correlation_id
from gateway.doors.rest_answers import RestAnswer, refusal_of
from gateway.doors.rest_body import too_large
from gateway.doors.rest_requests import LONGEST_HEADER, Headers
from gateway.errors import GatewayError, Reason, invalid
from gateway.odata import dumps

Turn = AbstractAsyncContextManager[None]

# Bytes of a body that need no turn. A connection may hold about as many that nobody has asked for (aiohttp's read_bufsize).
SMALL = 1 << 14
# An answer that is smaller gains nothing.
COMPRESSED_FROM = 1 << 10
GZIP = re.compile(r"(?:^|[\s,])gzip(?!\s*;\s*q=0(?:\.0*)?(?:[\s,]|$))", re.IGNORECASE)
HOST = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")


def headers_of(http: web.BaseRequest) -> Headers:
    """Lower-case names, every value sent."""
    headers: dict[str, list[str]] = {}
    for name, value in http.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    return {name: tuple(values) for name, values in headers.items()}


def split(target: str) -> tuple[str, str]:
    """Path and query of a request's target, which is a path or, to a proxy, a whole URL."""
    path, _, query = target.partition("?")
    return path if path.startswith("/") else re.sub(r"^[a-z]+://[^/]*", "", path), query


def root_of(http: web.BaseRequest) -> str:
    """This gateway's root URL, as the caller reached it. Raises MESSAGE_MALFORMED."""
    hosts = http.headers.getall("Host", [])
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise invalid("Host", "has to be given exactly once, with a host name or address", Reason.MESSAGE_MALFORMED)
    return f"{http.scheme}://{hosts[0]}"


def certificate_of(http: web.BaseRequest) -> bytes | None:
    """The client's certificate in PEM, if TLS has verified one."""
    connection = http.transport.get_extra_info("ssl_object") if http.transport else None
    found = connection.getpeercert(binary_form=True) if connection else None
    return ssl.DER_cert_to_PEM_cert(found).encode() if found else None


async def read(http: web.BaseRequest, limit: int, seconds: float, turn: Callable[[float], Turn]) -> bytes:
    """The body, as sent: at most `limit` bytes, within `seconds`. turn: for one that is not small, see Bodies. Raises
    MESSAGE_TOO_LARGE, REQUEST_TOO_SLOW, MESSAGE_MALFORMED, CALLER_TOO_BUSY."""
    data, until = bytearray(), asyncio.get_running_loop().time() + seconds
    if http.headers.get("Expect", "").lower() == "100-continue":  # only now: no other client is asked to send its body
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0  # 100 Continue is not an answer
    if not await _read_on(http, data, min(SMALL, limit), until):
        async with turn(until):
            if not await _read_on(http, data, limit, until):
                raise too_large(limit)
    return bytes(data)


async def _read_on(http: web.BaseRequest, data: bytearray, most: int, until: float) -> bool:
    """Reads into `data` until the body is complete or has more than `most` bytes. Returns whether it is complete."""
    try:
        async with asyncio.timeout_at(until):
            while len(data) <= most:
                chunk = await http.content.read(most + 1 - len(data))
                if not chunk:
                    return True
                data += chunk
    except TimeoutError:
        raise GatewayError(Reason.REQUEST_TOO_SLOW) from None
    except web.RequestPayloadError:
        raise invalid("body", "is not valid HTTP", Reason.MESSAGE_MALFORMED) from None
    return False


def refused(error: GatewayError, headers: Headers) -> RestAnswer:
    """Where there is no call."""
    bare = with_ids(RestAnswer(0), headers)
    answer = refusal_of(error, None, bare.headers[ENTRY_ID], bare.headers.get(CORRELATION, ""))
    return replace(answer, headers={**answer.headers, **bare.headers})


def with_ids(answer: RestAnswer, headers: Headers) -> RestAnswer:
    """With a request id, and the caller's own."""
    sent = correlation_id(headers)
    echo = {CORRELATION: sent} if sent else {}
    return replace(answer, headers={**answer.headers, ENTRY_ID: str(uuid.uuid4()), **echo})


def accepts_gzip(http: web.BaseRequest) -> bool:
    """Whether its answer may be compressed (RFC 9110, Accept-Encoding)."""
    return GZIP.search(http.headers.get("Accept-Encoding", "")[:LONGEST_HEADER]) is not None


def response_of(answer: RestAnswer, *, gzip: bool = False) -> web.Response:
    """As aiohttp sends it. gzip: whether it may be compressed."""
    if answer.body is None:
        return named(web.Response(status=answer.status), answer)
    is_xml = isinstance(answer.body, bytes)
    kind = "application/xml" if is_xml else "text/plain" if isinstance(answer.body, int) else "application/json"
    body = answer.body if is_xml else dumps(answer.body).encode()
    response = web.Response(status=answer.status, body=body, content_type=kind, charset="utf-8")
    if gzip and isinstance(response.body, bytes) and len(response.body) > COMPRESSED_FROM:
        response.enable_compression(web.ContentCoding.gzip)
    response.headers["Vary"] = "Accept-Encoding"
    return named(response, answer)


def named(response: web.Response, answer: RestAnswer) -> web.Response:
    """With the answer's headers, and without the versions that aiohttp tells."""
    response.headers.update({"Server": "compliance-gateway", **answer.headers})
    return response
