"""Nobody is told that an edit of several rows was not carried out while a part of it shows."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from at_rest import at_rest, effects, groups, until
from edits_over_the_wire import ASSIGN, LIST, group, guid
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GRAPH = {"create_route": "assign", "lag_s": 0.3, "late_s": 1, "doubt_s": 0.2}
CREATE = [{"create": {"assignment": {"target": group(number)}}} for number in (1, 2)]
DELETE = [{"delete": {"id": f"{EMPTY}_{guid(number)}"}} for number in (1, 2)]


async def ask(rig: Rig, request_id: str, **fields: Any) -> Any:
    operation = "EditComplianceAssignments" if "edits" in fields else "RestoreComplianceAssignments"
    return await rig.call(operation, {"deviceCompliancePolicyId": EMPTY, "requestId": request_id, **fields})


@pytest.mark.parametrize("asked_of", ["the same gateway", "the next one", "nobody"])
@pytest.mark.parametrize("operation", ["edit", "restore"])
async def test_others_change_a_row_before_anybody_looks(live: Emulator, tmp_path: Path, operation: str, asked_of: str):
    """Both rows are created in one write, whose answer is lost. Then others remove one."""
    live.world.graph.page_size = 100
    sections = {"graph": GRAPH, "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db", "lease_s": 1}}
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(gateway(live, **sections))
        fields: dict[str, Any] = {"edits": CREATE}
        if operation == "restore":
            await ask(rig, "made", edits=CREATE)
            await ask(rig, "gone", edits=DELETE)
            fields = {"entry": rig.entries(request_id="gone")[0].id}
            await at_rest(rig)
        # The look before the write, the write, and the looks for it.
        live.world.faults.order([Fault(**LIST), Fault(**ASSIGN, cut="after"), Fault(**LIST, status=403, times=1000)])
        assert (await ask(rig, "once", **fields)).reason == "OUTCOME_UNKNOWN"
        assert groups(live) == {guid(1), guid(2)}
        rows = live.world.intune.policies[EMPTY].rows
        live.world.intune.set_rows(EMPTY, [row for row in rows if row["target"]["groupId"] == guid(1)])
        if asked_of != "the same gateway":
            await stack.aclose()
            rig = await stack.enter_async_context(gateway(live, **sections))
        live.world.faults.clear()
        if asked_of == "nobody":
            await until(lambda: rig.entries(request_id="once")[0].state == "finished")
        async with asyncio.timeout(60):
            while (answer := await ask(rig, "once", **fields)).reason in ("OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS"):
                await asyncio.sleep(0.1)
        assert isinstance(answer, Failure)
        assert (answer.status, answer.reason) == ("ABORTED", "SET_CHANGED"), answer
        assert "may" in answer.message
        assert (await ask(rig, "once", **fields)).message == answer.message, "replayed"
        [entry] = rig.entries(request_id="once")
        assert (entry.state, entry.outcome, entry.changes) == ("finished", "SET_CHANGED", None)
        await at_rest(rig)
    assert groups(live) == {guid(1)}
    assert effects(live)[-1].by == "control", "nothing was written since"
