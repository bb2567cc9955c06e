"""What the gateway says about a call in the trailers, beside its answer."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2

_LIMIT = re.compile(r'"(?P<name>\w+)";r=(?P<remaining>\d+)(?:;t=(?P<reset>\d+))?')
_POLICY = re.compile(r'"\w+";q=(?P<quota>\d+);w=(?P<window>\d+)')


@dataclass(frozen=True)
class RateLimit:
    """The caller's own share of the tenant's quota. name: `writes` or `requests`. quota: turns in `window` seconds, of which
    `remaining` are left. reset: seconds until there are more; None if some are left."""

    name: str
    remaining: int
    reset: int | None
    quota: int
    window: int


@dataclass(frozen=True)
class Answer:
    """request_id: of the call, as in the gateway's log and ledger. write_id: the `request_id` under which a write was carried
    out, if the caller gave none. etag: of the policy's set of assignments, for callers that may read it. warning: a reason such
    as REPLAYED or FOREIGN_CHANGE_UNDONE. Each is empty if the gateway did not send it."""

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
