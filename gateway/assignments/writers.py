"""The writers of all policies: made on demand, gone when idle."""

import asyncio
from collections.abc import Mapping

from gateway.assignments.edits import Edit
from gateway.assignments.pending import Pending, Written
from gateway.assignments.writer import PolicyWriter, Tools
from gateway.call import Call
from gateway.graph.client import GraphClient
from gateway.metrics import EDITS_WAITING


class Writers:
    """graphs: tenant name -> client."""

    def __init__(self, graphs: Mapping[str, GraphClient], tools: Tools) -> None:
        self.graphs, self._tools = graphs, tools
        self._alive: dict[tuple[str, str], PolicyWriter] = {}

    def __len__(self) -> int:
        return len(self._alive)

    async def carry_out(self, call: Call, policy: str, edit: Edit) -> Written:
        """Waits until the edit has come to something. Raises GatewayError."""
        name = (call.tenant, policy)
        if name not in self._alive:
            self._alive[name] = PolicyWriter(name, self.graphs[call.tenant], self._tools, lambda: self._alive.pop(name))
        pending = Pending.of(edit, call)
        self._alive[name].take(pending)
        with EDITS_WAITING.labels(call.tenant).track_inprogress():
            return await pending.future

    async def close(self, grace: float) -> None:
        """Lets running work end within `grace` seconds, then closes the locks."""
        tasks = [writer.task for writer in self._alive.values() if writer.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._tools.locks.close()
