"""Intune's compliance policies and their assignments, as the live backend keeps them. Pure but for the clock.

A row is an assignment as beta shows it. `/assign` replaces the direct rows; rows of policy sets are not the caller's.
"""

import copy
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator import errors
from gateway.emulator.clock import Clock

Row = dict[str, Any]
TYPE = "@odata.type"
ASSIGNMENT_TYPE = "#microsoft.graph.deviceCompliancePolicyAssignment"
BASE = "deviceAndAppManagementAssignmentTarget"
FILTER_ID = "deviceAndAppManagementAssignmentFilterId"
FILTER_TYPE = "deviceAndAppManagementAssignmentFilterType"
NO_FILTER = (None, "", "00000000-0000-0000-0000-000000000000")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# scopeTagGroupAssignmentTarget shows in Microsoft's pages and in no metadata (facts §2): the type clients do not know.
TYPES = {
    name.lower(): name
    for name in (
        "groupAssignmentTarget",
        "exclusionGroupAssignmentTarget",
        "allLicensedUsersAssignmentTarget",
        "allDevicesAssignmentTarget",
        "configurationManagerCollectionAssignmentTarget",
        "scopeTagGroupAssignmentTarget",
    )
}
GROUPS = ("groupAssignmentTarget", "exclusionGroupAssignmentTarget")
BROAD = {
    "allLicensedUsersAssignmentTarget": "acacacac-9df4-4c7d-9d50-4ef0226f57a9",
    "allDevicesAssignmentTarget": "adadadad-808e-44e2-905a-0b7873a8a531",
}
HISTORY = 200


@dataclass
class Policy:
    """A policy and every state its rows had: (since, rows), newest last."""

    id: str
    display_name: str
    history: list[tuple[float, list[Row]]] = field(default_factory=list)
    seen_at: float = 0.0

    @property
    def rows(self) -> list[Row]:
        return self.history[-1][1]


class Intune:
    """The policies of one tenant. lag: reads answer the state of so many seconds ago. hops: every other read only, as from
    replicas of which one lags."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.policies: dict[str, Policy] = {}
        self.lag, self.hops = 0.0, False
        self._reads = 0

    def add_policy(self, policy_id: str, display_name: str, rows: list[Row]) -> None:
        """A policy with direct rows given as `/assign` takes them, or whole rows as beta shows them."""
        policy = Policy(policy_id, display_name, [(0.0, [])])
        self.policies[policy_id] = policy
        policy.history = [(0.0, [self._stored(policy, row) for row in rows])]

    def set_rows(self, policy_id: str, rows: list[Row]) -> None:
        """What a foreign writer leaves behind."""
        policy = self.policy(policy_id)
        self._store(policy, [self._stored(policy, row) for row in rows])

    def policy(self, policy_id: str) -> Policy:
        """Raises E7."""
        if policy_id not in self.policies:
            raise errors.not_found()
        return self.policies[policy_id]

    def read(self, policy_id: str) -> list[Row]:
        """The rows as a reader sees them now: `lag` seconds old, but without `hops` never older than what was read before."""
        policy = self.policy(policy_id)
        history = policy.history
        self._reads += 1
        lag = 0.0 if self.hops and self._reads % 2 == 0 else self.lag
        seen_at = policy.seen_at = max(self._clock.now() - lag, 0.0 if self.hops else policy.seen_at)
        return next((rows for since, rows in reversed(history) if since <= seen_at), history[0][1])

    def assign(self, policy_id: str, body: Any, beta: bool) -> list[Row]:
        """`POST …/assign`: replaces the direct rows by those of the body. Raises GraphError, then nothing changed."""
        policy = self.policy(policy_id)
        sent = body.get("assignments") if isinstance(body, dict) else None
        if not isinstance(sent, list):
            raise errors.bad_request("The parameter assignments is missing.")
        owned = [row for row in policy.rows if row["source"] == "policySets"]
        rows = [self._checked(policy, row, owned, beta) for row in sent]
        keys = [_key(row["target"]) for row in rows + owned]
        if len(set(keys)) != len(keys):  # reported as rejected and as ignored (facts §2): rejected here
            raise errors.bad_request("Duplicate assignment targets are not allowed.")
        self._store(policy, rows + owned)
        return policy.rows

    def create(self, policy_id: str, body: Any, beta: bool) -> Row:
        """`POST …/assignments` as documented, for the abstract target type too."""
        policy = self.policy(policy_id)
        if not isinstance(body, dict):
            raise errors.bad_request("Empty Payload. JSON content expected.")
        row = self._checked(policy, body, [], beta, abstract=True)
        if (
            any(_key(row["target"]) == _key(old["target"]) for old in policy.rows)
            and row["target"][TYPE] != f"#microsoft.graph.{BASE}"
        ):
            raise errors.GraphError(409, "Conflict", errors.intune("The assignment already exists."))
        self._store(policy, [*policy.rows, row])
        return row

    def update(self, policy_id: str, row_id: str, body: Any, beta: bool) -> Row:
        """`PATCH …/assignments/{id}` as documented."""
        policy = self.policy(policy_id)
        old = self.row(policy_id, row_id)
        new = self._checked(policy, {**old, "source": "direct", **(body or {})}, [], beta) | {"id": row_id}
        self._store(policy, [new if row is old else row for row in policy.rows])
        return new

    def delete(self, policy_id: str, row_id: str) -> None:
        """`DELETE …/assignments/{id}` as documented."""
        policy, old = self.policy(policy_id), self.row(policy_id, row_id)
        self._store(policy, [row for row in policy.rows if row is not old])

    def row(self, policy_id: str, row_id: str) -> Row:
        """Raises E7."""
        found = next((row for row in self.policy(policy_id).rows if row["id"] == row_id), None)
        if found is None:
            raise errors.not_found()
        return found

    def _store(self, policy: Policy, rows: list[Row]) -> None:
        policy.history = [*policy.history[-HISTORY:], (self._clock.now(), copy.deepcopy(rows))]

    def _checked(self, policy: Policy, row: Any, owned: list[Row], beta: bool, abstract: bool = False) -> Row:
        if not isinstance(row, dict) or not isinstance(row.get("target"), dict):
            raise errors.bad_request("The property target is missing.")
        if row.get("source") == "policySets" or row.get("id") in {o["id"] for o in owned}:
            raise errors.no_reason()  # sent back, they make the call fail (facts §2)
        target = row["target"]
        name = _type_name(target, abstract)
        _check_target(name, target)
        if not beta:
            target = {k: v for k, v in target.items() if k not in (FILTER_ID, FILTER_TYPE)}
        return self._stored(policy, {**row, "target": target})

    def _stored(self, policy: Policy, row: Row) -> Row:
        target = dict(row["target"])
        name = target.pop(TYPE).rpartition(".")[2]
        name = TYPES.get(name.lower(), name)
        filter_id, filter_type = target.pop(FILTER_ID, None), target.pop(FILTER_TYPE, None)
        filtered = {FILTER_ID: None if filter_id in NO_FILTER else filter_id, FILTER_TYPE: filter_type or "none"}
        target = {TYPE: f"#microsoft.graph.{name}", **target, **filtered}
        more = {k: v for k, v in row.items() if not k.startswith("@odata.") and k not in ("id", "source", "sourceId", "target")}
        source = {"source": row.get("source") or "direct", "sourceId": row.get("sourceId") or policy.id}
        return {"id": _row_id(policy.id, target), **source, **more, "target": target}


def view(row: Row, beta: bool) -> Row:
    """The row as a version of the API shows it: v1.0 hides filters and source (facts §2)."""
    if beta:
        return row
    target = {k: v for k, v in row["target"].items() if k not in (FILTER_ID, FILTER_TYPE)}
    return {**{k: v for k, v in row.items() if k not in ("source", "sourceId")}, "target": target}


def _type_name(target: Row, abstract: bool) -> str:
    if next(iter(target), None) != TYPE or not isinstance(target[TYPE], str):
        raise errors.abstract_class()  # missing or late
    full = target[TYPE].removeprefix("#")
    prefix, _, name = full.rpartition(".")
    if prefix.lower() == "microsoft.graph" and name.lower() == BASE.lower():
        if not abstract:
            raise errors.abstract_class()
        return BASE
    if prefix.lower() != "microsoft.graph" or name.lower() not in TYPES:
        raise errors.unknown_type(full)
    return TYPES[name.lower()]


def _check_target(name: str, target: Row) -> None:
    filtered = target.get(FILTER_ID) not in NO_FILTER
    if filtered != (target.get(FILTER_TYPE) in ("include", "exclude")):
        raise errors.bad_request("The assignment filter id and type do not fit together.")
    if name == "exclusionGroupAssignmentTarget" and filtered:
        raise errors.bad_request("Assignment filters are not supported for exclusion targets.")
    if name in GROUPS and not GUID.fullmatch(str(target.get("groupId"))):
        raise errors.group_invalid(target.get("groupId"))
    if name == "configurationManagerCollectionAssignmentTarget":
        collection = target.get("collectionId")
        if not isinstance(collection, str) or not collection or GUID.fullmatch(collection):
            raise errors.no_reason()


def _key(target: Row) -> str:
    name = target[TYPE].removeprefix("#microsoft.graph.")
    if name in GROUPS:
        return str(target.get("groupId")).lower()
    if name == "configurationManagerCollectionAssignmentTarget":
        return str(target.get("collectionId"))
    own = sorted((k, str(v)) for k, v in target.items() if k not in (FILTER_ID, FILTER_TYPE))
    return name if name in BROAD else str(own)


def _row_id(policy_id: str, target: Row) -> str:
    name = target[TYPE].removeprefix("#microsoft.graph.")
    if name == BASE:
        return str(uuid.uuid4())
    if name in GROUPS:
        return f"{policy_id}_{target.get('groupId')}"
    if name == "configurationManagerCollectionAssignmentTarget":
        return f"{policy_id}_{target.get('collectionId')}"
    return f"{policy_id}_{BROAD.get(name) or uuid.uuid5(uuid.NAMESPACE_OID, _key(target))}"
