"""Loads on the ways that compare.py compares: so many reads, so many at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from subprocess import Popen

import aiohttp
import grpc
from compliance_gateway.v1 import compliance_assignment_service_pb2 as pb
from fast_graph import ROW

SERVICE = "compliance_gateway.v1.ComplianceAssignmentService"
POLICIES = 200  # different ones, so that nothing is shared
Load = Callable[[int, int], Awaitable[None]]


def calls_to(address: str, operation: str, token: str, same: bool = False) -> Load:
    """same: of one policy only."""
    request = pb.GetComplianceAssignmentRequest if operation.startswith("Get") else pb.ListComplianceAssignmentsRequest
    of_row = {"device_compliance_policy_assignment_id": ROW["id"]} if operation.startswith("Get") else {}
    bodies = [
        request(device_compliance_policy_id=f"p{0 if same else i}", **of_row).SerializeToString() for i in range(POLICIES)
    ]
    metadata = (("authorization", f"Bearer {token}"),)

    async def load(calls: int, at_once: int) -> None:
        turns = iter(range(calls))
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary(f"/{SERVICE}/{operation}")

            async def some() -> None:
                for i in turns:
                    await call(bodies[i % POLICIES], metadata=metadata)

            await asyncio.gather(*(some() for _ in range(at_once)))

    return load


def gets_from(address: str) -> Load:
    """Over HTTP/1.1, of the rows as Graph gives them."""
    url = f"http://{address}/beta/deviceManagement/deviceCompliancePolicies/p{{}}/assignments"

    async def load(calls: int, at_once: int) -> None:
        turns = iter(range(calls))
        async with aiohttp.ClientSession(raise_for_status=True, connector=aiohttp.TCPConnector(limit=at_once)) as client:

            async def some() -> None:
                for i in turns:
                    async with client.get(url.format(i % POLICIES)) as answer:
                        await answer.read()

            await asyncio.gather(*(some() for _ in range(at_once)))

    return load


def orders_to(process: Popen[str]) -> Load:
    async def load(calls: int, at_once: int) -> None:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"calls": calls, "at_once": at_once}) + "\n")
        process.stdin.flush()
        await asyncio.to_thread(process.stdout.readline)

    return load
