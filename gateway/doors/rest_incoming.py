"""A request at the REST door, on its own or as an item of a batch, in one form."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import hdrs, web

from gateway.config import Server
from gateway.doors.bodies import Bodies
from gateway.doors.rest_body import check_type, json_of
from gateway.doors.rest_http import certificate_of, read, root_of
from gateway.doors.rest_paths import located
from gateway.doors.rest_requests import Headers, check_lengths

WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,5})\b", re.IGNORECASE)
BODY_SHARE = 2  # a body may take half of the time that its call has


@dataclass(frozen=True)
class Incoming:
    """A request, on its own or in a batch. target: path and query. body: reads it, for a caller of this name, and gives the
    JSON, or raises GatewayError. root: of this gateway, for links. deadline: event loop's clock. http: of one on its own.
    bodiless: a HEAD, asked as a GET."""

    method: str
    target: str
    headers: Headers
    body: Callable[[str], Awaitable[Any]]
    root: str
    deadline: float
    peer: str | None
    certificate: bytes | None = None
    http: web.BaseRequest | None = None
    bodiless: bool = False


def incoming_of(
    http: web.BaseRequest, headers: Headers, settings: Server, prefixes: Sequence[str], bodies: Bodies, certified: bool
) -> Incoming:
    """Nothing of its body is read yet. prefixes: of paths, that are taken off. certified: whether clients are asked for
    certificates. Raises GatewayError."""
    check_lengths(headers)
    wait = WAIT.search(", ".join(headers.get("prefer", ())))
    default = settings.default_deadline_s
    seconds = float(wait[1]) if wait else default
    where = located(http.raw_path, prefixes)
    body_s, limit = min(seconds, default) / BODY_SHARE, settings.max_request_bytes

    async def body(caller: str) -> Any:
        check_type(headers)
        return json_of(headers, await read(http, limit, body_s, partial(bodies.turn, caller)), limit)

    return Incoming(
        "GET" if http.method == hdrs.METH_HEAD else http.method,
        where.target,
        headers,
        body,
        (settings.public_url or root_of(http)) + where.prefix,
        asyncio.get_running_loop().time() + seconds,
        http.remote,
        certificate_of(http) if certified else None,
        http,
        http.method == hdrs.METH_HEAD,
    )
