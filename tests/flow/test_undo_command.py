"""`audit undo`: refusals, rows that were changed since, and use beside running gateways."""

from pathlib import Path

import pytest
import tomli_w
from help_desk import Desk, entry_in, group
from postgres_server import Server as Postgres
from rig import Rig

from gateway.cli.audit_undo import operator
from gateway.emulator import Emulator


@pytest.fixture
def desk(live: Emulator, tmp_path: Path) -> Desk:
    return Desk(live, tmp_path)


async def test_rules_are_for_the_operator_too(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
    entry = entry_in(await desk.who_removed_it())
    desk.permit('permit(principal == Caller::"onboarding", action, resource);')
    code, out, err = await desk.audit("undo", entry, "--config", str(desk.file), "--yes")
    assert (code, out) == (1, "")
    assert "not undone: CALLER_NOT_PERMITTED" in err
    assert desk.row(rig) is None
    [refused] = rig.entries(outcome="CALLER_NOT_PERMITTED")
    assert refused.caller == operator().name


async def test_what_was_changed_since_is_told_before_and_refused_then(desk: Desk):
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        plain = {"target": {"allDevices": {}}}
        await desk.call(rig, "patching", "CreateComplianceAssignment", assignment=plain)
    entry = entry_in(await desk.who_removed_it())
    at = ("--config", str(desk.file))
    _, shown, _ = await desk.audit("undo", entry, *at)
    assert "by patching: fails with RESTORE_CONFLICT" in shown
    code, _, err = await desk.audit("undo", entry, *at, "--yes")
    assert (code, "RESTORE_CONFLICT" in err) == (1, True)


PLAIN = {"target": {"allDevices": {}}}


async def taken_away_and_assigned_anew(desk: Desk) -> tuple[Rig, str]:
    """A desk at which the assignment was removed and is there again without a filter. Also returns the entry that removed
    it."""
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        await desk.call(rig, "patching", "CreateComplianceAssignment", assignment=PLAIN)
    return rig, entry_in(await desk.who_removed_it())


async def test_rows_that_were_changed_since_are_left_if_that_is_said(desk: Desk):
    rig, entry = await taken_away_and_assigned_anew(desk)
    keep = ("--config", str(desk.file), "--on-conflict", "keep-current")
    there = desk.row(rig)
    _, shown, _ = await desk.audit("undo", entry, *keep)
    assert "by patching: stays as it is" in shown
    assert '"onConflict":"keepCurrent"' in shown
    assert '"onConflict":"ON_CONFLICT_KEEP_CURRENT"' in shown
    assert "all_devices" not in shown
    code, done, err = await desk.audit("undo", entry, *keep, "--yes")
    assert (code, err, desk.row(rig)) == (0, "", there)
    assert "all_devices" not in done
    assert "undone by" in done, "the other rows"


async def test_rows_that_were_changed_since_are_restored_if_that_is_said(desk: Desk):
    rig, entry = await taken_away_and_assigned_anew(desk)
    force = ("--config", str(desk.file), "--on-conflict", "force")
    _, shown, _ = await desk.audit("undo", entry, *force)
    assert "by patching: is restored anyway" in shown
    assert '"onConflict":"force"' in shown
    assert '"onConflict":"ON_CONFLICT_FORCE"' in shown
    code, _, err = await desk.audit("undo", entry, *force, "--yes")
    assert (code, err, desk.row(rig)) == (0, "", desk.lost)


async def test_another_choice_is_none(desk: Desk):
    code, _, err = await desk.audit("undo", "abcd", "--config", str(desk.file), "--on-conflict", "ask")
    assert code == 2
    assert "keep-current" in err


async def test_it_is_undone_beside_a_gateway_that_runs(desk: Desk, postgres: Postgres):
    """On PostgreSQL: command and gateway take turns by the policy's lease, and each knows what the other wrote."""
    desk.values["ledger"] = {"url": postgres.new_database()}
    desk.file.write_text(tomli_w.dumps(desk.values))
    async with desk.gateway() as rig:
        await desk.take_away(rig)
        entry = entry_in(await desk.who_removed_it())
        code, done, err = await desk.audit("undo", entry, "--config", str(desk.file), "--yes")
        assert (code, err) == (0, "")
        assert f"undone by {operator().name}, entry" in done
        assert desk.row(rig) == desk.lost
        await desk.call(rig, "onboarding", "CreateComplianceAssignment", assignment=group(7))
        assert desk.row(rig) == desk.lost, "the gateway's next write is built on it"
        [mine] = rig.entries(operation="RestoreComplianceAssignments")
        code, _, err = await desk.audit("undo", mine.id, "--config", str(desk.file), "--yes")
        assert (code, err, desk.row(rig)) == (0, "", None)
        assert (await desk.audit("verify", "--config", str(desk.file)))[0] == 0
