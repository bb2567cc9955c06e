"""Two ways to edit a policy's assignments: through gateways, and as existing tools do it."""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from asks import BAD, EXISTS, MISSING, OK, Kind, Op, Value, step
from moves import value_of
from rig import Failure, Rig

from gateway.emulator import Emulator
from gateway.ledger.ledger import LedgerError

FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"
FILTER_TYPES = {"none": 0, "include": 2, "exclude": 3}
COLLECTION = {"configurationManagerCollection": {"collectionId": "1d2e3f40-5162-4738-8495-a6b7c8d9eaf0"}}
# What a caller asks again about, under the same request id.
NOT_NOW = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED")


@dataclass(frozen=True)
class Answer:
    """name: OK, the status of a refusal, or "" if the attempt should be repeated. unknown: whether the outcome is unknown.
    wait: seconds until the next attempt."""

    name: str
    unknown: bool = False
    wait: float = 0.05


@dataclass
class ThroughGateways:
    """Each attempt goes to a random gateway."""

    rigs: Sequence[Rig]
    rng: random.Random

    async def attempt(self, policy: str, op: Op, request_id: str, timeout: float) -> Answer:
        operation, fields = request_for(policy, op)
        if op.name == "undo":
            fields = {"entry": await self._entry(op.undoes)}
        request = {"deviceCompliancePolicyId": policy, "requestId": request_id, **fields}
        answer = await self.rng.choice(self.rigs).call(operation, request, timeout=timeout)
        if not isinstance(answer, Failure):
            return Answer(OK)
        if answer.status in NOT_NOW:
            return Answer("", answer.reason == "OUTCOME_UNKNOWN", min(answer.retry_after or 0.05, 1.0))
        return Answer(answer.status if answer.status in (EXISTS, MISSING, BAD) else f"{answer.status} {answer.reason}")

    async def _entry(self, request_id: str) -> str:
        """The ID of the entry that was carried out under this request ID. Retries while the database is busy."""
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(LedgerError):
                    entries = await asyncio.to_thread(self.rigs[0].entries, request_id=request_id)
                    return next(entry.id for entry in entries if entry.outcome == OK)
                await asyncio.sleep(0.5)

    async def read(self, policy: str) -> None:
        rig = self.rng.choice(self.rigs)
        page = await rig.call("ListComplianceAssignments", {"deviceCompliancePolicyId": policy, "pageSize": 1000})
        for row in [] if isinstance(page, Failure) else page.assignments[:1]:
            fields = {"deviceCompliancePolicyId": policy, "deviceCompliancePolicyAssignmentId": row.id}
            await rig.call("GetComplianceAssignment", fields)


def request_for(policy: str, op: Op) -> tuple[str, dict]:  # noqa: PLR0911 - a table
    """The RPC and the fields of its request for an operation."""
    row_id = {"deviceCompliancePolicyAssignmentId": f"{policy}_{op.group}"}
    match op.name:
        case "create":
            if_exists = ["fail", "keep", "replace"].index(op.if_exists)
            return "CreateComplianceAssignment", {"assignment": proto_row(op.group, op.kind), "ifExists": if_exists}
        case "undo":
            return "RestoreComplianceAssignments", {}
        case "edit":
            return "EditComplianceAssignments", {"edits": [edit_for(policy, part) for part in op.parts]}
        case "poison":
            return "CreateComplianceAssignment", {"assignment": {"target": COLLECTION}}
        case "delete":
            return "DeleteComplianceAssignment", row_id
        case "replace":
            rows = [proto_row(group, kind) for group, kind in op.whole if kind is not None]
            return "ReplaceComplianceAssignments", {"assignments": rows}
    mask = {"updateMask": "target.deviceAndAppManagementAssignmentFilterId"} if op.filter_only else {}
    return "UpdateComplianceAssignment", {**row_id, "assignment": proto_row(op.to or op.group, op.kind), **mask}


def edit_for(policy: str, op: Op) -> dict:
    """The operation as one edit of EditComplianceAssignments."""
    fields = request_for(policy, op)[1]
    if (row_id := fields.pop("deviceCompliancePolicyAssignmentId", None)) is not None:
        fields["id"] = row_id
    return {"update" if op.name == "move" else op.name: fields}


def proto_row(group: str, kind: Kind) -> dict:
    target: dict = {"group" if kind[0] == "group" else "exclusionGroup": {"groupId": group}}
    if kind[1] != "none":
        target |= {
            "deviceAndAppManagementAssignmentFilterId": FILTER,
            "deviceAndAppManagementAssignmentFilterType": FILTER_TYPES[kind[1]],
        }
    return {"target": target}


@dataclass
class Naive:
    """Reads, changes and writes the whole set, as existing tools do. Retries each request on an error."""

    emulator: Emulator
    session: aiohttp.ClientSession

    async def attempt(self, policy: str, op: Op, request_id: str, timeout: float) -> Answer:
        rows = await self._rows(policy)
        if rows is None:
            return Answer("")
        name, changes = step(op, {group: _value(rows, group) for group in op.groups})
        if name != OK:
            return Answer(name)
        kept = [row for row in rows if op.name != "replace" and row["target"].get("groupId") not in changes]
        added = [graph_row(group, kind) for group, kind in changes.items() if kind is not None]
        status, _ = await self._send("POST", policy, "assign", {"assignments": kept + added})
        return Answer(OK if status < 300 else BAD if status == 400 else "", unknown=True)

    async def read(self, policy: str) -> None:
        await self._rows(policy)

    async def _send(self, method: str, policy: str, action: str, body: object = None) -> tuple[int, dict]:
        url = f"{self.emulator.root}/beta/deviceManagement/deviceCompliancePolicies/{policy}/{action}"
        for _ in range(8):
            try:
                headers = {"client-request-id": str(uuid.uuid4())}
                async with self.session.request(method, url, json=body, headers=headers) as response:
                    if response.status < 401:
                        text = await response.text()
                        return response.status, (await response.json()) if text else {}
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        return 500, {}

    async def _rows(self, policy: str) -> list[dict] | None:
        """The direct rows; None if they cannot be read."""
        status, body = await self._send("GET", policy, "assignments")
        rows = body.get("value", [])
        while status == 200 and (link := body.get("@odata.nextLink")):
            status, body = await self._send("GET", policy, f"assignments?{link.partition('?')[2]}")
            rows += body.get("value", [])
        return [row for row in rows if row["source"] == "direct"] if status == 200 else None


def _value(rows: list[dict], group: str) -> Value:
    return value_of(next((row for row in rows if row["target"].get("groupId") == group), None))


def graph_row(group: str, kind: Kind) -> dict:
    name = "groupAssignmentTarget" if kind[0] == "group" else "exclusionGroupAssignmentTarget"
    target = {"@odata.type": f"#microsoft.graph.{name}", "groupId": group}
    if kind[1] != "none":
        target |= {"deviceAndAppManagementAssignmentFilterId": FILTER, "deviceAndAppManagementAssignmentFilterType": kind[1]}
    return {"target": target}
