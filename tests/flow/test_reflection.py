"""A client can call every method knowing only reflection."""

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY

SERVICE = "compliance_gateway.v1.ComplianceAssignmentService"
SERVICES = {SERVICE, "compliance_gateway.v1.CompliancePolicyService"}
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
ASSIGNMENT = f"{EMPTY}_0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
TARGET = {"group": {"groupId": "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"}}
REQUESTS = {
    "CreateComplianceAssignment": {"assignment": {"target": TARGET}},
    "GetComplianceAssignment": {"deviceCompliancePolicyAssignmentId": ASSIGNMENT},
    "ListComplianceAssignments": {},
    "UpdateComplianceAssignment": {"deviceCompliancePolicyAssignmentId": ASSIGNMENT, "assignment": {"target": TARGET}},
    "DeleteComplianceAssignment": {"deviceCompliancePolicyAssignmentId": ASSIGNMENT},
    "ReplaceComplianceAssignments": {"assignments": [{"target": TARGET}]},
    "EditComplianceAssignments": {"edits": [{"delete": {"target": TARGET}}]},
    "ListComplianceAssignmentRevisions": {},
    "GetComplianceAssignmentRevision": {"number": 1},
    "RestoreComplianceAssignments": {"revision": 1},
    "GetQuota": {},
    "ListCompliancePolicies": {},
    "GetCompliancePolicy": {},
}


async def ask(channel: grpc.aio.Channel, **what: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**what)]))
    return await call.read()


async def learned(channel: grpc.aio.Channel, service: str) -> descriptor_pool.DescriptorPool:
    """All files that the service needs, found by following imports."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    answer = await ask(channel, file_containing_symbol=service)
    todo = [descriptor_pb2.FileDescriptorProto.FromString(f) for f in answer.file_descriptor_response.file_descriptor_proto]
    while todo:
        file = todo.pop()
        if file.name in files:
            continue
        files[file.name] = file
        for name in file.dependency:
            answer = await ask(channel, file_by_filename=name)
            todo += [
                descriptor_pb2.FileDescriptorProto.FromString(f) for f in answer.file_descriptor_response.file_descriptor_proto
            ]
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()

    def add(file: descriptor_pb2.FileDescriptorProto) -> None:
        if file.name not in added:
            added.add(file.name)
            for name in file.dependency:
                add(files[name])
            pool.Add(file)

    for file in files.values():
        add(file)
    return pool


async def test_every_rpc_is_callable_by_reflection_alone(documented: Emulator):
    async with gateway(documented) as rig:
        listed = {s.name for s in (await ask(rig.channel, list_services="")).list_services_response.service}
        assert listed == {*SERVICES, "grpc.health.v1.Health", *REFLECTION}
        pools = {name: await learned(rig.channel, name) for name in SERVICES}
        methods = [method for name, pool in pools.items() for method in pool.FindServiceByName(name).methods]
        assert {m.name for m in methods} == set(REQUESTS)
        for method in sorted(methods, key=lambda method: list(REQUESTS).index(method.name)):
            request = message_factory.GetMessageClass(method.input_type)()
            of_policy = "device_compliance_policy_id" in method.input_type.fields_by_name
            policy = {"deviceCompliancePolicyId": EMPTY} if of_policy else {}
            json_format.ParseDict(policy | REQUESTS[method.name], request)
            rpc = rig.channel.unary_unary(
                f"/{method.containing_service.full_name}/{method.name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            await rpc(request, metadata=(("authorization", f"Bearer {rig.token}"),))


@pytest.mark.parametrize("name", REFLECTION)
async def test_reflection_is_served_in_both_versions_unless_it_is_off(documented: Emulator, name: str):
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with gateway(documented) as rig:
        answer = await rig.channel.stream_stream(f"/{name}/ServerReflectionInfo")(iter([request])).read()
        found = reflection_pb2.ServerReflectionResponse.FromString(answer).list_services_response.service
        assert {service.name for service in found} >= SERVICES
    async with gateway(documented, server={"reflection": False}) as rig:
        call = rig.channel.stream_stream(f"/{name}/ServerReflectionInfo")(iter([request]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health(documented: Emulator):
    async with gateway(documented) as rig:
        health = health_pb2_grpc.HealthStub(rig.channel)
        for name in ("", *SERVICES):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
