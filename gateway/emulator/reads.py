"""Graph's answers to reads of policies and their assignments: paged lists and single objects."""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator import paging, query
from gateway.emulator.asking import Answer, Request
from gateway.emulator.entra import Entra
from gateway.emulator.intune import Intune, Policy, view
from gateway.emulator.model import ASSIGNMENT, DECLARED, TYPE, Row
from gateway.emulator.policies import ABSTRACT, BASE, ONLY_BETA, RELATIONS, shown
from gateway.emulator.trees import Trees, actions


@dataclass
class Reads:
    """page_size: the most rows in a page. empty_pages: whether an empty page precedes each page but the first (facts §2).
    expand_pages: whether expanded assignments are paged like the list, instead of whole."""

    entra: Entra
    intune: Intune
    page_size: int = 100
    empty_pages: bool = False
    expand_pages: bool = False
    trees: Trees = field(init=False)

    def __post_init__(self) -> None:
        self.trees = Trees(lambda: self.entra.root, lambda: self.page_size)

    def _list(self, request: Request, policy: str, options: Mapping[str, str], beta: bool) -> Answer:
        query.check_options(options)
        start, emptied = paging.start_of(options)
        declared = DECLARED[ASSIGNMENT] - (set() if beta else {"source", "sourceId"})

        def chosen(rows: list[Row]) -> list[Row]:
            return query.chosen([view(row, beta) for row in rows], options, declared, ASSIGNMENT)

        rows, token, count = self._page(request, policy, paging.size_of(options, self.page_size), chosen, start, emptied)
        names = f"({options['$select']})" if options.get("$select") else ""
        body: dict[str, Any] = {"@odata.context": self._context(beta, f"('{policy}')/assignments{names}")}
        if query.is_counted(options):
            body["@odata.count"] = count
        if token:
            body["@odata.nextLink"] = paging.next_link(self.entra.root, request.path, token)
        return Answer(200, {**body, "value": [query.selected(row, options, declared, ASSIGNMENT) for row in rows]})

    def _context(self, beta: bool, of: str) -> str:
        version = "beta" if beta else "v1.0"
        return f"{self.entra.root}/{version}/$metadata#deviceManagement/deviceCompliancePolicies{of}"

    def _page(
        self,
        request: Request,
        policy: str,
        size: int,
        chosen: Callable[[list[Row]], list[Row]],
        start: int = 0,
        emptied: bool = False,
    ) -> tuple[list[Row], str, int]:
        """A page, the token of the next page (empty if there is none), and the number of all rows. emptied: whether the page
        before this one was empty."""
        rows = chosen(self.intune.read(policy))
        empty = self.empty_pages and start > 0 and not emptied
        page = [] if empty else rows[start : start + size]
        end = start + len(page)
        if request.page == "truncated":
            return page[:-1], "", len(rows)
        if request.page == "duplicate":
            page = rows[start - 1 : start] + page if start else page + page[-1:]
        if end >= len(rows) or not size:
            return page, "", len(rows)
        return page, paging.token_for(end, empty), len(rows)

    def _list_policies(self, request: Request, options: Mapping[str, str], beta: bool) -> Answer:
        query.check_options(options)
        (start, _), size = paging.start_of(options), paging.size_of(options, self.page_size)
        all_shown = [shown(policy.kind, policy.own, beta) for policy in self.intune.policies.values()]
        declared = (*BASE, ONLY_BETA) if beta else BASE
        known = [one["id"] for one in query.chosen(all_shown, options, declared, ABSTRACT)]
        found = [self._policy(request, policy, options, beta) for policy in known[start : start + size]]
        body: dict[str, Any] = {"@odata.context": self._context(beta, "")}
        if query.is_counted(options):
            body["@odata.count"] = len(known)
        if size and start + size < len(known):
            body["@odata.nextLink"] = paging.next_link(self.entra.root, request.path, paging.token_for(start + size, False))
        for policy in found:
            del policy["@odata.context"]
        return Answer(200, {**body, "value": found})

    def _shown(self, policy: Policy, beta: bool) -> dict[str, Any]:
        return {"@odata.context": self._context(beta, "/$entity"), **shown(policy.kind, policy.own, beta)}

    def _policy(self, request: Request, policy_id: str, options: Mapping[str, str], beta: bool) -> dict[str, Any]:
        query.check_options(options)
        policy = self.intune.policy(policy_id)
        body = self._shown(policy, beta)
        if chosen := options.get("$select"):
            body = {key: value for key, value in body.items() if key in ("@odata.context", TYPE, *chosen.split(","))}
        for relation, _, inner in _expanded(options.get("$expand", "")):
            where = f"('{policy_id}')/microsoft.graph.{policy.kind}/{relation}"
            body[f"{relation}@odata.context"] = self._context(beta, where)
            if relation == "assignments":
                body |= self._expanded_rows(request, policy_id, beta)
            else:
                body[relation] = actions(policy, "scheduledActionConfigurations" in inner)
        return body

    def _expanded_rows(self, request: Request, policy_id: str, beta: bool) -> dict[str, Any]:
        size = self.page_size if self.expand_pages else sys.maxsize
        rows, token, _ = self._page(request, policy_id, size, list)
        body: dict[str, Any] = {"assignments": [view(row, beta) for row in rows]}
        if token:
            path = f"/{'beta' if beta else 'v1.0'}/deviceManagement/deviceCompliancePolicies/{policy_id}/assignments"
            body["assignments@odata.nextLink"] = paging.next_link(self.entra.root, path, token)
        return body


def _expanded(text: str) -> list[tuple[str, str, str]]:
    """The relations that `$expand` names, each as (name, "(" or "", its options). Raises GraphError."""
    found = [part.strip().partition("(") for part in re.split(r",(?![^(]*\))", text) if part]
    for relation, _, _ in found:
        if relation not in RELATIONS:
            begin = "Parsing OData Select and Expand failed: Could not find a property named "
            raise query.bad(f"{begin}'{relation}' on type 'microsoft.graph.{ABSTRACT}'.")
    return found
