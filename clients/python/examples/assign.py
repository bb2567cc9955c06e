"""Creates, lists, updates and deletes an assignment, and handles the usual errors.

Environment: GATEWAY_ADDRESS, GATEWAY_TOKEN_FILE, GATEWAY_CA. Arguments: a policy, another policy, a group, a filter.
"""

import os
import sys
from pathlib import Path

from compliance_gateway import GatewayError, all_devices, assignment, connect, group, including, token_file
from compliance_gateway.v1.compliance_assignment_service_pb2 import (
    CreateComplianceAssignmentRequest,
    DeleteComplianceAssignmentRequest,
    ListComplianceAssignmentsRequest,
    UpdateComplianceAssignmentRequest,
)

policy, other, group_id, filter_id = sys.argv[1:]


def create(gateway, policy, target):
    request = CreateComplianceAssignmentRequest(device_compliance_policy_id=policy, assignment=assignment(target))
    try:
        print("created", gateway.CreateComplianceAssignment(request).id)
    except GatewayError as error:
        if error.reason == "ALREADY_ASSIGNED":
            print("already assigned")
        elif error.reason == "CALLER_NOT_PERMITTED":
            print("not allowed")
        elif error.retry_after:
            print(f"try again in {error.retry_after:.0f} s")
        else:
            raise


ca, token = Path(os.environ["GATEWAY_CA"]).read_bytes(), token_file(os.environ["GATEWAY_TOKEN_FILE"])
with connect(os.environ["GATEWAY_ADDRESS"], token, ca=ca) as gateway:
    create(gateway, policy, group(group_id))
    create(gateway, policy, group(group_id))
    listed = gateway.ListComplianceAssignments(ListComplianceAssignmentsRequest(device_compliance_policy_id=policy))
    print("listed", len(listed.assignments))
    row = {"device_compliance_policy_id": policy, "device_compliance_policy_assignment_id": f"{policy}_{group_id}"}
    narrowed = assignment(group(group_id, including(filter_id)))
    updated = gateway.UpdateComplianceAssignment(UpdateComplianceAssignmentRequest(**row, assignment=narrowed))
    print("updated, filter", updated.target.device_and_app_management_assignment_filter_id)
    gateway.DeleteComplianceAssignment(DeleteComplianceAssignmentRequest(**row))
    print("deleted")
    create(gateway, policy, all_devices())
    create(gateway, other, group(group_id))
