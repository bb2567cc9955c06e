"""The setting of a help desk's questions: a gateway's configuration, callers that change a policy, and the commands that show
who did what."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import tomli_w
from edits_over_the_wire import MERGE, guid
from rig import NO_QUOTA, QUICK, Failure, Rig, at_once
from typer.testing import CliRunner

from gateway.bootstrap import running
from gateway.cli import app
from gateway.cli.emulator import config_for
from gateway.config import parse
from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

CALLERS = ("onboarding", "reporting", "patching")
FILTER = guid(77)
DEVICES = {
    "target": {
        "allDevices": {},
        "deviceAndAppManagementAssignmentFilterId": FILTER,
        "deviceAndAppManagementAssignmentFilterType": 2,
    }
}
EVERYBODY = "permit(principal, action, resource);"


def group(number: int) -> dict:
    return {"target": {"group": {"groupId": guid(number)}}}


class Desk:
    """A gateway's configuration and its callers' tokens."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator, self.file = emulator, folder / "gateway.toml"
        self.tokens = {caller: new_token() for caller in CALLERS}
        self.values = config_for(emulator, "")
        self.values["callers"]["static"] = {caller: hash_token(token) for caller, token in self.tokens.items()}
        self.values["server"]["drain_notice_s"] = 0
        self.values["graph"] |= NO_QUOTA | QUICK | MERGE["graph"]
        self.values["authorization"] = {"rules_file": str(folder / "rules.cedar")}
        self.values["ledger"] = {"url": f"sqlite:///{folder}/{secrets.token_hex(4)}.db"}
        self.permit(EVERYBODY)
        self.file.write_text(tomli_w.dumps(self.values))

    def permit(self, rules: str) -> None:
        at_once(Path(self.values["authorization"]["rules_file"]), rules)

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Rig]:
        config = parse(self.values)
        async with running(config) as doors, grpc.aio.insecure_channel(doors.grpc) as channel:
            yield Rig(self.emulator, channel, doors.grpc, self.tokens["onboarding"], config.ledger, rest_address=doors.rest)

    async def call(self, rig: Rig, caller: str, operation: str, **fields: object) -> object:
        metadata = (("authorization", f"Bearer {self.tokens[caller]}"),)
        answer = await rig.call(operation, {"deviceCompliancePolicyId": WINDOWS, **fields}, metadata=metadata)
        assert not isinstance(answer, Failure), answer
        return answer

    async def take_away(self, rig: Rig) -> None:
        """One caller assigns all devices with a filter. Others change the policy. One of these replaces the set without that
        row."""
        await self.call(rig, "onboarding", "CreateComplianceAssignment", assignment=DEVICES)
        await asyncio.gather(
            self.call(rig, "patching", "CreateComplianceAssignment", assignment=group(1)),
            self.call(rig, "onboarding", "CreateComplianceAssignment", assignment=group(2)),
        )
        self.lost = self.row(rig)
        await self.call(rig, "reporting", "ReplaceComplianceAssignments", assignments=[group(1), group(3)])
        assert self.row(rig) is None
        await self.call(rig, "patching", "CreateComplianceAssignment", assignment=group(4))

    def row(self, rig: Rig) -> dict | None:
        """The row for all devices, as Graph has it."""
        rows = (row for row in rig.rows(WINDOWS) if "allDevices" in row["target"]["@odata.type"])
        return json.loads(json.dumps(next(rows, None)))

    async def audit(self, *arguments: str) -> tuple[int, str, str]:
        """Runs the command in a thread, because the emulator runs on the loop."""
        result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    async def who_removed_it(self) -> str:
        """What the command prints."""
        at = ("--config", str(self.file))
        code, out, err = await self.audit(*at, "--target", "all_devices", "--removed", "--since", "yesterday")
        assert (code, err) == (0, "")
        return out


def entry_in(out: str) -> str:
    """The shortened entry ID: the last word of the first line below the table's head."""
    return out.splitlines()[1].split()[-1]
