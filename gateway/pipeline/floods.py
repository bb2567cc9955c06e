"""Refusals that may come in floods, from callers that nobody knows or that are too busy: the first of a kind becomes an entry
at once, those alike in the second after it one more, with how many they were. Whoever knocks a million times must not fill the
disk."""

import asyncio
from dataclasses import replace

from gateway.entry import Entry
from gateway.ledger.ledger import Ledger

SECOND = 1.0


Kind = tuple[str, str, str]


class Floods:
    """Counts refusals by caller, operation and outcome."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._counted: dict[Kind, Entry] = {}
        self._tasks: dict[Kind, asyncio.Task[None]] = {}

    def refused(self, entry: Entry) -> None:
        """One more. Waits for nothing: it has no claim on our time."""
        kind = entry.caller, entry.operation, entry.outcome
        if kind in self._tasks:
            first = self._counted.get(kind)
            self._counted[kind] = replace(first, times=first.times + 1) if first else entry
        else:
            self._tasks[kind] = asyncio.create_task(self._keep(kind, entry), name="refusals")

    async def close(self) -> None:
        """Writes down what is still only counted."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._ledger.update(list(self._counted.values()))

    async def _keep(self, kind: Kind, entry: Entry | None) -> None:
        while entry is not None:
            await self._ledger.update([entry])
            await asyncio.sleep(SECOND)
            entry = self._counted.pop(kind, None)
        del self._tasks[kind]
