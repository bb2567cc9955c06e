"""A client of the kill test, as a process: several callers that create, update and delete rows of groups that are theirs alone,
each write under one request id until it has an answer. SIGTERM: every caller ends with the write it is at.

`python kill_client.py ADDRESS TOKEN NUMBER CALLERS POLICIES SEED` prints one JSON line: what was answered, in order.
"""

import asyncio
import json
import random
import signal
import sys
import uuid

import grpc
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from compliance_gateway.v1.assignment_pb2 import DeviceCompliancePolicyAssignment
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from google.protobuf import json_format

CODES = ("UNAVAILABLE", "UNKNOWN", "ABORTED", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED")
AGAIN = tuple(getattr(grpc.StatusCode, code) for code in CODES)
OPTIONS = tuple((f"grpc.{name}_reconnect_backoff_ms", ms) for name, ms in (("initial", 50), ("min", 50), ("max", 200)))
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"
INCLUDE = {
    "deviceAndAppManagementAssignmentFilterId": FILTER,
    "deviceAndAppManagementAssignmentFilterType": "DEVICE_AND_APP_MANAGEMENT_ASSIGNMENT_FILTER_TYPE_INCLUDE",
}
KINDS = {
    ("group", "none"): lambda group: {"group": {"groupId": group}},
    ("group", "include"): lambda group: {"group": {"groupId": group}, **INCLUDE},
    ("exclusion", "none"): lambda group: {"exclusionGroup": {"groupId": group}},
}


def write_for(policy: str, group: str, before, after):
    """The RPC's name and its request, for a change from one kind of row to another; None is no row."""
    own = {"device_compliance_policy_id": policy, "request_id": str(uuid.uuid4())}
    row_id = {"device_compliance_policy_assignment_id": f"{policy}_{group}"}
    if after is None:
        return "DeleteComplianceAssignment", pb.DeleteComplianceAssignmentRequest(**own, **row_id)
    assignment = json_format.ParseDict({"target": KINDS[after](group)}, DeviceCompliancePolicyAssignment())
    if before is None:
        return "CreateComplianceAssignment", pb.CreateComplianceAssignmentRequest(**own, assignment=assignment)
    return "UpdateComplianceAssignment", pb.UpdateComplianceAssignmentRequest(**own, **row_id, assignment=assignment)


class Caller:
    """One caller with two groups on each policy."""

    def __init__(self, stub, metadata, number: int, policies: list[str], seed: str) -> None:
        self.stub, self.metadata, self.policies = stub, metadata, policies
        self.random = random.Random(seed)
        self.groups = [f"{number:08x}-{i:04x}-4000-8000-000000000000" for i in range(2)]
        self.state: dict = {}
        self.answered: list = []
        self.surprises: list[str] = []
        self.retries = 0

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            place = self.random.choice(self.policies), self.random.choice(self.groups)
            before = self.state.get(place)
            after = self.random.choice([kind for kind in (*KINDS, None) if kind != before])
            name, request = write_for(*place, before, after)
            await self.ask(name, request)
            self.state[place] = after
            self.answered.append([*place, after, request.request_id])

    async def ask(self, name: str, request) -> None:
        while True:
            try:
                await getattr(self.stub, name)(request, metadata=self.metadata, timeout=15)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    self.surprises.append(f"{name} {request.request_id}: {error.code().name} {error.details()}")
                    return
                self.retries += 1
                await asyncio.sleep(0.05)
            else:
                return


async def main(address: str, token: str, number: str, callers: str, policies: str, seed: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub, metadata = ComplianceAssignmentServiceStub(channel), (("authorization", f"Bearer {token}"),)
        own = [int(number) * 1000 + i for i in range(int(callers))]
        all_callers = [Caller(stub, metadata, i, policies.split(","), f"{seed}-{i}") for i in own]
        await asyncio.gather(*(caller.work(stop) for caller in all_callers))
    names = ("answered", "surprises")
    lists = {name: [item for caller in all_callers for item in getattr(caller, name)] for name in names}
    print(json.dumps({**lists, "retries": sum(caller.retries for caller in all_callers)}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
