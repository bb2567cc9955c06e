"""What one writes in an afternoon: a gRPC server of threads with requests and MSAL, `plain.py GRAPH AUTHORITY CA`. Says
`{"grpc": address}`. No callers, no refusals, no audit, no quota, and no checks of what it is asked."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import msal
import requests
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import (
    ComplianceAssignmentServiceServicer,
    add_ComplianceAssignmentServiceServicer_to_server,
)
from requests.adapters import HTTPAdapter

THREADS = 16
CLIENT = "22222222-2222-4222-8222-222222222222"


class Plain(ComplianceAssignmentServiceServicer):
    def __init__(self, graph: str, authority: str, ca: str) -> None:
        self._graph, self._session = graph, requests.Session()
        self._session.verify = ca
        self._session.mount("https://", HTTPAdapter(pool_maxsize=THREADS))
        known = {"instance_discovery": False, "validate_authority": False}
        self._app = msal.ConfidentialClientApplication(CLIENT, "secret", authority, http_client=self._session, **known)

    def ListComplianceAssignments(self, request: Any, context: object) -> Any:  # noqa: N802
        rows = self._rows(request.device_compliance_policy_id)
        return pb.ListComplianceAssignmentsResponse(assignments=map(message, rows))

    def _rows(self, policy: str) -> list[dict[str, Any]]:
        token = self._app.acquire_token_for_client([f"{self._graph}/.default"])["access_token"]
        url = f"{self._graph}/beta/deviceManagement/deviceCompliancePolicies/{policy}/assignments"
        answer = self._session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=20)
        answer.raise_for_status()
        return list(answer.json()["value"])


def message(row: dict[str, Any]) -> DeviceCompliancePolicyAssignment:
    assert row["target"]["@odata.type"] == "#microsoft.graph.groupAssignmentTarget"
    target: dict[str, Any] = {"group": {"group_id": row["target"]["groupId"]}}
    return DeviceCompliancePolicyAssignment(id=row["id"], source_id=row["sourceId"], target=target)  # type: ignore[arg-type]


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(THREADS))
    add_ComplianceAssignmentServiceServicer_to_server(Plain(*sys.argv[1:]), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}), flush=True)
    server.wait_for_termination()
