"""`demo`'s second part: edits of a policy's set on the routes as they really are."""

import json
from typing import Any

from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from google.protobuf.field_mask_pb2 import FieldMask
from rich.console import Console
from rich.markup import escape

from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTERED, GROUP, WINDOWS

NEW_GROUPS = [f"0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8{i}" for i in range(3)]
OTHER_FILTER = "7283a4b5-c6d7-4e8f-90a1-b2c3d4e5f607"
EXCLUDE = pb.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_EXCLUDE


def show_live_edits(gateway: ComplianceAssignmentServiceStub, emulator: Emulator, console: Console) -> bool:
    """Three creations at once, a filter changed, a row removed; the others have to stay as they were."""
    before = _rows(emulator)
    console.print("[bold]Edits on the live routes, where /assign replaces the whole set[/]")
    _show(console, "before", before)
    creations = [gateway.CreateComplianceAssignment.future(_create(group)) for group in NEW_GROUPS]
    created = [creation.result().id for creation in creations]
    console.print(f"  three creations at once: {len(created)} created")
    changed = gateway.UpdateComplianceAssignment(_change_filter()).id
    console.print("  an update: one row has another filter")
    gateway.DeleteComplianceAssignment(_delete())
    console.print("  a deletion: one row is gone")
    after = _rows(emulator)
    _show(console, "after", after)
    writes = [r for r in emulator.world.requests if r["method"] == "POST" and r["path"].endswith("/assign")]
    console.print(f"  5 edits, {len(writes)} writes to Graph")
    edited = {*created, changed, f"{WINDOWS}_{GROUP}"}
    untouched = {row_id: text for row_id, text in before.items() if row_id not in edited}
    same = all(after.get(row_id) == text for row_id, text in untouched.items())
    console.print(f"  {len(untouched)} rows that nobody touched are {'' if same else 'NOT '}byte for byte the same\n")
    expected = (before.keys() - {f"{WINDOWS}_{GROUP}"}) | set(created)
    return same and after.keys() == expected and OTHER_FILTER in after[changed] and len(created) == len(NEW_GROUPS)


def _rows(emulator: Emulator) -> dict[str, str]:
    return {row["id"]: json.dumps(row) for row in emulator.world.intune.policies[WINDOWS].rows}


def _show(console: Console, title: str, rows: dict[str, str]) -> None:
    console.print(f"  {title}: {len(rows)} rows")
    for line in sorted(_line(json.loads(text)) for text in rows.values()):
        console.print(escape(f"    {line}"))


def _line(row: dict[str, Any]) -> str:
    target = dict(row["target"])
    kind = target.pop("@odata.type").removeprefix("#microsoft.graph.")
    filter_type, filter_id = (
        target.pop("deviceAndAppManagementAssignmentFilterType"),
        target.pop("deviceAndAppManagementAssignmentFilterId"),
    )
    words = [kind, *map(str, target.values())]
    if filter_id:
        words.append(f"filter {filter_type} {filter_id}")
    if row["source"] != "direct":
        words.append(f"({row['source']})")
    return " ".join(words)


def _create(group: str) -> service_pb.CreateComplianceAssignmentRequest:
    target = pb.DeviceAndAppManagementAssignmentTarget(group=pb.GroupAssignmentTarget(group_id=group))
    return service_pb.CreateComplianceAssignmentRequest(
        device_compliance_policy_id=WINDOWS, assignment=pb.DeviceCompliancePolicyAssignment(target=target)
    )


def _change_filter() -> service_pb.UpdateComplianceAssignmentRequest:
    target = pb.DeviceAndAppManagementAssignmentTarget(
        device_and_app_management_assignment_filter_id=OTHER_FILTER,
        device_and_app_management_assignment_filter_type=EXCLUDE,
    )
    return service_pb.UpdateComplianceAssignmentRequest(
        device_compliance_policy_id=WINDOWS,
        device_compliance_policy_assignment_id=f"{WINDOWS}_{FILTERED}",
        assignment=pb.DeviceCompliancePolicyAssignment(target=target),
        update_mask=FieldMask(paths=["target.device_and_app_management_assignment_filter_id"]),
    )


def _delete() -> service_pb.DeleteComplianceAssignmentRequest:
    return service_pb.DeleteComplianceAssignmentRequest(
        device_compliance_policy_id=WINDOWS, device_compliance_policy_assignment_id=f"{WINDOWS}_{GROUP}"
    )
