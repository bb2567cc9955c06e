"""A bare gRPC server of grpc.aio and uvloop, which sends back what comes. Says `{"grpc": address}`."""

import json

import grpc
import uvloop
from compliance_gateway.v1.compliance_assignment_service_pb2 import DESCRIPTOR

[SERVICE] = DESCRIPTOR.services_by_name.values()


async def echo(request: bytes, _: object) -> bytes:
    return request


async def main() -> None:
    server = grpc.aio.server()
    calls = {method.name: grpc.unary_unary_rpc_method_handler(echo) for method in SERVICE.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, calls),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"grpc": f"127.0.0.1:{port}"}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
