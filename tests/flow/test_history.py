"""Revisions and restorations through both doors: who changed what, the state before, and how to restore it."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from edits_over_the_wire import MERGE, guid
from rest_caller import RestCaller, rest
from rig import Failure, Rig, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTER, FILTERED, GROUP, POLICY_SET_GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

TOKENS = {name: new_token() for name in ("ops", "writer", "clerk", "reader")}
RULES = """
permit(principal == Caller::"ops", action, resource);
permit(principal == Caller::"clerk", action == Action::"RestoreComplianceAssignments", resource);
permit(principal == Caller::"reader", action == Action::"ListComplianceAssignments", resource);
permit(principal == Caller::"writer", action, resource)
unless { action == Action::"RestoreComplianceAssignments" };
"""


@pytest.fixture
async def rig(live: Emulator) -> AsyncIterator[Rig]:
    rules = live.folder / "history.cedar"
    rules.write_text(RULES)
    callers = {"static": {name: hash_token(token) for name, token in TOKENS.items()}}
    async with gateway(live, callers=callers, authorization={"rules_file": str(rules)}, **MERGE) as rig:
        yield rig


async def ask(rig: Rig, operation: str, caller: str = "ops", **fields: Any) -> Any:
    metadata = (("authorization", f"Bearer {TOKENS[caller]}"),)
    return await rig.call(operation, {"deviceCompliancePolicyId": WINDOWS, **fields}, metadata=metadata)


async def create(rig: Rig, number: int, caller: str = "ops") -> Any:
    return await ask(rig, "CreateComplianceAssignment", caller, assignment={"target": {"group": {"groupId": guid(number)}}})


async def delete(rig: Rig, group_id: str, caller: str = "ops") -> Any:
    row_id = f"{WINDOWS}_{group_id}"
    return await ask(rig, "DeleteComplianceAssignment", caller, deviceCompliancePolicyAssignmentId=row_id)


async def revisions(rig: Rig, **fields: Any) -> Any:
    answer = await ask(rig, "ListComplianceAssignmentRevisions", **fields)
    assert not isinstance(answer, Failure), answer
    return list(answer.revisions)


async def restore(rig: Rig, caller: str = "ops", **fields: Any) -> Any:
    return await ask(rig, "RestoreComplianceAssignments", caller, **fields)


def texts(rows: list[dict]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


async def until(condition: Any, seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
    return found


async def test_who_took_it_away_and_with_which_filter(rig: Rig):
    before = rig.rows(WINDOWS)
    await create(rig, 1, "writer")
    await delete(rig, FILTERED, "writer")
    newest, first = await revisions(rig)
    assert (newest.number, newest.kind, first.number) == (2, 1, 1)
    [change] = newest.changes
    assert change.before.target.device_and_app_management_assignment_filter_id == FILTER
    assert not change.HasField("after")
    [entry] = newest.entries
    assert (entry.caller, entry.operation, list(entry.changes)) == ("writer", "DeleteComplianceAssignment", [change])
    assert abs(newest.write_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=1)
    [change] = first.changes
    assert (change.after.id, change.HasField("before")) == (f"{WINDOWS}_{guid(1)}", False)
    assert first.etag_after == newest.etag_before != newest.etag_after
    full = await ask(rig, "GetComplianceAssignmentRevision", number=2, view="REVISION_VIEW_FULL")
    assert len(full.assignments_before) == len(before) + 1
    assert {row.id for row in full.assignments_after} == {row["id"] for row in rig.rows(WINDOWS)}
    now = await ask(rig, "ListComplianceAssignments")
    assert now.etag == full.etag_after


async def test_a_deletion_is_undone_byte_for_byte_and_the_undoing_as_well(rig: Rig):
    before = rig.rows(WINDOWS)
    await delete(rig, FILTERED)
    without = rig.rows(WINDOWS)
    answer = await restore(rig, revision=1)
    assert [outcome.outcome for outcome in answer.outcomes] == [1]
    assert texts(rig.rows(WINDOWS)) == texts(before)
    assert answer.revision == 2
    assert (await revisions(rig))[0].kind == 2
    await restore(rig, revision=2)
    assert texts(rig.rows(WINDOWS)) == texts(without)


async def test_one_calls_part_of_a_shared_write_is_undone_alone(rig: Rig):
    rig.emulator.world.graph.page_size = 100
    await asyncio.gather(*(create(rig, number) for number in range(1, 9)))
    found = [entry for one in await revisions(rig) for entry in one.entries]
    assert len(found) == 8
    theirs = next(entry for entry in found if entry.changes[0].after.id.endswith(guid(3)))
    await restore(rig, entry=theirs.id)
    assert {row["id"] for row in rig.rows(WINDOWS) if "000000" in row["id"]} == {
        f"{WINDOWS}_{guid(number)}" for number in range(1, 9) if number != 3
    }


async def test_the_whole_set_as_it_was_after_a_revision_or_at_a_time(rig: Rig):
    await create(rig, 1)
    then, after_first = datetime.now(UTC), rig.rows(WINDOWS)
    await asyncio.sleep(0.02)
    await create(rig, 2)
    await delete(rig, GROUP)
    replacement = [{"target": {"group": {"groupId": guid(7)}}}]
    await ask(rig, "ReplaceComplianceAssignments", assignments=replacement)
    for source in ({"revision": 1}, {"time": then.isoformat().replace("+00:00", "Z")}):
        answer = await restore(rig, scope="RESTORE_SCOPE_WHOLE_SET", **source)
        assert not isinstance(answer, Failure), answer
        assert texts(rig.rows(WINDOWS)) == texts(after_first)
        assert any(POLICY_SET_GROUP in row["id"] for row in rig.rows(WINDOWS))
        await ask(rig, "ReplaceComplianceAssignments", assignments=replacement)


async def test_what_was_changed_since_is_a_conflict_and_nothing_is_written(rig: Rig):
    await delete(rig, FILTERED)
    other = {"group": {"groupId": FILTERED}}
    await ask(rig, "CreateComplianceAssignment", assignment={"target": other})
    before, writes = rig.rows(WINDOWS), len(rig.writes())
    failure = await restore(rig, revision=1)
    assert (failure.status, failure.reason) == ("FAILED_PRECONDITION", "RESTORE_CONFLICT")
    assert failure.fields == [f"group {FILTERED}"]
    assert (
        f"was group with filter include {FILTER} before the change, not assigned after it, and is group without filter now"
        in failure.message
    )
    assert (rig.rows(WINDOWS), len(rig.writes())) == (before, writes)
    kept = await restore(rig, revision=1, onConflict="ON_CONFLICT_KEEP_CURRENT")
    assert ([one.outcome for one in kept.outcomes], kept.revision, len(rig.writes())) == ([4], 0, writes)
    await restore(rig, revision=1, onConflict="ON_CONFLICT_FORCE")
    [row] = [row for row in rig.rows(WINDOWS) if FILTERED in row["id"]]
    assert row["target"]["deviceAndAppManagementAssignmentFilterId"] == FILTER


def gone(row: dict) -> list[dict]:
    return []


def with_what_nobody_here_knows(row: dict) -> list[dict]:
    return [row | {"target": row["target"] | {"ring": 7}}]


@pytest.mark.parametrize("changed", [gone, with_what_nobody_here_knows])
async def test_a_change_in_the_portal_is_a_revision_and_can_be_undone(rig: Rig, changed: Any):
    await create(rig, 1)

    async def settled() -> bool:
        return all(one.etag_after for one in await revisions(rig))

    await until(settled)
    await asyncio.sleep(4)  # the watch is over
    before = rig.rows(WINDOWS)
    now = [new for row in before for new in (changed(row) if FILTERED in row["id"] else [row])]
    rig.emulator.world.intune.set_rows(WINDOWS, now)
    listed = await ask(rig, "ListComplianceAssignments")

    async def foreign() -> Any:
        return await revisions(rig, filter="kind = FOREIGN")

    [found] = await until(foreign)
    assert [change.before.id for change in found.changes] == [f"{WINDOWS}_{FILTERED}"]
    assert not found.entries
    assert (found.etag_after, found.etag_before != found.etag_after) == (listed.etag, True)
    await restore(rig, revision=found.number)
    assert texts(rig.rows(WINDOWS)) == texts(before)


async def test_a_preview_of_a_restoration_writes_nothing(rig: Rig):
    await delete(rig, FILTERED)
    before, writes = rig.rows(WINDOWS), len(rig.writes())
    shown = await restore(rig, revision=1, validateOnly=True)
    assert (rig.rows(WINDOWS), len(rig.writes())) == (before, writes)
    assert ([one.outcome for one in shown.outcomes], shown.cost.writes) == ([1], 1)
    done = await restore(rig, revision=1, etag=shown.etag)
    assert [one.after.target for one in done.outcomes] == [one.after.target for one in shown.outcomes]


MISTAKES = {
    "no such revision": ({"revision": 9}, "NOT_FOUND", ""),
    "no such entry": ({"entry": guid(9)}, "NOT_FOUND", ""),
    "no source": ({}, "INVALID_ARGUMENT", "source"),
    "a time before the first": ({"time": "2001-01-01T00:00:00Z", "scope": 2}, "NOT_FOUND", ""),
    "a time to come": ({"time": "2101-01-01T00:00:00Z", "scope": 2}, "INVALID_ARGUMENT", "time"),
    "a time without the whole set": ({"time": "2026-01-01T00:00:00Z"}, "INVALID_ARGUMENT", "time"),
    "a conflict of a whole set": ({"revision": 1, "scope": 2, "onConflict": 2}, "INVALID_ARGUMENT", "on_conflict"),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_mistakes_are_told(rig: Rig, name: str):
    fields, status, field = MISTAKES[name]
    await create(rig, 1)
    writes = len(rig.writes())
    failure = await restore(rig, **fields)
    assert (failure.status, failure.fields) == (status, [field] if field else [])
    assert len(rig.writes()) == writes


async def test_a_refused_call_has_nothing_to_undo(rig: Rig):
    assert isinstance(await delete(rig, guid(5)), Failure)
    [entry] = rig.entries(outcome="NOT_FOUND")
    assert (await restore(rig, entry=entry.id)).fields == ["entry"]


async def test_a_restoration_needs_its_own_permission_and_tells_a_clerk_no_rows(rig: Rig):
    before = rig.rows(WINDOWS)
    await delete(rig, FILTERED)
    assert (await restore(rig, "writer", revision=1)).status == "PERMISSION_DENIED"
    assert (await ask(rig, "ListComplianceAssignmentRevisions", "clerk")).status == "PERMISSION_DENIED"
    answer = await restore(rig, "clerk", revision=1)
    assert (len(answer.outcomes), len(answer.assignments_after), answer.etag) == (0, 0, "")
    assert texts(rig.rows(WINDOWS)) == texts(before)


async def test_the_pages_of_a_list(rig: Rig):
    for number in range(1, 6):
        await create(rig, number)
    first = await ask(rig, "ListComplianceAssignmentRevisions", pageSize=2)
    second = await ask(rig, "ListComplianceAssignmentRevisions", pageSize=2, pageToken=first.next_page_token)
    third = await ask(rig, "ListComplianceAssignmentRevisions", pageSize=2, pageToken=second.next_page_token)
    assert [one.number for page in (first, second, third) for one in page.revisions] == [5, 4, 3, 2, 1]
    assert third.next_page_token == ""
    failure = await ask(rig, "ListComplianceAssignmentRevisions", pageToken=first.next_page_token, filter="kind = WRITE")
    assert failure.fields == ["page_token"]
    assert (await ask(rig, "ListComplianceAssignmentRevisions", filter="who = me")).fields == ["filter"]


async def test_the_answer_to_a_write_has_the_etag_of_the_set_also_when_it_comes_again(rig: Rig):
    request = {
        "deviceCompliancePolicyId": WINDOWS,
        "assignment": {"target": {"group": {"groupId": guid(1)}}},
        "requestId": "one",
    }
    metadata = (("authorization", f"Bearer {TOKENS['ops']}"),)
    _, first = await rig.exchange("CreateComplianceAssignment", request, metadata=metadata)
    _, again = await rig.exchange("CreateComplianceAssignment", request, metadata=metadata)
    listed = await ask(rig, "ListComplianceAssignments")
    assert first["compliance-gateway-etag"] == again["compliance-gateway-etag"] == listed.etag


async def test_rest_speaks_it_too(live: Emulator):
    async with rest(live, **MERGE) as (rig, caller):
        before = rig.rows(WINDOWS)
        policy = f"/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}"
        await caller.send("DELETE", f"{policy}/assignments/{WINDOWS}_{FILTERED}")
        listed = await caller.send("GET", f"{policy}/revisions?$top=1")
        [found] = listed.json["value"]
        assert (found["number"], found["kind"], found["changes"][0]["before"]["id"]) == (1, "write", f"{WINDOWS}_{FILTERED}")
        full = await caller.send("GET", f"{policy}/revisions/1?view=full")
        assert texts(full.json["assignmentsBefore"]) == texts(await listed_by(caller, policy, before))
        restored = await caller.send("POST", f"{policy}/restore", {"revision": 1})
        assert (restored.status, restored.json["outcomes"][0]["outcome"]) == (200, "created")
        assert restored.headers["etag"] == (await caller.send("GET", f"{policy}/assignments")).headers["etag"]
        assert texts(rig.rows(WINDOWS)) == texts(before)


async def listed_by(caller: RestCaller, policy: str, rows: list[dict]) -> list[dict]:
    """The rows as listed at this door."""
    answer = await caller.send("GET", f"{policy}/assignments?$top=1000")
    assert len(answer.json["value"]) == len(rows) - 1
    full = await caller.send("GET", f"{policy}/revisions/1?view=full")
    there = [row for row in full.json["assignmentsBefore"] if FILTERED not in row["id"]]
    assert texts(there) == texts(answer.json["value"])
    return full.json["assignmentsBefore"]
