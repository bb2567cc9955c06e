"""No gateway at all: msgraph-sdk within the caller, `sdk.py GRAPH CA`. Says `{}`, takes `{"calls": …, "at_once": …}` from
stdin, and says `{}` after each."""

import asyncio
import json
import ssl
import sys

import httpx
import uvloop
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from msgraph.graph_request_adapter import GraphRequestAdapter
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory


class Token(AccessTokenProvider):
    """At hand: MSAL is not what is measured."""

    async def get_authorization_token(self, uri: str, additional_authentication_context: object = None) -> str:
        return "t" * 1500

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


async def read(client: GraphServiceClient, calls: int) -> None:
    policies = client.device_management.device_compliance_policies
    for i in range(calls):
        found = await policies.by_device_compliance_policy_id(f"p{i}").assignments.get()
        assert found
        assert found.value


async def main(graph: str, ca: str) -> None:
    bare = httpx.AsyncClient(verify=ssl.create_default_context(cafile=ca), http2=False)
    client = GraphClientFactory.create_with_default_middleware(client=bare)
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(Token()), client)
    adapter.base_url = f"{graph}/v1.0"
    service = GraphServiceClient(request_adapter=adapter)
    print("{}", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        await asyncio.gather(*(read(service, order["calls"] // order["at_once"]) for _ in range(order["at_once"])))
        print("{}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
