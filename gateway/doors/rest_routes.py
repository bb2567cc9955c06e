"""The REST door's routes: read from the google.api.http rules of the protos, in both of OData's spellings of a key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import unquote

from gateway.errors import GatewayError, Reason
from gateway.ids import canonical_guid
from gateway.operations import OPERATIONS, Operation

POLICIES = "/deviceManagement/deviceCompliancePolicies"
WHOLE = "*"


@dataclass(frozen=True)
class Route:
    """Where a request leads. body: the field that its JSON is, `*` for the whole message, empty for none. values: of the
    path."""

    operation: Operation
    body: str
    beta: bool
    values: Mapping[str, str]

    @property
    def policy(self) -> str:
        return canonical_guid(self.values["device_compliance_policy_id"])


def _pattern(path: str) -> re.Pattern[str]:
    """Both spellings of a key: `/{id}` and `('{id}')`. Graph takes paths in any case."""
    key = r"(?:/(?P<\1>[^/]+)|(?:\\(|%28)(?:'|%27)(?P<\1_quoted>[^/]*?)(?:'|%27)(?:\\)|%29))"
    return re.compile(re.sub(r"/\\{(\w+)\\}", key, re.escape(path)), re.IGNORECASE)


def _routes() -> list[tuple[re.Pattern[str], bool, dict[str, tuple[Operation, str]]]]:
    """For each path: its pattern, whether it is beta's, and what each method does."""
    rules = [(rule.path, rule.verb, operation, rule.body) for operation in OPERATIONS.values() for rule in operation.http]
    rules.sort(key=lambda rule: rule[0])
    return [
        (_pattern(path), path.startswith("/beta/"), {verb: (operation, body) for _, verb, operation, body in group})
        for path, group in groupby(rules, key=lambda rule: rule[0])
    ]


ROUTES = _routes()


def route_of(method: str, path: str) -> Route:
    """path: as sent, percent-encoded. Raises ROUTE_UNKNOWN, and METHOD_NOT_ALLOWED with `allow` in its metadata."""
    for pattern, beta, methods in ROUTES:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        if method not in methods:
            raise not_allowed(sorted(methods))
        values = {k.removesuffix("_quoted"): unquote(v) for k, v in match.groupdict().items() if v is not None}
        return Route(*methods[method], beta, values)
    raise GatewayError(Reason.ROUTE_UNKNOWN)


def not_allowed(methods: Sequence[str]) -> GatewayError:
    """The path has only these methods."""
    return GatewayError(Reason.METHOD_NOT_ALLOWED, metadata={"allow": ", ".join(methods)})
