"""`demo`'s third part: who took it away, and put it back."""

from pathlib import Path

from compliance_gateway.v1 import assignment_pb2 as pb
from compliance_gateway.v1 import compliance_assignment_service_pb2 as service_pb
from compliance_gateway.v1.compliance_assignment_service_pb2 import RestoreComplianceAssignmentsRequest
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from google.protobuf.field_mask_pb2 import FieldMask
from rich.console import Console
from rich.markup import escape

from gateway.cli.audit_views import lines
from gateway.config import parse_ledger
from gateway.emulator import Emulator
from gateway.emulator.seeds import FILTER, MACOS
from gateway.ledger.ledger import Query
from gateway.plugins import ledger_reader_of

INCLUDE = pb.DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE


def show_history(ledger: Path, gateway: ComplianceAssignmentServiceStub, emulator: Emulator, console: Console) -> bool:
    """A replacement removes All devices with its filter; the ledger knows, and the row comes back as it was."""
    gateway.UpdateComplianceAssignment(_with_filter(emulator.world.intune.policies[MACOS].rows[0]["id"]))
    before = list(emulator.world.intune.policies[MACOS].rows)
    gateway.ReplaceComplianceAssignments(
        service_pb.ReplaceComplianceAssignmentsRequest(device_compliance_policy_id=MACOS, allow_empty=True)
    )
    gone = not emulator.world.intune.policies[MACOS].rows
    console.print("[bold]Who removed the assignment to all devices, and how is it restored?[/]")
    console.print(f"  compliance-gateway audit --ledger {ledger} --target all_devices --removed --newest 1")
    reader = ledger_reader_of(parse_ledger({"url": f"sqlite:///{ledger}"}))
    [entry] = reader.find(Query(touched="all_devices", how="removed", newest=1))
    for line in lines([entry], head=False):
        console.print(escape(line))
    gateway.RestoreComplianceAssignments(RestoreComplianceAssignmentsRequest(device_compliance_policy_id=MACOS, entry=entry.id))
    back = emulator.world.intune.policies[MACOS].rows == before
    console.print(
        f"  RestoreComplianceAssignments of that entry: the row is {'' if back else 'NOT '}restored, exactly as it was\n"
    )
    return gone and back


def _with_filter(assignment: str) -> service_pb.UpdateComplianceAssignmentRequest:
    target = pb.DeviceAndAppManagementAssignmentTarget(
        device_and_app_management_assignment_filter_id=FILTER, device_and_app_management_assignment_filter_type=INCLUDE
    )
    return service_pb.UpdateComplianceAssignmentRequest(
        device_compliance_policy_id=MACOS,
        device_compliance_policy_assignment_id=assignment,
        assignment=pb.DeviceCompliancePolicyAssignment(target=target),
        update_mask=FieldMask(paths=["target.device_and_app_management_assignment_filter_id"]),
    )
