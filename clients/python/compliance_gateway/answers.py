"""What the gateway reports about a call in the trailers, besides the response."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2

_LIMIT = re.compile(r'"(?P<name>\w+)";r=(?P<remaining>\d+)(?:;t=(?P<reset>\d+))?')
_POLICY = re.compile(r'"\w+";q=(?P<quota>\d+);w=(?P<window>\d+)')


@dataclass(frozen=True)
class RateLimit:
    """The caller's own share of the tenant's quota. name: `writes` or `requests`. quota: how many of them the caller may make
    in `window` seconds. remaining: how many of these are left. reset: seconds until there are more; None if some are left."""

    name: str
    remaining: int
    reset: int | None
    quota: int
    window: int


@dataclass(frozen=True)
class Answer:
    """What the gateway reports about a call besides the response. A field that it did not send is empty.

    method: the RPC's name. request_id: the call's ID in the gateway's log and ledger. write_id: the `request_id` that the
    gateway chose for a write without one. etag: of the policy's set of assignments, if the caller may read it. warning: a
    reason such as REPLAYED or FOREIGN_CHANGE_UNDONE."""

    method: str
    request_id: str = ""
    write_id: str = ""
    etag: str = ""
    warning: str = ""
    rate_limit: RateLimit | None = None


def answer_of(method: str, trailers: Iterable[tuple[str, str | bytes]] | None) -> Answer:
    """method: the RPC's name."""
    found = dict(trailers or ())
    text = {name: value for name, value in found.items() if isinstance(value, str)}
    limit, policy = _LIMIT.match(text.get("ratelimit", "")), _POLICY.match(text.get("ratelimit-policy", ""))
    return Answer(
        method,
        text.get("request-id", ""),
        text.get("compliance-gateway-request-id", ""),
        text.get("compliance-gateway-etag", ""),
        _reason(found.get("compliance-gateway-warning-bin")),
        RateLimit(
            limit["name"], int(limit["remaining"]), int(limit["reset"]) if limit["reset"] else None, *map(int, policy.groups())
        )
        if limit and policy
        else None,
    )


def _reason(warning: str | bytes | None) -> str:
    try:
        return error_details_pb2.ErrorInfo.FromString(warning).reason if isinstance(warning, bytes) else ""
    except DecodeError:
        return ""  # of no known form
