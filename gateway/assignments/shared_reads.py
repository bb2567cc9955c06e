"""Concurrent readers of one policy share a read. Each reader gets the next read that starts after it came, never one that had
started before: so it reads its own writes.

A read starts at once if none is running. While one runs, readers that come gather for the next. The next read starts when the
running one has ended and its readers have had time to come again, but at most a tenth of a second after its first reader came.
Each reader has its own deadline and may leave; when the last one leaves, the read is cancelled. All readers of a read get its
result, also an error.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.assignments.drift import Drift
from gateway.assignments.rows import RowSet
from gateway.assignments.upstream import Upstream
from gateway.call import Record
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphClient
from gateway.graph.quota import ANSWER_S, Bid, Bidder
from gateway.pace import rest
from gateway.revision import PolicyName
from gateway.sets import AssignableSet

GATHERING_S = 0.1
AGAIN_S, ALL_AGAIN_S = 0.002, 0.05  # for each reader of the previous read; and the maximum


class Reader(NamedTuple):
    """A waiting reader. until: its deadline, event loop's clock."""

    caller: str
    until: float


Readers = dict["asyncio.Future[RowSet | None]", Reader]


@dataclass(eq=False)
class Reading:
    """One shared read. bid: its turn, for all its readers; open until something is sent. readers: those that wait for it; each
    gets the rows, or None if it has to read by itself. deadline: of the read: the latest of its readers' when it started."""

    bid: Bid
    record: Record = field(default_factory=Record)
    readers: Readers = field(default_factory=dict)
    callers: int = 0
    deadline: float = 0.0
    task: "asyncio.Task[None] | None" = None

    @property
    def facts(self) -> dict[str, object]:
        """For the record of each who shares it."""
        return self.record.facts | ({"shared_by": self.callers} if self.callers > 1 else {})

    def waiting(self) -> "list[asyncio.Future[RowSet | None]]":
        """Who has not been told anything."""
        return [reader for reader in self.readers if not reader.done()]


class SharedReads:
    """graphs: tenant name -> client. drift: gets every set that is read."""

    def __init__(self, graphs: Mapping[str, GraphClient], drift: Drift) -> None:
        self._graphs, self._drift = graphs, drift
        self._newest: dict[PolicyName, Reading] = {}

    async def read(self, name: PolicyName, of: AssignableSet, deadline: float, record: Record) -> RowSet:
        """All rows of the policy, for the caller of the record. Raises GatewayError."""
        reader = Reader(record.caller, deadline)
        rows = await self._shared(name, of, reader, record) if self._may_wait(name, reader) else None
        if rows is None:
            rows = (await Upstream(self._graphs[name.tenant], of, name.policy, record).read(deadline)).rows
            self._drift.read(name, rows)
        return rows

    async def _shared(self, name: PolicyName, of: AssignableSet, reader: Reader, record: Record) -> RowSet | None:
        """None for who has to ask by itself."""
        bidder, newest = Bidder(reader.caller), self._newest.get(name)
        if newest is not None and newest.bid.is_open:
            reading = newest
            reading.bid.join(bidder)
        else:
            reading = self._newest[name] = Reading(Bid.of(bidder))
            reading.task = asyncio.create_task(self._carry_out(name, of, reading, newest), name="read")
        own: asyncio.Future[RowSet | None] = asyncio.get_running_loop().create_future()
        reading.readers[own] = reader
        reading.callers += 1
        try:
            rows = await own
            if reading.callers > 1:  # all wake at once, and answer in turns
                await rest()
        except GatewayError as error:
            is_of_time = error.retry_after is not None or error.reason is Reason.DEADLINE_EXCEEDED
            if is_of_time and reader.until > reading.deadline:
                return None
            raise
        finally:
            record.note(**reading.facts)
            del reading.readers[own]
            if not reading.readers and reading.task is not None:
                reading.task.cancel()
                self._end(name, reading)
        return rows

    async def _carry_out(self, name: PolicyName, of: AssignableSet, reading: Reading, before: Reading | None) -> None:
        try:
            if before is not None:
                await _gathered(before)
                for own in reading.waiting():
                    if not self._may_wait(name, reading.readers[own]):
                        own.set_result(None)
            if not (waiting := reading.waiting()):
                return
            reading.deadline = max(reading.readers[own].until for own in waiting)
            upstream = Upstream(self._graphs[name.tenant], of, name.policy, reading.record)
            rows = (await upstream.read(reading.deadline, reading.bid)).rows
            self._drift.read(name, rows)
        except Exception as exc:  # noqa: BLE001 - it is each reader's, whose audit tells of it
            for own in reading.waiting():
                own.set_exception(exc.copy() if isinstance(exc, GatewayError) else exc)
        else:
            for own in reading.waiting():
                own.set_result(rows)
        finally:
            self._end(name, reading)

    def _end(self, name: PolicyName, reading: Reading) -> None:
        """Nobody joins it any more."""
        reading.bid.is_open = False
        if self._newest.get(name) is reading:
            del self._newest[name]

    def _may_wait(self, name: PolicyName, reader: Reader) -> bool:
        """False for who would get its turn too late: by itself it is told so at once, and when to come again."""
        turns = self._graphs[name.tenant].quota.requests
        return not turns.are_scarce or turns.now() + turns.wait_now(reader.caller) < reader.until - ANSWER_S


async def _gathered(before: Reading) -> None:
    """Waits for readers that come while another read is running."""
    now = asyncio.get_running_loop().time
    enough = now() + min(before.callers * AGAIN_S, ALL_AGAIN_S)
    if before.task is not None:
        await asyncio.wait({before.task}, timeout=GATHERING_S)
    await asyncio.sleep(max(enough - now(), 0.0))
