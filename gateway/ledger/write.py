"""The record of one write from claim to answer: the ledger has its intent, and what is sent, before anything is sent to Graph,
and its outcome before it is answered; a retry later gets the stored answer."""

import asyncio
import logging
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from google.protobuf.message import Message

from gateway.call import Record
from gateway.changes import NOTHING
from gateway.entry import OK, Entry
from gateway.errors import GatewayError, Reason
from gateway.ledger.ledger import Ledger
from gateway.operations import OPERATIONS

log = logging.getLogger(__name__)

RETRY_S = 1.0
# Of a write whose row was gone before it could be answered.
REMOVED = "Another writer has removed the assignment since."
# Of a write whose entry somebody has changed in the database.
FORGED = "The ledger's entry of this request was altered, so its outcome is unknown; read the policy's assignments."


class Answered(NamedTuple):
    """The result of a write. replayed: its entry, if it had been answered before."""

    result: Message | GatewayError
    replayed: Entry | None = None


@dataclass(eq=False)
class Write:
    """entry: the current state. record: of the call that began it. deadline: the latest of all callers that wait for it, event
    loop's clock. recovered: whether it was left by another process: then nobody waits, and it is only found out about, not
    carried out. is_claimed: whether it holds its request ID, and so has an entry. waiting: how many callers wait for it."""

    ledger: Ledger
    entry: Entry
    record: Record
    deadline: float
    recovered: bool = False
    is_claimed: bool = False
    task: "asyncio.Task[Answered]" = field(init=False)
    waiting: int = 0

    async def join(self, deadline: float) -> Answered:
        """Waits for the answer. The write goes on until the latest deadline of all that wait."""
        self.waiting += 1
        self.deadline = max(self.deadline, deadline)
        try:
            return await asyncio.shield(self.task)
        finally:
            self.waiting -= 1

    async def claim(self) -> Entry | None:
        """Claims the request ID. None: this gateway holds it now; an entry: it was answered before. Raises REQUEST_ID_REUSED,
        REQUEST_IN_PROGRESS, LEDGER_UNAVAILABLE, and OUTCOME_UNKNOWN if the entry was changed in the database."""
        claim = await self.ledger.claim(self.entry)
        if claim.answer == "forged":
            log.error(
                "an entry is forged: its answer is not sent", extra={"entry": claim.entry.id, "position": claim.entry.position}
            )
            raise GatewayError(Reason.OUTCOME_UNKNOWN, FORGED)
        if claim.entry.digest != self.entry.digest:
            raise GatewayError(Reason.REQUEST_ID_REUSED)
        if claim.answer == "running":
            raise GatewayError(Reason.REQUEST_IN_PROGRESS, retry_after=RETRY_S)
        self.entry, self.is_claimed = claim.entry, True
        return claim.entry if claim.answer == "done" else None

    def sending(
        self, part: bytes, route: str, client_request_id: str, changes: bytes | None = None, etag_before: str = ""
    ) -> Entry:
        """The entry as it has to be in the ledger before anything is sent. changes, etag_before: see Entry."""
        facts: dict[str, Any] = {"changes": changes, "etag_before": etag_before}
        return replace(self.entry, sent=part, route=route, client_request_id=client_request_id, **facts)

    def sent(self, number: int, entry: Entry) -> None:
        """The entry is in the ledger, with the revision that it is a part of."""
        self.entry = replace(entry, revision=number)

    def did(self, changes: bytes | None, etag_before: str, etag: str) -> None:
        """What it did to the policy's rows, as it was read back; see Entry."""
        self.entry = replace(self.entry, changes=changes, etag_before=etag_before, etag=etag)

    def unsent(self) -> None:
        """What was recorded as sent was certainly not carried out."""
        self.entry = replace(self.entry, sent=None, revision=None, changes=NOTHING, etag_before="", etag="")

    def replay(self, done: Entry) -> Answered:
        """What was answered before."""
        if done.outcome != OK:
            return Answered(GatewayError(Reason[done.outcome], (done.answer or b"").decode() or REMOVED), done)
        return Answered(OPERATIONS[done.operation].response.FromString(done.answer or b""), done)

    async def finish(self, result: Message | GatewayError) -> Answered:
        """Records the outcome, then answers whoever waits. An outcome that the ledger could not record is not answered as
        done."""
        entry = _with_facts(self.entry, self.record)
        if isinstance(result, Message):
            entry = entry.finished(OK, result.SerializeToString())
        elif entry.sent is not None and result.reason is Reason.SET_CHANGED:
            # It was carried out, or may have been: it is not carried out again.
            entry = entry.finished(result.reason.name, result.message.encode())
        elif entry.sent is not None:  # no other error says what became of it
            entry = entry.uncertain(result.reason.name)
        else:
            entry = entry.finished(result.reason.name)
        try:
            taken = entry.id in await self.ledger.update([entry])
        except GatewayError as error:
            return Answered(error)
        self.entry = entry
        if not taken and isinstance(result, Message):
            return Answered(
                GatewayError(
                    Reason.OUTCOME_UNKNOWN,
                    "The write was carried out, but the ledger could not record that yet.",
                    retry_after=RETRY_S,
                )
            )
        return Answered(result)


def _with_facts(entry: Entry, record: Record) -> Entry:
    """The entry with what the record has learnt of the write in Graph."""
    facts = record.facts
    status, foreign = facts.get("graph_status"), facts.get("foreign_changes")
    return replace(
        entry,
        route=str(facts.get("route") or entry.route),
        client_request_id=str(facts.get("client_request_id") or entry.client_request_id),
        graph_request_id=str(facts.get("graph_request_id") or ""),
        graph_status=status if isinstance(status, int) else None,
        assignment=str(facts.get("assignment") or entry.assignment),
        shared_by=int(str(facts.get("shared_by") or 0)),
        foreign_changes=int(str(foreign or 0)),
    )
