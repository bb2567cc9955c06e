"""`authorize` decides as `serve` would, and names the rule. Input that `serve` would refuse as invalid is an error here."""

from pathlib import Path

import pytest
import tomli_w
from edits_over_the_wire import guid
from test_authorization import ALL_DEVICES, ALL_USERS, sections
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.emulator import config_for
from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

COLLECTION = "configuration_manager_collection"
ROWS = "deviceManagement/deviceCompliancePolicies/{id}/assignments"
EXPLAINED = [
    (("ops", "DeleteComplianceAssignment"), 0, "allowed because of ops may all"),
    (
        ("hr", "CreateComplianceAssignment", "--target", f"group:{guid(1)}"),
        0,
        "because of hr may assign groups",
    ),
    (("hr", "CreateComplianceAssignment", "--target", f"group:{guid(666)}"), 1, "is forbidden because of but not the admins"),
    (("hr", "ListComplianceAssignments"), 1, "ListComplianceAssignments is permitted by no rule"),
    (("careful", "CreateComplianceAssignment", "--target", "all_devices"), 1, "TouchEveryone is permitted by no rule"),
    (("filters", "UpdateComplianceAssignment", "--filter", f"include:{guid(5)}"), 0, "allowed because of filters"),
    (("filters", "UpdateComplianceAssignment", "--filter", "only:5"), 2, "include:ID"),
    (
        ("careful", "CreateComplianceAssignment", "--target", f"exclusion_group:{ALL_USERS.upper()}"),
        1,
        "refused: TouchEveryone is permitted by no rule",
    ),
    (("careful", "UpdateComplianceAssignment", "--remove", f"group:{ALL_DEVICES}"), 1, "TouchEveryone"),
    (("ops", "CreateComplianceAssignment", "--target", "groups:1"), 2, "has to be one of group, exclusion_group"),
    (("ops", "CreateComplianceAssignment", "--remove", "all_devices:1"), 2, "all_devices takes no ID"),
    (
        ("hr", "CreateComplianceAssignment", "--policy", WINDOWS.upper(), "--target", f"group:{guid(666).upper()}"),
        1,
        "but not the admins",
    ),
    (
        ("bold", "CreateComplianceAssignment", "--target", "configuration_manager_collection:sms00001 "),
        1,
        "not that collection",
    ),
    (("bold", "CreateComplianceAssignment", "--target", "configuration_manager_collection:SMS00002"), 0, "bold may all"),
    (("careful", "CreateComplianceAssignment", "--target", "unknown:#x.y"), 1, "TouchUnknown is permitted by no rule"),
    (("bold", "CreateComplianceAssignment", "--target", "group"), 2, "group.group_id:"),
    (("bold", "CreateComplianceAssignment", "--target", "group:1"), 2, "group.group_id: has to be a GUID"),
    (("bold", "CreateComplianceAssignment", "--target", "unknown"), 2, "needs a type"),
    (
        ("bold", "CreateComplianceAssignment", "--target", "unknown:#microsoft.graph.allDevicesAssignmentTarget"),
        2,
        "needs a type",
    ),
    (
        ("bold", "CreateComplianceAssignment", "--target", "unknown:#graph.allDevicesAssignmentTarget"),
        2,
        "ends like the name",
    ),
    (("ops", "Crate"), 2, "has to be one of"),
    (("ops", "ReadNames", "--names", "group"), 0, "allowed because of ops may all"),
    (("hr", "ReadNames", "--names", "group"), 1, "ReadNames is permitted by no rule"),
    (("hr", "GetCompliancePolicy"), 1, "GetCompliancePolicy is permitted by no rule"),
    (("ops", "ReadNames"), 2, "is only for ReadNames"),
    (("ops", "ReadNames", "--names", "user"), 2, "is only for ReadNames"),
    (("ops", "GetQuota", "--names", "group"), 2, "is only for ReadNames"),
    (("ops", "ReadThrough", "--path", "groups/{id}"), 0, "allowed because of ops may all"),
    (("directory", "ReadThrough", "--path", f"groups/{guid(1)}"), 0, "allowed because of directory may read groups"),
    (("directory", "ReadThrough", "--path", "deviceManagement/assignmentFilters"), 1, "ReadThrough is permitted by no rule"),
    (("directory", "ReadThrough", "--path", ROWS), 1, "ListComplianceAssignments is permitted by no rule"),
    (("ops", "ReadThrough", "--path", ROWS), 0, "allowed because of ops may all"),
    (("directory", "ReadThrough", "--path", "users"), 2, "is not a path that is read through"),
    (("directory", "ReadThrough"), 2, "is only for ReadThrough"),
    (("ops", "GetQuota", "--path", "groups"), 2, "is only for ReadThrough"),
    (("ops", "ListComplianceAssignments", "--tenant", "mars"), 2, "has to be one of"),
]


@pytest.mark.parametrize(("question", "code", "words"), EXPLAINED)
async def test_an_answer_is_explained(live: Emulator, tmp_path: Path, question: tuple[str, ...], code: int, words: str):
    path = tmp_path / "gateway.toml"
    path.write_text(tomli_w.dumps(config_for(live, hash_token(new_token())) | sections(tmp_path)))
    caller, operation, *more = question
    result = CliRunner().invoke(app, ["authorize", "--config", str(path), "--caller", caller, "--operation", operation, *more])
    assert (result.exit_code, words in " ".join((result.stdout + result.stderr).split())) == (code, True), result.output
