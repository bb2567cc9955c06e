"""What the domain asks of Graph for one policy: all rows, all rows replaced, one row created. Always beta: v1.0 hides
filters and source, and a merge through it would drop them (graph-facts §2)."""

from typing import Any

from gateway.assignments.rows import Row
from gateway.call import Record
from gateway.errors import GatewayError, Reason
from gateway.graph.client import Answer, GraphClient

POLICIES = "/beta/deviceManagement/deviceCompliancePolicies"
MAX_PAGES = 1000
MAX_READS = 5


class Upstream:
    """One policy in one tenant's Graph. record: where the requests are noted."""

    def __init__(self, graph: GraphClient, policy: str, record: Record) -> None:
        self._graph, self._policy, self.record = graph, policy, record

    async def write_turn(self, deadline: float) -> None:
        """Waits for the turn of a write in the tenant's quota. Raises QUOTA_EXHAUSTED."""
        await self._graph.quota.writes.take(deadline)

    def give_back_turn(self) -> None:
        """The turn was not needed."""
        self._graph.quota.writes.give_back()

    async def rows(self, deadline: float) -> list[Row]:
        """Every row, in Graph's order; anything less than all of them is an error.

        Pages are not one snapshot: a row that goes while we page can hide another. A set of several pages is therefore
        read until two reads agree.
        """
        rows, pages = await self._read(deadline)
        for _ in range(MAX_READS):
            if pages == 1:
                return rows
            before = rows
            rows, pages = await self._read(deadline)
            if rows == before:
                return rows
        raise GatewayError(Reason.SET_CHANGED, retry_after=1.0)

    async def replace(self, rows: list[Row], deadline: float, client_request_id: str) -> None:
        """POST …/assign, once: a set that had to wait is stale, so waiting and sending anew is the writer's."""
        await self._send("POST", "assign", {"assignments": rows}, deadline, client_request_id)

    async def create(self, row: Row, deadline: float, client_request_id: str) -> Row:
        """POST …/assignments, the documented route, once. The created row."""
        answer = await self._send("POST", "assignments", row, deadline, client_request_id)
        if not isinstance(answer.json, dict) or not isinstance(answer.json.get("id"), str) or not answer.json["id"]:
            raise GatewayError(Reason.OUTCOME_UNKNOWN, "Graph's answer is no assignment.")
        return answer.json

    async def _read(self, deadline: float) -> tuple[list[Row], int]:
        rows: list[Row] = []
        links: list[str] = []
        answer = await self._send("GET", "assignments", None, deadline)
        while True:
            body = answer.json
            if not isinstance(body, dict) or not isinstance(body.get("value"), list):
                raise _unreadable("a page without rows")
            if not all(isinstance(row, dict) for row in body["value"]):
                raise _unreadable("a row that is no object")
            rows += body["value"]
            link = body.get("@odata.nextLink")
            if link is None:
                return rows, len(links) + 1
            if not isinstance(link, str) or not link.startswith("https://") or link in links or len(links) == MAX_PAGES:
                raise _unreadable("a next link that leads nowhere")
            links.append(link)
            answer = await self._graph.send("GET", link, None, deadline=deadline, record=self.record)

    async def _send(self, method: str, action: str, body: Any, deadline: float, client_request_id: str = "") -> Answer:
        path = f"{POLICIES}/{self._policy}/{action}"
        try:
            return await self._graph.send(
                method, path, body, deadline=deadline, record=self.record, client_request_id=client_request_id
            )
        except GatewayError as error:
            if error.reason is Reason.NOT_FOUND:
                error.resource = ("deviceCompliancePolicy", self._policy)
            raise


def _unreadable(what: str) -> GatewayError:
    return GatewayError(Reason.GRAPH_ANSWER_UNREADABLE, f"Graph's list of assignments has {what}; nothing was written.")
