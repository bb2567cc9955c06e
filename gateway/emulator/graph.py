"""Graph's part: who may, how often, which route, in which shape."""

import base64
import itertools
import json
import re
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import jwt

from gateway.emulator import errors
from gateway.emulator.backend import Asked, backend_path, backend_url
from gateway.emulator.clock import Clock
from gateway.emulator.entra import Entra
from gateway.emulator.errors import READ_ROLE, WRITE_ROLE, GraphError
from gateway.emulator.faults import Page
from gateway.emulator.intune import Intune, view
from gateway.emulator.model import ASSIGNMENT_TYPE, TYPE, Row
from gateway.emulator.throttle import Throttle

Routes = Literal["live", "documented"]
PATH = re.compile(
    r"/(?P<version>v1\.0|beta)/deviceManagement/deviceCompliancePolicies"
    r"(?:(?:/(?P<id>[^/()]+)|\('(?P<quoted>[^/()']+)'\))(?:/(?P<action>assignments|assign)(?:/(?P<row>[^/]+))?)?)?"
)
POLICY_TYPE = "#microsoft.graph.windows10CompliancePolicy"


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
    _turn: Callable[[], int] = field(default_factory=lambda: itertools.count().__next__)

    def asked(self, request: Request) -> Asked:
        """What every answer tells of its request."""
        return Asked(request.id, request.client_id, backend_url(request.path, self.clock.now()))

    def answer(self, request: Request) -> Answer:
        """Raises GraphError."""
        writes = request.method != "GET"
        claims = self._claims(request)
        retry_after = self.throttle.admit(claims["tid"], claims["appid"], writes, self.clock.now())
        if retry_after is not None:
            raise errors.throttled(retry_after or None, as_flat=bool(self._turn() % 2))
        self._check_tenant(claims, writes)
        parts = urlsplit(request.path)
        match = PATH.fullmatch(parts.path)
        if match is None:
            raise errors.segment_unknown(parts.path.rpartition("/")[2])
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
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
        policy, action, row = match["id"] or match["quoted"], match["action"], match["row"]
        kind = (request.method, action, "row" if row else "set")
        if policy is None:
            return self._list_policies(request, query, beta)
        if kind == ("GET", None, "set"):
            return Answer(200, self._policy(request, policy, query, beta))
        if kind == ("GET", "assignments", "set"):
            return self._list(request, policy, query, beta)
        if kind == ("POST", "assign", "set"):
            return self._assign(request, policy, beta)
        if action == "assignments" and self.routes == "documented":
            return self._documented(request, policy, row, beta)
        if action == "assignments":
            template = "~/singleton/navigation/key/navigation" + ("/key" if row else "")
            raise errors.route_missing(template, request.method, backend_path(request.path, self.clock.now()))
        raise errors.route_missing("~/singleton/navigation/key", request.method, backend_path(request.path, self.clock.now()))

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
            return Answer(200, {"@odata.context": "…#assignments", "value": [view(row, beta) for row in rows]})
        return Answer(200 if shape == 1 else 204)

    def _list(self, request: Request, policy: str, query: Mapping[str, str], beta: bool) -> Answer:
        start, emptied = _skip_token(query.get("$skiptoken"))
        size = min(int(query.get("$top", self.page_size)), self.page_size)
        rows, token = self._page(request, policy, size, start, emptied)
        body: dict[str, Any] = {"@odata.context": f"{self.entra.root}/{'beta' if beta else 'v1.0'}/$metadata#assignments"}
        if token:
            body["@odata.nextLink"] = f"{self.entra.root}{urlsplit(request.path).path}?$skiptoken={token}"
        return Answer(200, {**body, "value": [view(row, beta) for row in rows]})

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
        if end >= len(rows):
            return page, ""
        return page, base64.urlsafe_b64encode(json.dumps([end, empty]).encode()).decode()

    def _list_policies(self, request: Request, query: Mapping[str, str], beta: bool) -> Answer:
        if request.method != "GET":
            raise errors.bad_request("Policies are seeded through the control port.")
        found = [
            self._policy(request, policy, query, beta) for policy in list(self.intune.policies)[: int(query.get("$top", 100))]
        ]
        return Answer(200, {"@odata.context": "…#deviceCompliancePolicies", "value": found})

    def _policy(self, request: Request, policy_id: str, query: Mapping[str, str], beta: bool) -> dict[str, Any]:
        policy = self.intune.policy(policy_id)
        body: dict[str, Any] = {TYPE: POLICY_TYPE, "id": policy.id, "displayName": policy.display_name, "version": 1}
        if selected := query.get("$select"):
            body = {key: value for key, value in body.items() if key in (TYPE, *selected.split(","))}
        if query.get("$expand", "").startswith("assignments"):
            size = self.page_size if self.expand_pages else sys.maxsize
            rows, token = self._page(request, policy_id, size)
            body["assignments"] = [view(row, beta) for row in rows]
            if token:
                version = "beta" if beta else "v1.0"
                path = f"{self.entra.root}/{version}/deviceManagement/deviceCompliancePolicies/{policy_id}/assignments"
                body["assignments@odata.nextLink"] = f"{path}?$skiptoken={token}"
        return body


def _typed(row: Row) -> Row:
    return {TYPE: ASSIGNMENT_TYPE, **row}


def _skip_token(token: str | None) -> tuple[int, bool]:
    if token is None:
        return 0, False
    try:
        start, emptied = json.loads(base64.urlsafe_b64decode(token))
        return int(start), bool(emptied)
    except ValueError:
        raise errors.bad_request("Invalid skip token.") from None


def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise GraphError(415, "UnsupportedMediaType", "The content type has to be application/json.")
    try:
        return json.loads(request.body)
    except ValueError:
        raise errors.bad_request("Unable to read JSON request payload.") from None
