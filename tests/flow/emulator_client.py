"""A plain client of the emulator's Graph, with a token, and of its control port."""

import json
from typing import Any

import aiohttp

from gateway.emulator import Emulator

TYPE, GRAPH = "@odata.type", "#microsoft.graph."


def target(name: str, **more: object) -> dict[str, Any]:
    """A row as `/assign` accepts it, such as target("allDevices")."""
    return {"target": {TYPE: f"{GRAPH}{name}AssignmentTarget", **more}}


DEVICES, USERS = target("allDevices"), target("allLicensedUsers")


class Client:
    """Answers are (status, JSON, text or None, headers)."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession) -> None:
        self.emulator, self.session = emulator, session
        self.token = session.headers["Authorization"].removeprefix("Bearer ")

    async def send(
        self, method: str, path: str, body: object = None, version: str = "beta", token: str | None = None, by: str = ""
    ) -> tuple:
        """by: the client-request-id to send."""
        url = (
            path
            if path.startswith("https")
            else f"{self.emulator.root}/{version}/deviceManagement/deviceCompliancePolicies{path}"
        )
        headers = {"Authorization": f"Bearer {token or self.token}", **({"client-request-id": by} if by else {})}
        async with self.session.request(method, url, json=body, headers=headers) as response:
            text = await response.text()
            body = json.loads(text) if text and response.content_type == "application/json" else text or None
            return response.status, body, dict(response.headers)

    async def send_text(self, method: str, path: str, text: str) -> tuple[int, Any]:
        """Sends a body that need not be JSON. Returns status and JSON."""
        url = f"{self.emulator.root}/beta/deviceManagement/deviceCompliancePolicies{path}"
        headers = {"Content-Type": "application/json"}
        async with self.session.request(method, url, data=text, headers=headers) as response:
            return response.status, await response.json()

    async def assign(self, policy: str, *rows: dict, version: str = "beta", by: str = "") -> tuple:
        return await self.send("POST", f"/{policy}/assign", {"assignments": list(rows)}, version, by=by)

    async def pages(self, path: str) -> list[list[dict]]:
        """All pages of a list."""
        found: list[list[dict]] = []
        link: str | None = path
        while link:
            status, body, _ = await self.send("GET", link)
            assert status == 200, body
            found.append(body["value"])
            link = body.get("@odata.nextLink")
        return found

    async def control(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        """A request to the control port."""
        async with self.session.request(method, f"{self.emulator.control}{path}", json=body) as response:
            answer = await response.json()
            assert response.status == status, answer
            return answer
