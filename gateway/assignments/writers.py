"""The writers of all policies: created on demand, removed when idle and settled."""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.assignments.edits import Edit
from gateway.assignments.pending import Pending, Written, decoded
from gateway.assignments.policy import WriterDeps
from gateway.assignments.preview import Preview, Previewed
from gateway.assignments.writer import PolicyWriter
from gateway.errors import GatewayError, Reason
from gateway.graph.client import GraphClient
from gateway.ledger.write import Write
from gateway.metrics import EDITS_WAITING
from gateway.revision import PolicyName
from gateway.sets import SETS, AssignableSet


class Writers:
    """graphs: tenant name -> client."""

    def __init__(self, graphs: Mapping[str, GraphClient], deps: WriterDeps) -> None:
        self.graphs, self._deps = graphs, deps
        self._alive: dict[PolicyName, PolicyWriter] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._alive)

    async def carry_out(self, write: Write, of: AssignableSet, policy: str, edit: Edit) -> Written:
        """Carries out the edit, and waits for its outcome. Raises GatewayError."""
        tenant, before = write.entry.tenant, write.entry.sent
        pending = Pending(edit, write, decoded(of, before) if before else None)
        if self._closed:  # its request ID was still being claimed when `close` failed the other edits
            pending.fail(GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0))
            return await pending.future
        self._writer(PolicyName(tenant, of.name, policy), of).take(pending)
        with EDITS_WAITING.labels(tenant).track_inprogress():
            return await pending.future

    async def preview(self, name: PolicyName, of: AssignableSet, edit: Edit, deadline: float) -> Previewed:
        """What the edit would change. deadline: event loop's clock. Raises GatewayError."""
        preview = Preview(edit, deadline)
        if self._closed:
            raise GatewayError(Reason.SHUTTING_DOWN, retry_after=1.0)
        self._writer(name, of).show(preview)
        return await preview.future

    def watch(self, names: Sequence[PolicyName]) -> None:
        """Takes over the watch of these policies."""
        for name in () if self._closed else names:
            if name.tenant in self.graphs and name.set in SETS:
                self._writer(name, SETS[name.set]).watch()

    async def close(self, grace: float) -> None:
        """Lets running work end within `grace` seconds, then accepts no more. Writes that are only watched are left to another
        gateway: they are in the ledger."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        while loop.time() < end and (busy := [w.task for w in self._alive.values() if not w.is_idle]):
            await asyncio.wait(busy, timeout=0.02)
        self._closed = True
        tasks = [writer.task for writer in self._alive.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _writer(self, name: PolicyName, of: AssignableSet) -> PolicyWriter:
        if name not in self._alive:
            self._alive[name] = PolicyWriter(name, of, self.graphs[name.tenant], self._deps, lambda: self._alive.pop(name))
        return self._alive[name]
