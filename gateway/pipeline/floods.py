"""Keeps floods of refusals (of unknown, unpermitted or busy callers) from filling the disk: the first refusal of a kind becomes
an entry at once, equal ones in the following second become one more entry with their number."""

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import Any

from gateway.entry import Entry
from gateway.errors import GatewayError
from gateway.ledger.ledger import Ledger
from gateway.logs import log_bug

log = logging.getLogger(__name__)

SECOND = 1.0
# Equal refusals may differ in these fields; the entry for several has only what they have in common.
OF_EACH = ("tenant", "policy", "target", "assignment", "request_id", "correlation_id")
# The most (tenant, policy) keys of one caller at a time; further refusals of the caller are counted together.
KINDS_OF_A_CALLER = 20

Alike = tuple[str, ...]


class Floods:
    """Counts refusals by caller, operation and outcome; for known callers also by tenant and policy."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._counted: dict[Alike, Entry] = {}
        self._tasks: dict[Alike, asyncio.Task[None]] = {}
        self._kinds: Counter[str] = Counter()

    @property
    def busy(self) -> bool:
        """Whether a refusal that equals an earlier one would only be counted."""
        return bool(self._tasks)

    def refused(self, entry: Entry) -> "asyncio.Task[None] | None":
        """Counts a refusal. For the first of a kind it returns the task that writes the entry, for known callers to wait for;
        the task never fails."""
        kind = self._kind(entry)
        if kind in self._tasks:
            counted = self._counted.get(kind)
            self._counted[kind] = _together(counted, entry) if counted else entry
            return None
        writing = asyncio.create_task(self._write([entry]), name="refusal")
        self._tasks[kind] = asyncio.create_task(self._keep(kind, writing), name="refusals")
        self._kinds[entry.caller] += 1
        return writing

    async def close(self) -> None:
        """Writes the entries of what is only counted so far."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._write(list(self._counted.values()))

    def _kind(self, entry: Entry) -> Alike:
        """The key of equal refusals. Tenant and policy as given by unknown callers do not count, and those of known callers
        only up to KINDS_OF_A_CALLER, so that nobody can make keys at will."""
        alike = entry.caller, entry.operation, entry.outcome
        place = (*alike, entry.tenant, entry.policy)
        if entry.caller and (place in self._tasks or self._kinds[entry.caller] < KINDS_OF_A_CALLER):
            return place
        return alike

    async def _keep(self, kind: Alike, writing: "asyncio.Task[None]") -> None:
        try:
            await asyncio.shield(writing)
            await asyncio.sleep(SECOND)
            while (entry := self._counted.pop(kind, None)) is not None:
                await self._write([entry])
                await asyncio.sleep(SECOND)
        finally:
            await writing
            del self._tasks[kind]
            self._kinds[kind[0]] -= 1
            if not self._kinds[kind[0]]:
                del self._kinds[kind[0]]

    async def _write(self, entries: list[Entry]) -> None:
        try:
            taken = await self._ledger.update(entries)
        except GatewayError:
            taken = set()
        except Exception as exc:  # noqa: BLE001 - those alike would be counted for ever, and never be written down
            taken = set()
            log_bug(log, exc, task="refusals")
        for entry in entries:
            if entry.id not in taken:
                log.warning(
                    "a refusal could not be recorded in the ledger", extra={"operation": entry.operation, "times": entry.times}
                )


def _together(counted: Entry, entry: Entry) -> Entry:
    """One entry for both refusals."""
    differ: dict[str, Any] = {name: "" for name in OF_EACH if getattr(counted, name) != getattr(entry, name)}
    return replace(counted, times=counted.times + 1, **differ)
