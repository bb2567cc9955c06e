"""The requests to Graph for one policy: itself, all its rows, replacing all rows, creating one."""

import time
from collections.abc import Awaitable
from typing import Any, NamedTuple

from gateway.assignments.looks import Look
from gateway.assignments.pages import pages
from gateway.assignments.rows import Row, RowSet
from gateway.call import Record
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphAnswer, GraphClient, Permit
from gateway.graph.quota import Bid
from gateway.odata import dumps
from gateway.pace import slowly
from gateway.sets import AssignableSet

MAX_READS = 5
# A look after a write: how long Graph may take for each request, from when it is sent. Another look comes soon.
LOOK_S = 10.0


class Asking(NamedTuple):
    """How a read is asked for; see GraphClient.get."""

    deadline: float
    timeout: float | None = None
    urgent: bool = False
    bid: Bid | None = None


class Upstream:
    """One policy of a set in one tenant's Graph. record: where the requests are noted."""

    def __init__(self, graph: GraphClient, of: AssignableSet, policy: str, record: Record | None = None) -> None:
        self._graph, self._of, self._policy, self.record = graph, of, policy, record or Record()
        self.permit = graph.permit
        self._now = time.monotonic
        self._path = f"{of.path}/{policy}"
        self._whole: RowSet | None = None  # the last set that is known to be complete
        self._is_paged = False

    async def read(self, deadline: float, bid: Bid | None = None) -> Look:
        """Every row, for a reader: a list that came in one page is taken as it is. bid: see GraphClient.get."""
        asking = Asking(deadline, bid=bid)
        asked, rows = await self._by_pages(asking)
        return await self._agreed(asked, rows, asking) if self._is_paged else Look(rows, asked)

    async def policy(self, deadline: float, query: str) -> Any:
        """The policy's own JSON. query: options, from `?` on; empty for none."""
        return await self._json(self._graph.get(f"{self._path}{query}", deadline=deadline, record=self.record))

    async def look(self, deadline: float, sent: RowSet | None = None) -> Look:
        """Every row, for a writer, in Graph's order; anything less than all of them is an error. sent: the set that went out
        before, if it is a look after a write: one answer that shows exactly that is enough, however many pages it has.

        Pages are not one snapshot: a row that goes while we page can hide another; and a replica may leave out what others
        have. A set that would be replaced as a whole is therefore taken from two answers that agree, or from one that is what
        was known.
        """
        asking = Asking(deadline, urgent=True) if sent is None else Asking(deadline, LOOK_S, urgent=True)
        asked, by_pages = self._now(), not self._is_paged
        if by_pages:
            asked, found = await self._by_pages(asking)
        else:
            found = await self._in_one_piece(asking)
        as_sent = sent is not None and found.values == sent.values
        as_known = self._whole is not None and found.by_id == self._whole.by_id
        if as_sent or as_known:
            self._whole = found
            return Look(found, asked)
        return await self._agreed(asked, found, asking, by_pages=by_pages)

    async def replace(self, rows: RowSet, permit: Permit, client_request_id: str) -> None:
        """Replaces all rows, in one attempt: a set that had to wait is stale, so the writer, not this, waits and reads anew."""
        body = f"{{{dumps(self._of.parameter)}:{rows.json}}}".encode()
        await self._json(self._graph.post(f"{self._path}/{self._of.action}", body, permit, client_request_id, self.record))

    async def create(self, row: Row, permit: Permit, client_request_id: str) -> Row:
        """POST …/assignments, the documented route, once. The created row."""
        body = dumps(row).encode()
        answer = await self._json(self._graph.post(f"{self._path}/assignments", body, permit, client_request_id, self.record))
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str) or not answer["id"]:
            raise GatewayError(Reason.OUTCOME_UNKNOWN, "Graph's answer is not an assignment.")
        return answer

    async def _agreed(self, asked: float, rows: RowSet, asking: Asking, *, by_pages: bool = True) -> Look:
        """Reads in the one way and in the other in turn, until two answers in a row agree. by_pages: how `rows` were read."""
        for _ in range(MAX_READS):
            then = self._now()
            if by_pages:
                found = await self._in_one_piece(asking)
            else:
                then, found = await self._by_pages(asking)
            if found.by_id == rows.by_id:
                self._whole = found
                return Look(found, asked)
            asked, rows, by_pages = then, found, not by_pages
        raise GatewayError(Reason.SET_CHANGED, retry_after=1.0)

    async def _by_pages(self, asking: Asking) -> tuple[float, RowSet]:
        """When the list was asked for, and its rows."""
        asked = self._now()
        rows, pages = await self._all_rows(f"{self._path}/assignments", "", asking)
        self._is_paged = pages > 1
        return asked, await slowly(RowSet.building(self._of, rows, whole=asking.urgent))

    async def _in_one_piece(self, asking: Asking) -> RowSet:
        """As the policy shows it when it is asked for with its assignments."""
        rows, _ = await self._all_rows(f"{self._path}?$select=id&$expand=assignments", "assignments", asking)
        return await slowly(RowSet.building(self._of, rows, whole=asking.urgent))

    async def _all_rows(self, path: str, of: str, asking: Asking) -> tuple[list[Row], int]:
        """The rows at the path and in the pages that follow it, and how many pages that are. of: the property that has them;
        empty in a list."""
        rows: list[Row] = []
        count = 0

        async def ask(path: str) -> Any:
            return await self._json(self._graph.get(path, **asking._asdict(), record=self.record))

        async for page in pages(ask, path, of):
            rows += page
            count += 1
        return rows, count

    async def _json(self, answer: Awaitable[GraphAnswer]) -> Any:
        """What Graph answered; that it knows no such thing is told of the policy."""
        try:
            return (await answer).json
        except GatewayError as error:
            if error.reason is Reason.NOT_FOUND:
                error.resource = (self._of.policy_type, self._policy)
            raise
