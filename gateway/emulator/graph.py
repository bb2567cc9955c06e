"""Graph: permissions, throttling, routes, and the shapes of answers."""

import itertools
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from gateway.emulator import errors
from gateway.emulator.asking import Answer, Request
from gateway.emulator.backend import Asked, backend_path, backend_url
from gateway.emulator.clock import Clock
from gateway.emulator.directory import check_roles
from gateway.emulator.errors import READ_ROLE, WRITE_ROLE, GraphError
from gateway.emulator.intune import view
from gateway.emulator.model import ASSIGNMENT_TYPE, TYPE, Row
from gateway.emulator.reads import Reads
from gateway.emulator.throttle import DIRECTORY, Throttle
from gateway.emulator.trees import LISTS, OVERVIEWS
from gateway.emulator.unconfirmed import Unconfirmed

Routes = Literal["live", "documented"]
BELOW = "|".join([*LISTS, *OVERVIEWS])
MOST_SEGMENTS = 6  # of a path with one relation below a policy
KEY = re.compile(r"\('([^'/]+)'\)")
PATH = re.compile(
    rf"/(?P<version>v1\.0|beta)/deviceManagement/deviceCompliancePolicies"
    rf"(?:(?:/(?P<id>[^/()]+)|\('(?P<quoted>[^/()']+)'\))(?:/(?P<action>assignments|assign|{BELOW})(?:/(?P<row>[^/]+))?)?)?"
)


@dataclass
class Tenant:
    """intune: whether the tenant has a usable Intune (E11). approval: whether Multi Admin Approval protects its policies
    (E13)."""

    intune: bool = True
    approval: bool = False


@dataclass
class Graph(Reads):
    """Answers requests to Graph: checks token, quota and permissions, and chooses the route."""

    clock: Clock = field(kw_only=True)
    routes: Routes = "live"
    throttle: Throttle = field(default_factory=Throttle)
    tenant: Tenant = field(default_factory=Tenant)
    unconfirmed: Unconfirmed = field(default_factory=Unconfirmed)
    _turn: Callable[[], int] = field(default_factory=lambda: itertools.count().__next__)

    def asked(self, request: Request) -> Asked:
        """What every answer says about its request."""
        return Asked(request.id, request.client_id, backend_url(request.path, self.clock.now()))

    def answer(self, request: Request) -> Answer:
        """The successful answer. Raises GraphError for any other."""
        segments = KEY.sub(r"/\1", urlsplit(request.path).path).lstrip("/").split("/")[1:]
        in_directory = bool(segments) and segments[0] in DIRECTORY
        writes = request.method != "GET" and not in_directory  # getByIds reads
        claims = self._claims(request)
        retry_after = self.throttle.admit(_service(request), claims["tid"], claims["appid"], writes, self.clock.now())
        if retry_after is not None:
            raise errors.throttled(retry_after or None, as_flat=in_directory or bool(self._turn() % 2))
        query = {key: values[-1] for key, values in parse_qs(urlsplit(request.path).query, keep_blank_values=True).items()}
        if in_directory:
            return self._in_directory(request, segments, query, claims)
        self._check_tenant(claims, writes)
        match = PATH.fullmatch(urlsplit(request.path).path)
        if match is None:
            return self._elsewhere(request, segments, query)
        return self._route(request, match, query)

    def _in_directory(
        self, request: Request, segments: list[str], query: Mapping[str, str], claims: Mapping[str, Any]
    ) -> Answer:
        check_roles(claims.get("roles", ()), for_groups=segments[0] == "groups")
        if request.method == "GET" and segments[0] == "groups":
            eventual = request.headers.get("consistencylevel", "").lower() == "eventual"
            found = self.trees.groups(request.path, [*map(unquote, segments[1:])], query, eventual)
            return Answer(200, found)
        if request.method == "POST" and segments == ["directoryObjects", "getByIds"]:
            objects = self.trees.directory.by_ids(_json(request), claims.get("roles", ()))
            return Answer(200, {"@odata.context": self.trees.context(request.path, "directoryObjects", {}), "value": objects})
        raise errors.segment_unknown(segments[-1])

    def _elsewhere(self, request: Request, segments: list[str], query: Mapping[str, str]) -> Answer:
        """Reads beside the policies, below `deviceManagement`. Raises GraphError."""
        if request.path.startswith(("/v1.0/deviceManagement/", "/beta/deviceManagement/")) and request.method == "GET":
            return Answer(200, self.trees.intune(request.path, [*map(unquote, segments[1:])], query))
        raise errors.segment_unknown(segments[-1] if segments else "")

    def _check_tenant(self, claims: Mapping[str, Any], writes: bool) -> None:
        roles = [WRITE_ROLE] if writes else [READ_ROLE, WRITE_ROLE]
        if not set(roles) & set(claims.get("roles", ())):
            raise errors.permission_missing(roles, as_401=bool(self._turn() % 2))
        if not self.tenant.intune:
            raise errors.tenant_unusable()
        if self.tenant.approval and writes:
            raise errors.approval_required()  # before routing, so missing routes get this error too (facts §6)

    def _claims(self, request: Request) -> dict[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.token_refused("Access token is empty.")
        try:
            return self.entra.check(token)
        except jwt.ExpiredSignatureError:
            raise errors.token_refused("Lifetime validation failed, the token is expired.") from None
        except jwt.InvalidTokenError:
            raise errors.token_refused("Access token validation failure.") from None

    def _route(self, request: Request, match: re.Match[str], query: Mapping[str, str]) -> Answer:
        beta = match["version"] == "beta"
        policy, action, row = (
            unquote(found) if found else None for found in (match["id"] or match["quoted"], match["action"], match["row"])
        )
        if policy is None or action is None:
            return self._policy_route(request, policy, query, beta)
        if action not in ("assignments", "assign"):
            return self._below(request, policy, action, query)
        kind = (request.method, action, "row" if row else "set")
        if kind == ("GET", "assignments", "set"):
            return self._list(request, policy, query, beta)
        if kind == ("POST", "assign", "set"):
            return self._assign(request, policy, beta)
        if kind == ("GET", "assignments", "row") and row is not None and self.unconfirmed.row_reads:
            return Answer(200, _typed(view(self.intune.row(policy, row), beta)))
        if action == "assignments" and self.routes == "documented":
            return self._documented(request, policy, row, beta)
        raise self._no_route(request, f"/key/{'navigation' if action == 'assignments' else 'action'}{'/key' if row else ''}")

    def _below(self, request: Request, policy: str, name: str, query: Mapping[str, str]) -> Answer:
        if request.method != "GET" or len(urlsplit(request.path).path.split("/")) > MOST_SEGMENTS:
            raise self._no_route(request, "/key/navigation")
        return Answer(200, self.trees.below(request.path, self.intune.policy(policy), name, query))

    def _no_route(self, request: Request, end: str) -> GraphError:
        path = backend_path(request.path, self.clock.now())
        return errors.route_missing(f"~/singleton/navigation{end}", request.method, path)

    def _policy_route(self, request: Request, policy: str | None, query: Mapping[str, str], beta: bool) -> Answer:
        if policy == "$count" and request.method == "GET":
            return Answer(200, len(self.intune.policies))
        if policy is None:
            if request.method == "GET":
                return self._list_policies(request, query, beta)
            if request.method == "POST":
                return Answer(201, self._shown(self.intune.create_policy(_json(request), beta), beta))
            raise self._no_route(request, "")
        if request.method == "GET":
            return Answer(200, self._policy(request, policy, query, beta))
        if request.method == "PATCH":
            return Answer(200, self._shown(self.intune.change_policy(policy, _json(request), beta), beta))
        if request.method == "DELETE":
            self.intune.delete_policy(policy)
            return Answer(204)
        raise self._no_route(request, "/key")

    def _documented(self, request: Request, policy: str, row: str | None, beta: bool) -> Answer:
        if request.method == "POST" and row is None:
            return Answer(201, _typed(view(self.intune.create(policy, _json(request), beta, request.client_id), beta)))
        if request.method == "GET" and row is not None:
            return Answer(200, _typed(view(self.intune.row(policy, row), beta)))
        if request.method == "PATCH" and row is not None:
            return Answer(200, _typed(view(self.intune.update(policy, row, _json(request), beta, request.client_id), beta)))
        if request.method == "DELETE" and row is not None:
            self.intune.delete(policy, row, request.client_id)
            return Answer(204)
        raise GraphError(405, "MethodNotAllowed", "Method not allowed")

    def _assign(self, request: Request, policy: str, beta: bool) -> Answer:
        rows = self.intune.assign(policy, _json(request), beta, request.client_id)
        shape = self._turn() % 3  # 200 with the set, 200 and 204 with nothing are all reported (facts §1)
        if shape == 0:
            return Answer(
                200,
                {
                    "@odata.context": self._context(beta, f"('{policy}')/assignments"),
                    "value": [view(row, beta) for row in rows],
                },
            )
        return Answer(200 if shape == 1 else 204)


def _typed(row: Row) -> Row:
    return {TYPE: ASSIGNMENT_TYPE, **row}


def _service(request: Request) -> str:
    """The first segment after the version: the service, which has throttling windows of its own (facts §4)."""
    return "".join(urlsplit(request.path).path.lstrip("/").split("/")[1:2])


def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise GraphError(415, "UnsupportedMediaType", "The content type has to be application/json.")
    try:
        return json.loads(request.body, parse_float=_number, parse_int=_whole_number, parse_constant=_number)
    except (ValueError, OverflowError):
        raise errors.bad_request("Unable to read JSON request payload.") from None


def _number(text: str) -> float:
    """A finite double: OData has no other numbers. Raises ValueError."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text[:32])
    return number


def _whole_number(text: str) -> int:
    """An integer within a double's range. Raises ValueError, OverflowError."""
    number = int(text)
    float(number)
    return number
