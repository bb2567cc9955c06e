"""The outcome of a restoration is found by its request ID, even after the revision that it undoes has expired."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from edits_over_the_wire import ASSIGN, MERGE
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import FILTERED, WINDOWS


async def ask(rig: Rig, operation: str, **fields: Any) -> Any:
    return await rig.call(operation, {"deviceCompliancePolicyId": WINDOWS, **fields})


def forget_revision(rig: Rig, number: int) -> None:
    """Removes a revision, as if it had expired."""
    with sqlite3.connect(rig.ledger.url.removeprefix("sqlite:///")) as connection:
        connection.execute("delete from revisions where number = ?", (number,))
    connection.close()


@pytest.mark.parametrize(("effect", "late_s", "reason"), [("late", 0.8, "OK"), ("none", 0, "REVISION_EXPIRED")])
async def test_what_became_of_it(live: Emulator, effect: str, late_s: float, reason: str):
    before = live.world.intune.policies[WINDOWS].rows
    async with gateway(live, **MERGE) as rig:
        row = f"{WINDOWS}_{FILTERED}"
        await ask(rig, "DeleteComplianceAssignment", deviceCompliancePolicyAssignmentId=row)
        undo = {"revision": 1, "requestId": "undo"}
        live.world.faults.order([Fault(**ASSIGN, status=504, effect=effect, late_s=late_s)])
        assert (await ask(rig, "RestoreComplianceAssignments", **undo)).reason == "OUTCOME_UNKNOWN"
        forget_revision(rig, 1)
        async with asyncio.timeout(60):
            while isinstance(found := await ask(rig, "RestoreComplianceAssignments", **undo), Failure):
                if found.reason != "OUTCOME_UNKNOWN":
                    break
                await asyncio.sleep(0.1)
        [entry] = rig.entries(request_id="undo")
        is_back = {one["id"] for one in rig.rows(WINDOWS)} == {one["id"] for one in before}
        assert (entry.outcome, is_back) == (reason, reason == "OK")
        assert getattr(found, "reason", "OK") == reason
        if reason == "OK":
            ids = {one["id"] for one in before}
            assert {one.id for one in found.assignments_before} == ids - {row}


async def test_the_set_before_is_told_by_the_next_life(live: Emulator, tmp_path: Path):
    where = MERGE | {"ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"}}
    undo = {"revision": 1, "requestId": "undo"}
    async with gateway(live, **where) as rig:
        await ask(rig, "DeleteComplianceAssignment", deviceCompliancePolicyAssignmentId=f"{WINDOWS}_{FILTERED}")
        before = {one["id"] for one in rig.rows(WINDOWS)}
        live.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=0.8)])
        assert (await ask(rig, "RestoreComplianceAssignments", **undo)).reason == "OUTCOME_UNKNOWN"
    async with gateway(live, **where) as rig, asyncio.timeout(60):
        while isinstance(found := await ask(rig, "RestoreComplianceAssignments", **undo), Failure):
            assert found.reason in ("OUTCOME_UNKNOWN", "REQUEST_IN_PROGRESS"), found
            await asyncio.sleep(0.1)
    assert {one.id for one in found.assignments_before} == before


async def test_of_an_entry_without_an_outcome_nobody_says_that_it_was_not_carried_out(live: Emulator):
    async with gateway(live, **MERGE) as rig:
        live.world.faults.order([Fault(**ASSIGN, status=504, effect="late", late_s=0.8)])
        row = f"{WINDOWS}_{FILTERED}"
        gone = await ask(rig, "DeleteComplianceAssignment", deviceCompliancePolicyAssignmentId=row, requestId="gone")
        assert gone.reason == "OUTCOME_UNKNOWN"
        [entry] = rig.entries(request_id="gone")
        failure = await ask(rig, "RestoreComplianceAssignments", entry=entry.id)
        assert (failure.reason, failure.fields) == ("INVALID_FIELD", ["entry"])
        assert "revision 1" in failure.message
        assert "not carried out" not in failure.message
