"""Two ways to edit a policy's assignments: through the gateway, and as the tools do it today."""

import asyncio
from dataclasses import dataclass

import aiohttp
from rig import Failure, Rig
from workload import FILTER, Kind, kinds_of

from gateway.emulator import Emulator

FILTER_TYPES = {"none": 0, "include": 2, "exclude": 3}
ANSWERS = {
    "ALREADY_EXISTS": "exists",
    "NOT_FOUND": "missing",
    "INVALID_ARGUMENT": "bad",
    "UNAVAILABLE": "no",
    "RESOURCE_EXHAUSTED": "no",
    "ABORTED": "no",
    "UNKNOWN": "unknown",
    "DEADLINE_EXCEEDED": "unknown",
    "CANCELLED": "unknown",
}


@dataclass
class ThroughGateway:
    """Calls of a caller that has little time now and then."""

    rig: Rig
    timeout: float = 20

    async def _ask(self, operation: str, policy: str, **fields: object) -> object:
        return await self.rig.call(operation, {"deviceCompliancePolicyId": policy, **fields}, timeout=self.timeout)

    async def _answer(self, operation: str, policy: str, **fields: object) -> str:
        answer = await self._ask(operation, policy, **fields)
        return ANSWERS[answer.status] if isinstance(answer, Failure) else "ok"

    async def create(self, policy: str, group: str, kind: Kind, if_exists: str) -> str:
        fields = {"assignment": {"target": proto_target(group, kind)}, "ifExists": ["fail", "keep", "replace"].index(if_exists)}
        return await self._answer("CreateComplianceAssignment", policy, **fields)

    async def update(self, policy: str, group: str, to_group: str, kind: Kind, filter_only: bool) -> str:
        fields = {
            "deviceCompliancePolicyAssignmentId": f"{policy}_{group}",
            "assignment": {"target": proto_target(to_group, kind)},
        }
        if filter_only:
            fields["updateMask"] = "target.deviceAndAppManagementAssignmentFilterId"
        return await self._answer("UpdateComplianceAssignment", policy, **fields)

    async def delete(self, policy: str, group: str) -> str:
        return await self._answer("DeleteComplianceAssignment", policy, deviceCompliancePolicyAssignmentId=f"{policy}_{group}")

    async def replace(self, policy: str, wanted: dict[str, Kind]) -> str:
        assignments = [{"target": proto_target(group, kind)} for group, kind in wanted.items()]
        return await self._answer("ReplaceComplianceAssignments", policy, assignments=assignments)

    async def read(self, policy: str) -> dict[str, Kind] | None:
        page = await self._ask("ListComplianceAssignments", policy, pageSize=1000)
        if isinstance(page, Failure):
            return None
        found = {}
        for row in page.assignments[:1]:
            answer = await self._answer("GetComplianceAssignment", policy, deviceCompliancePolicyAssignmentId=row.id)
            assert answer in ("ok", "missing", "no", "unknown"), answer
        for row in page.assignments:
            member = row.target.WhichOneof("type")
            if row.source == 1 and member in ("group", "exclusion_group"):
                filter_type = row.target.device_and_app_management_assignment_filter_type
                name = {0: "none", 1: "none", 2: "include", 3: "exclude"}[filter_type]
                found[getattr(row.target, member).group_id] = ("group" if member == "group" else "exclusion", name)
        return found

    async def poison(self, policy: str) -> str:
        target = {"configurationManagerCollection": {"collectionId": "1d2e3f40-5162-4738-8495-a6b7c8d9eaf0"}}
        return await self._answer("CreateComplianceAssignment", policy, assignment={"target": target})

    async def settle(self, policy: str) -> None:
        """Edits of a policy come in order: one that has an answer has none before it under way."""
        patient = ThroughGateway(self.rig, 60)
        while await patient.delete(policy, "nobody") != "missing":
            pass


def proto_target(group: str, kind: Kind) -> dict:
    target: dict = {"group" if kind[0] == "group" else "exclusionGroup": {"groupId": group}}
    if kind[1] != "none":
        target |= {
            "deviceAndAppManagementAssignmentFilterId": FILTER,
            "deviceAndAppManagementAssignmentFilterType": FILTER_TYPES[kind[1]],
        }
    return target


@dataclass
class Naive:
    """Read, change, write the whole set: what the tools do. Tries again on an error, for itself."""

    emulator: Emulator
    session: aiohttp.ClientSession

    async def _send(self, method: str, policy: str, action: str, body: object = None) -> tuple[int, dict]:
        url = f"{self.emulator.root}/beta/deviceManagement/deviceCompliancePolicies/{policy}/{action}"
        for _ in range(8):
            try:
                async with self.session.request(method, url, json=body) as response:
                    if response.status < 429:
                        text = await response.text()
                        return response.status, (await response.json()) if text else {}
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        return 500, {}

    async def _rows(self, policy: str) -> list[dict] | None:
        status, body = await self._send("GET", policy, "assignments")
        rows = body.get("value", [])
        while status == 200 and (link := body.get("@odata.nextLink")):
            status, body = await self._send("GET", policy, f"assignments?{link.partition('?')[2]}")
            rows += body.get("value", [])
        return rows if status == 200 else None

    async def _edit(self, policy: str, change) -> str:
        rows = await self._rows(policy)
        if rows is None:
            return "no"
        edited = change([row for row in rows if row["source"] == "direct"])
        if isinstance(edited, str):
            return edited
        status, _ = await self._send("POST", policy, "assign", {"assignments": edited})
        return "ok" if status < 300 else "bad" if status == 400 else "unknown"

    async def create(self, policy: str, group: str, kind: Kind, if_exists: str) -> str:
        def change(rows: list[dict]) -> list[dict] | str:
            existing = next((row for row in rows if row["target"].get("groupId") == group), None)
            if existing is not None and (if_exists == "fail" or kinds_of([existing])[group][0] != kind[0]):
                return "exists"
            if existing is not None and if_exists == "keep":
                return "ok"
            return [*(row for row in rows if row is not existing), {"target": graph_target(group, kind)}]

        return await self._edit(policy, change)

    async def update(self, policy: str, group: str, to_group: str, kind: Kind, filter_only: bool) -> str:
        def change(rows: list[dict]) -> list[dict] | str:
            rest = [row for row in rows if row["target"].get("groupId") != group]
            return "missing" if len(rest) == len(rows) else [*rest, {"target": graph_target(to_group, kind)}]

        return await self._edit(policy, change)

    async def delete(self, policy: str, group: str) -> str:
        def change(rows: list[dict]) -> list[dict] | str:
            rest = [row for row in rows if row["target"].get("groupId") != group]
            return "missing" if len(rest) == len(rows) else rest

        return await self._edit(policy, change)

    async def replace(self, policy: str, wanted: dict[str, Kind]) -> str:
        return await self._edit(policy, lambda _: [{"target": graph_target(group, kind)} for group, kind in wanted.items()])

    async def read(self, policy: str) -> dict[str, Kind] | None:
        rows = await self._rows(policy)
        return None if rows is None else kinds_of(rows)

    async def poison(self, policy: str) -> str:
        return "bad"

    async def settle(self, policy: str) -> None:
        pass


def graph_target(group: str, kind: Kind) -> dict:
    name = "groupAssignmentTarget" if kind[0] == "group" else "exclusionGroupAssignmentTarget"
    target = {"@odata.type": f"#microsoft.graph.{name}", "groupId": group}
    if kind[1] != "none":
        target |= {"deviceAndAppManagementAssignmentFilterId": FILTER, "deviceAndAppManagementAssignmentFilterType": kind[1]}
    return target
