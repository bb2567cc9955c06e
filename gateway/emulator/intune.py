"""Intune's compliance policies and their assignments, as the live backend keeps them. No input or output, except the clock.

A row is an assignment as beta shows it; a stored row is never mutated. `/assign` replaces the direct rows and leaves the rows
of policy sets. Every write to a set is recorded as an Effect.
"""

import copy
import uuid
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator import errors, policies
from gateway.emulator.clock import Clock
from gateway.emulator.model import (
    BASE,
    BROAD,
    COLLECTION,
    EXCLUSION,
    FILTER_ID,
    FILTER_TYPE,
    GROUP,
    NO_FILTER,
    TYPE,
    Model,
    Row,
    canonical,
    key_of,
    type_name,
)
from gateway.emulator.unconfirmed import Unconfirmed

CONTROL = "control"
HISTORY = 200


@dataclass(frozen=True)
class Effect:
    """One write that was carried out. at: seconds since the epoch by the emulator's clock. policy: its ID. by: the write's
    client-request-id, or `control` for a foreign writer. before, after: the whole set, equal if the write changed nothing. Rows
    are shared, not copied."""

    at: float
    policy: str
    by: str
    before: list[Row]
    after: list[Row]


@dataclass
class Policy:
    """A policy. own: its own properties (policies.shown). history: the states of its rows as (since, rows), newest last.
    seen_at: the time that the last read showed. below: name (trees.LISTS, trees.OVERVIEWS) -> what is below the policy
    beside its assignments."""

    id: str
    kind: str
    own: dict[str, Any]
    history: list[tuple[float, list[Row]]] = field(default_factory=list)
    seen_at: float = 0.0
    below: dict[str, Any] = field(default_factory=dict)

    @property
    def display_name(self) -> str:
        return str(self.own["displayName"])

    @property
    def rows(self) -> list[Row]:
        return self.history[-1][1]


class Intune:
    """The policies of one tenant. effects: the writes that were carried out, oldest first, without the initial rows.

    lag: seconds by which reads lag behind. hops: only every other read lags, as if one of two replicas lagged. A read returns
    the whole set of one moment, but each page of a list is a read of its own, so with `hops` the pages of a list may show
    different moments.
    """

    def __init__(self, clock: Clock, unconfirmed: Unconfirmed) -> None:
        self._clock, self._unconfirmed = clock, unconfirmed
        self.policies: dict[str, Policy] = {}
        self.model = Model()
        self.effects: list[Effect] = []
        self.lag, self.hops = 0.0, False
        self._reads = 0

    def clear(self) -> None:
        """Removes all policies, effects, lag and refusals of the model."""
        self.lag, self.hops = 0.0, False
        self.policies.clear()
        self.effects.clear()
        self.model.forget()

    def add_policy(self, policy_id: str, display_name: str, rows: list[Row], kind: str = policies.WINDOWS) -> None:
        """Adds a policy, or replaces the one with this ID. rows: as `/assign` accepts direct ones, or whole as beta shows
        them."""
        policy = self._new(policy_id, kind, {"displayName": display_name})
        policy.history = [(0.0, self._served(policy, rows))]

    def _new(self, policy_id: str, kind: str, own: dict[str, Any]) -> Policy:
        now = policies.stamp(self._clock.now())
        first = {
            "description": None,
            "roleScopeTagIds": ["0"],
            "version": 1,
            "createdDateTime": now,
            "lastModifiedDateTime": now,
        }
        policy = self.policies[policy_id] = Policy(policy_id, kind, {"id": policy_id, **first, **own}, [(0.0, [])])
        return policy

    def create_policy(self, body: Any, beta: bool) -> Policy:
        """`POST …/deviceCompliancePolicies`. Raises GraphError."""
        kind = policies.kind_of(body)
        own = policies.checked(kind, body, beta)
        if not own.get("displayName") or body.get("assignments"):
            raise errors.no_reason()
        policies.check_actions(body)
        policy = self._new(str(uuid.uuid4()), kind, own)
        policy.below["scheduledActionsForRule"] = body["scheduledActionsForRule"]
        return policy

    def change_policy(self, policy_id: str, body: Any, beta: bool) -> Policy:
        """`PATCH …/deviceCompliancePolicies/{id}`: its own properties, never its assignments. Raises GraphError."""
        policy, kind = self.policy(policy_id), policies.kind_of(body)
        own = policies.checked(kind, body, beta)
        if kind != policy.kind or body.get("assignments"):
            raise errors.no_reason()
        modified = {"version": policy.own["version"] + 1, "lastModifiedDateTime": policies.stamp(self._clock.now())}
        policy.own = {**policy.own, **own, **modified}
        return policy

    def delete_policy(self, policy_id: str) -> None:
        """`DELETE …/deviceCompliancePolicies/{id}`. Raises E7."""
        del self.policies[self.policy(policy_id).id]

    def set_rows(self, policy_id: str, rows: list[Row]) -> None:
        """Replaces all rows as a foreign writer would, unchecked: any type, any property, duplicates."""
        policy = self.policy(policy_id)
        self._store(policy, self._served(policy, rows), CONTROL)

    def policy(self, policy_id: str) -> Policy:
        """Raises E7."""
        if policy_id not in self.policies:
            raise errors.not_found()
        return self.policies[policy_id]

    def read(self, policy_id: str) -> list[Row]:
        """The rows as they were `lag` seconds ago. Without `hops` a read is never older than the read before it."""
        policy = self.policy(policy_id)
        history = policy.history
        self._reads += 1
        lag = 0.0 if self.hops and self._reads % 2 == 0 else self.lag
        seen_at = policy.seen_at = max(self._clock.now() - lag, 0.0 if self.hops else policy.seen_at)
        return next((rows for since, rows in reversed(history) if since <= seen_at), history[0][1])

    def assign(self, policy_id: str, body: Any, beta: bool, by: str) -> list[Row]:
        """`POST …/assign`: replaces the direct rows by those of the body. If it raises GraphError, nothing is changed."""
        policy = self.policy(policy_id)
        sent = body.get("assignments") if isinstance(body, dict) else None
        if not isinstance(sent, list):
            raise errors.bad_request("The parameter assignments is missing.")
        owned = [row for row in policy.rows if row["source"] == "policySets"]
        rows = [self._checked(policy, row, {row["id"] for row in owned}, beta) for row in sent]
        if self._unconfirmed.policy_set_rows == "adopt":
            adopted = {row["id"] for row in rows}
            owned = [row for row in owned if row["id"] not in adopted]
        once = {key_of(row["target"]): row for row in reversed(rows + owned)}
        if len(once) != len(rows + owned) and self._unconfirmed.duplicates == "refuse":
            raise errors.bad_request("Duplicate assignment targets are not allowed.")
        self._store(policy, [row for row in rows + owned if once[key_of(row["target"])] is row], by)
        return policy.rows

    def create(self, policy_id: str, body: Any, beta: bool, by: str) -> Row:
        """`POST …/assignments` as documented; it accepts the abstract target type as well."""
        policy = self.policy(policy_id)
        if not isinstance(body, dict):
            raise errors.bad_request("Empty Payload. JSON content expected.")
        row = self._checked(policy, body, set(), beta, abstract=True)
        taken = {key_of(old["target"]) for old in policy.rows}
        if key_of(row["target"]) in taken and type_name(row["target"]) != BASE:
            raise errors.GraphError(409, "Conflict", "The assignment already exists.")
        self._store(policy, [*policy.rows, row], by)
        return row

    def update(self, policy_id: str, row_id: str, body: Any, beta: bool, by: str) -> Row:
        """`PATCH …/assignments/{id}` as documented."""
        policy = self.policy(policy_id)
        old = self.row(policy_id, row_id)
        new = self._checked(policy, {**old, "source": "direct", **(body or {})}, set(), beta) | {"id": row_id}
        self._store(policy, [new if row is old else row for row in policy.rows], by)
        return new

    def delete(self, policy_id: str, row_id: str, by: str) -> None:
        """`DELETE …/assignments/{id}` as documented."""
        policy, old = self.policy(policy_id), self.row(policy_id, row_id)
        self._store(policy, [row for row in policy.rows if row is not old], by)

    def row(self, policy_id: str, row_id: str) -> Row:
        """Raises E7."""
        found = next((row for row in self.policy(policy_id).rows if row["id"] == row_id), None)
        if found is None:
            raise errors.not_found()
        return found

    def _store(self, policy: Policy, rows: list[Row], by: str) -> None:
        before, now = policy.rows, self._clock.now()
        known = {row["id"]: row for row in before}
        # To save memory, a row whose text did not change is the same object in every state and effect.
        after = [old if (old := known.get(row["id"])) is not None and repr(old) == repr(row) else row for row in rows]
        policy.history = [*policy.history[-HISTORY:], (now, after)]
        self.effects.append(Effect(now, policy.id, by, before, after))

    def _served(self, policy: Policy, rows: list[Row]) -> list[Row]:
        stored = [self._stored(policy, copy.deepcopy(row)) for row in rows]
        for row in stored:
            self.model.learn(row)
        return stored

    def _checked(self, policy: Policy, row: Any, owned_ids: set[str], beta: bool, abstract: bool = False) -> Row:
        if not isinstance(row, dict) or not isinstance(row.get("target"), dict):
            raise errors.bad_request("The property target is missing.")
        if row.get("source") == "policySets" or row.get("id") in owned_ids:
            if self._unconfirmed.policy_set_rows == "refuse":
                raise errors.no_reason()
            row = {**row, "source": "direct", "sourceId": policy.id}
        self.model.check(row, abstract, self._unconfirmed.filter_rules)
        if not beta:  # v1.0 does not know filters
            row = {**row, "target": {k: v for k, v in row["target"].items() if k not in (FILTER_ID, FILTER_TYPE)}}
        return self._stored(policy, row)

    def _stored(self, policy: Policy, row: Row) -> Row:
        target = dict(row["target"])
        full = canonical(target)
        del target[TYPE]
        filter_id, filter_type = target.pop(FILTER_ID, None), target.pop(FILTER_TYPE, None)
        filtered = {FILTER_ID: None if filter_id in NO_FILTER else filter_id, FILTER_TYPE: filter_type or "none"}
        target = {TYPE: full, **target, **filtered}
        more = {k: v for k, v in row.items() if not k.startswith("@odata.") and k not in ("id", "source", "sourceId", "target")}
        source = {"source": row.get("source") or "direct", "sourceId": row.get("sourceId") or policy.id}
        return {"id": _row_id(policy.id, target), **source, **more, "target": target}


def view(row: Row, beta: bool) -> Row:
    """The row as beta or v1.0 shows it: v1.0 hides filters and source (facts §2)."""
    if beta:
        return row
    target = {k: v for k, v in row["target"].items() if k not in (FILTER_ID, FILTER_TYPE)}
    return {**{k: v for k, v in row.items() if k not in ("source", "sourceId")}, "target": target}


def _row_id(policy_id: str, target: Row) -> str:
    name = type_name(target)
    if name == BASE:
        return str(uuid.uuid4())
    if name in (GROUP, EXCLUSION):
        return f"{policy_id}_{target.get('groupId')}"
    if name == COLLECTION:
        return f"{policy_id}_{target.get('collectionId')}"
    return f"{policy_id}_{BROAD.get(name) or uuid.uuid5(uuid.NAMESPACE_OID, key_of(target))}"
