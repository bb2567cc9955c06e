"""Parses a request's target: strips prefixes, adds a missing version, drops trailing slashes, and finds out whether it leads to
an operation or is read through. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote

from gateway.doors.rest_http import split
from gateway.doors.rest_requests import Headers
from gateway.doors.rest_routes import ROUTES, Route, not_allowed, route_of, template_of
from gateway.errors import GatewayError, Reason
from gateway.graph.tree import KEY, OPTIONS, ReadPath, Tree, nothing_here, option

VERSION = re.compile(r"/(v1\.0|beta)(/|$)", re.IGNORECASE)
DEFAULT_VERSION = "/v1.0"
BATCH_PATH = re.compile(r"(/v1\.0|/beta)/(?:\$|%24)batch", re.IGNORECASE)
METADATA_PATH = re.compile(r"/(?:v1\.0|(beta))/(?:\$|%24)metadata", re.IGNORECASE)
COUNT = re.compile(r"(/[^/]+/deviceManagement/deviceCompliancePolicies.*/assignments)/(?:\$|%24)count", re.IGNORECASE)
PAGE_SIZE = re.compile(r"(?:^|[,;\s])(?:odata\.)?maxpagesize\s*=\s*(\d{1,9})\b", re.IGNORECASE)
LARGEST_PAGE = 1000
READS = ("GET", "HEAD")
LIST = "ListComplianceAssignments"
OWN = ("$top", "$skiptoken")
# As the contract has them, without what is before them all.
WRITES = sorted(
    {
        f"{verb} {re.sub(r'{[^}]*}', KEY, rule.path).removeprefix('/beta/deviceManagement/')}"
        for rule in ROUTES
        for verb in rule.methods
        if verb != "GET" and rule.path.startswith("/beta/")
    }
)


class Located(NamedTuple):
    """prefix: that was taken off. path: from the version on, without a slash at its end."""

    prefix: str
    path: str
    query: str

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


def located(target: str, prefixes: Sequence[str]) -> Located:
    """Of a request's target as sent."""
    path, query = split(target)
    prefix = next((one for one in prefixes if path.startswith(f"{one}/")), "")
    return Located(prefix, versioned(path[len(prefix) :]), query)


def versioned(path: str) -> str:
    """The path with a version, unless it is of an operation that has none, and without a slash at its end."""
    path = path.removesuffix("/") if len(path) > 1 else path
    return path if VERSION.match(path) or template_of(path) else f"{DEFAULT_VERSION}{path}"


def leading(method: str, path: str, query: str, tree: Tree) -> Route | ReadPath:
    """Where a request leads. Raises ROUTE_UNKNOWN and METHOD_NOT_ALLOWED, which list what is served, and INVALID_FIELD."""
    refusal: GatewayError | None = None
    route: Route | None = None
    try:
        route = route_of(method, path)
    except GatewayError as error:
        refusal = error
    if route is not None and not (route.operation.name == LIST and _asks_more(query)):
        return route
    version = VERSION.match(path)
    inner = path[version.end(1) :] if version else path
    place = tree.find(inner, query if method == "GET" else "")
    if place is not None and method == "GET":
        return place
    if place is not None and refusal is not None and refusal.reason is Reason.ROUTE_UNKNOWN:
        refusal, what = not_allowed(READS), f"{place.pattern} is read-only here."
    elif refusal is None or refusal.reason is Reason.ROUTE_UNKNOWN:
        raise nothing_here(tree, WRITES, method)
    else:
        what = refusal.reason.meaning
    raise GatewayError(refusal.reason, f"{what} The writes are: {', '.join(WRITES)}.", metadata=refusal.metadata)


def _asks_more(query: str) -> bool:
    """Whether the query asks for something that the gateway's own list does not support, or spells it in another way."""
    names = (unquote(part.partition("=")[0]) for part in query.split("&"))
    return any(option(name) in OPTIONS and name not in OWN for name in names)


def paged(route: Route, query: str, headers: Headers) -> tuple[str, dict[str, str]]:
    """The query with the size of page that a caller prefers and does not ask for, and what is said of it in the answer."""
    wanted = PAGE_SIZE.search(", ".join(headers.get("prefer", ())))
    if wanted is None or route.operation.name != LIST or "$top=" in unquote(query).lower() or not int(wanted[1]):
        return query, {}
    size = min(int(wanted[1]), LARGEST_PAGE)
    return f"{query}{'&' if query else ''}$top={size}", {"Preference-Applied": f"odata.maxpagesize={size}"}
