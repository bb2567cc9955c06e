"""The REST door's routes: read from the google.api.http rules of the protos, in both of OData's spellings of a key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple
from urllib.parse import unquote

from gateway.errors import GatewayError, Reason
from gateway.ids import canonical_guid
from gateway.operations import OPERATIONS, Operation
from gateway.sets import SETS

POLICIES = "/deviceManagement/deviceCompliancePolicies"
WHOLE = "*"
ACTIONS = frozenset(one.action for one in SETS.values())


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
        """Empty where it is about the whole tenant."""
        return canonical_guid(self.values.get("device_compliance_policy_id", ""))


def _pattern(path: str) -> re.Pattern[str]:
    """Both spellings of a key: `/{id}` and `('{id}')`; Graph's actions with and without their namespace, which OData asks for,
    and Graph does not. Graph takes paths in any case."""
    before, _, last = path.rpartition("/")
    namespace = r"(?:microsoft\.graph\.)?" if last in ACTIONS else ""
    key = r"(?:/(?P<\1>[^/]+)|(?:\\(|%28)(?:'|%27)(?P<\1_quoted>[^/]*?)(?:'|%27)(?:\\)|%29))"
    whole = f"{re.escape(before)}/{namespace}{re.escape(last)}"
    return re.compile(re.sub(r"/\\{(\w+)\\}", key, whole), re.IGNORECASE)


class Rule(NamedTuple):
    """What a path leads to. methods: the operation of each, and its body as in Route."""

    path: str
    pattern: re.Pattern[str]
    methods: Mapping[str, tuple[Operation, str]]


def _routes() -> list[Rule]:
    rules = [(rule.path, rule.verb, operation, rule.body) for operation in OPERATIONS.values() for rule in operation.http]
    rules.sort(key=lambda rule: rule[0])
    return [
        Rule(path, _pattern(path), {verb: (operation, body) for _, verb, operation, body in group})
        for path, group in groupby(rules, key=lambda rule: rule[0])
    ]


ROUTES = _routes()


def route_of(method: str, path: str) -> Route:
    """path: as sent, percent-encoded. Raises ROUTE_UNKNOWN, and METHOD_NOT_ALLOWED with `allow` in its metadata."""
    for rule in ROUTES:
        match = rule.pattern.fullmatch(path)
        if match is None:
            continue
        if method not in rule.methods:
            raise not_allowed(sorted(rule.methods))
        values = {k.removesuffix("_quoted"): unquote(v) for k, v in match.groupdict().items() if v is not None}
        return Route(*rule.methods[method], rule.path.startswith("/beta/"), values)
    raise GatewayError(Reason.ROUTE_UNKNOWN)


def template_of(path: str) -> str | None:
    """The path of the rule that this path is of, for logs: what it says instead of `{…}` may be a secret."""
    return next((rule.path for rule in ROUTES if rule.pattern.fullmatch(path)), None)


def not_allowed(methods: Sequence[str]) -> GatewayError:
    """The path has only these methods."""
    return GatewayError(Reason.METHOD_NOT_ALLOWED, metadata={"allow": ", ".join(methods)})
