"""Graph's part: who may, how often, which route, in which shape."""

import itertools
import json
import math
import re
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import jwt

from gateway.emulator import errors, paging
from gateway.emulator.backend import Asked, backend_path, backend_url
from gateway.emulator.clock import Clock
from gateway.emulator.entra import Entra
from gateway.emulator.errors import READ_ROLE, WRITE_ROLE, GraphError
from gateway.emulator.faults import Page
from gateway.emulator.intune import Intune, Policy, view
from gateway.emulator.model import ASSIGNMENT_TYPE, TYPE, Row
from gateway.emulator.policies import shown
from gateway.emulator.throttle import Throttle
from gateway.emulator.unconfirmed import Unconfirmed

Routes = Literal["live", "documented"]
PATH = re.compile(
    r"/(?P<version>v1\.0|beta)/deviceManagement/deviceCompliancePolicies"
    r"(?:(?:/(?P<id>[^/()]+)|\('(?P<quoted>[^/()']+)'\))(?:/(?P<action>assignments|assign)(?:/(?P<row>[^/]+))?)?)?"
)


@dataclass(frozen=True)
class Answer:
    """A success: status, JSON (None for an empty body)."""

    status: int
    json: Any = None


@dataclass(frozen=True)
class Request:
    """method, path with query as sent, headers with lower-case names, body as sent. id: Graph's. page: what was ordered to be
    wrong with the list it reads."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    page: Page | None = None

    @property
    def client_id(self) -> str:
        """The client-request-id; where none was sent, Graph's own (facts §5)."""
        return self.headers.get("client-request-id") or self.id


@dataclass
class Tenant:
    """intune: whether it has a usable one (E11). approval: whether Multi Admin Approval protects the policies (E13)."""

    intune: bool = True
    approval: bool = False


@dataclass
class Graph:
    """Answers requests. page_size: rows a page, at most. empty_pages: between two pages comes an empty one (facts §2).
    expand_pages: an expanded collection is paged as the list is, rather than whole."""

    entra: Entra
    intune: Intune
    clock: Clock
    routes: Routes = "live"
    page_size: int = 100
    empty_pages: bool = False
    expand_pages: bool = False
    throttle: Throttle = field(default_factory=Throttle)
    tenant: Tenant = field(default_factory=Tenant)
    unconfirmed: Unconfirmed = field(default_factory=Unconfirmed)
    _turn: Callable[[], int] = field(default_factory=lambda: itertools.count().__next__)

    def asked(self, request: Request) -> Asked:
        """What every answer tells of its request."""
        return Asked(request.id, request.client_id, backend_url(request.path, self.clock.now()))

    def answer(self, request: Request) -> Answer:
        """Raises GraphError."""
        writes = request.method != "GET"
        claims = self._claims(request)
        retry_after = self.throttle.admit(_service(request), claims["tid"], claims["appid"], writes, self.clock.now())
        if retry_after is not None:
            raise errors.throttled(retry_after or None, as_flat=bool(self._turn() % 2))
        self._check_tenant(claims, writes)
        parts = urlsplit(request.path)
        match = PATH.fullmatch(parts.path)
        if match is None:
            raise errors.segment_unknown(parts.path.rpartition("/")[2])
        query = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return self._route(request, match, query)

    def _check_tenant(self, claims: Mapping[str, Any], writes: bool) -> None:
        roles = [WRITE_ROLE] if writes else [READ_ROLE, WRITE_ROLE]
        if not set(roles) & set(claims.get("roles", ())):
            raise errors.permission_missing(roles, as_401=bool(self._turn() % 2))
        if not self.tenant.intune:
            raise errors.tenant_unusable()
        if self.tenant.approval and writes:
            raise errors.approval_required()  # before routing: a missing route answers so as well (facts §6)

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

    def _no_route(self, request: Request, end: str) -> GraphError:
        path = backend_path(request.path, self.clock.now())
        return errors.route_missing(f"~/singleton/navigation{end}", request.method, path)

    def _policy_route(self, request: Request, policy: str | None, query: Mapping[str, str], beta: bool) -> Answer:
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

    def _list(self, request: Request, policy: str, query: Mapping[str, str], beta: bool) -> Answer:
        start, emptied = paging.start_of(query)
        rows, token = self._page(request, policy, paging.size_of(query, self.page_size), start, emptied)
        body: dict[str, Any] = {"@odata.context": self._context(beta, f"('{policy}')/assignments")}
        if token:
            body["@odata.nextLink"] = paging.next_link(self.entra.root, request.path, token)
        return Answer(200, {**body, "value": [view(row, beta) for row in rows]})

    def _context(self, beta: bool, of: str) -> str:
        version = "beta" if beta else "v1.0"
        return f"{self.entra.root}/{version}/$metadata#deviceManagement/deviceCompliancePolicies{of}"

    def _page(self, request: Request, policy: str, size: int, start: int = 0, emptied: bool = False) -> tuple[list[Row], str]:
        """A page and the token of the next one, empty where there is none. emptied: the page before was the empty one."""
        rows = self.intune.read(policy)
        empty = self.empty_pages and start > 0 and not emptied
        page = [] if empty else rows[start : start + size]
        end = start + len(page)
        if request.page == "truncated":
            return page[:-1], ""
        if request.page == "duplicate":
            page = rows[start - 1 : start] + page if start else page + page[-1:]
        if end >= len(rows) or not size:
            return page, ""
        return page, paging.token_for(end, empty)

    def _list_policies(self, request: Request, query: Mapping[str, str], beta: bool) -> Answer:
        (start, _), size = paging.start_of(query), paging.size_of(query, self.page_size)
        known = list(self.intune.policies)
        found = [self._policy(request, policy, query, beta) for policy in known[start : start + size]]
        body: dict[str, Any] = {"@odata.context": self._context(beta, "")}
        if size and start + size < len(known):
            body["@odata.nextLink"] = paging.next_link(self.entra.root, request.path, paging.token_for(start + size, False))
        for policy in found:
            del policy["@odata.context"]
        return Answer(200, {**body, "value": found})

    def _shown(self, policy: Policy, beta: bool) -> dict[str, Any]:
        return {"@odata.context": self._context(beta, "/$entity"), **shown(policy.kind, policy.own, beta)}

    def _policy(self, request: Request, policy_id: str, query: Mapping[str, str], beta: bool) -> dict[str, Any]:
        policy = self.intune.policy(policy_id)
        body = self._shown(policy, beta)
        if selected := query.get("$select"):
            body = {key: value for key, value in body.items() if key in ("@odata.context", TYPE, *selected.split(","))}
        if query.get("$expand", "").startswith("assignments"):
            size = self.page_size if self.expand_pages else sys.maxsize
            rows, token = self._page(request, policy_id, size)
            body["assignments@odata.context"] = self._context(
                beta, f"('{policy_id}')/microsoft.graph.{policy.kind}/assignments"
            )
            body["assignments"] = [view(row, beta) for row in rows]
            if token:
                path = f"/{'beta' if beta else 'v1.0'}/deviceManagement/deviceCompliancePolicies/{policy_id}/assignments"
                body["assignments@odata.nextLink"] = paging.next_link(self.entra.root, path, token)
        return body


def _typed(row: Row) -> Row:
    return {TYPE: ASSIGNMENT_TYPE, **row}


def _service(request: Request) -> str:
    """The Intune service that a path belongs to: the windows are kept for each (facts §4)."""
    return "".join(urlsplit(request.path).path.lstrip("/").split("/")[1:2])


def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise GraphError(415, "UnsupportedMediaType", "The content type has to be application/json.")
    try:
        return json.loads(request.body, parse_float=_number, parse_int=_whole_number, parse_constant=_number)
    except (ValueError, OverflowError):
        raise errors.bad_request("Unable to read JSON request payload.") from None


def _number(text: str) -> float:
    """As OData has them: a double that is a number. Raises ValueError."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text[:32])
    return number


def _whole_number(text: str) -> int:
    """Raises ValueError, OverflowError."""
    number = int(text)
    float(number)
    return number
