"""A Graph and an Entra that answer over https at next to no cost, so that what a benchmark measures is who asks them:
`fast_graph.py CERTIFICATE_AND_KEY [DELAY_S [ROWS]]`. Says `{"port": …}`; counts requests at GET /count."""

import asyncio
import json
import ssl
import sys
from email.utils import formatdate
from functools import partial

import uvloop

TENANT = "11111111-1111-4111-8111-111111111111"
ROW = {
    "id": "p_0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f",
    "source": "direct",
    "sourceId": "p",
    "target": {
        "@odata.type": "#microsoft.graph.groupAssignmentTarget",
        "deviceAndAppManagementAssignmentFilterId": None,
        "deviceAndAppManagementAssignmentFilterType": "none",
        "groupId": "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f",
    },
}
# As Graph's front end sends them.
GRAPH = (
    "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\nStrict-Transport-Security: max-age=31536000\r\n"
    "request-id: 6b0b0b0e-3f5d-4a3c-9d6f-2d3f2d3f2d3f\r\nclient-request-id: 6b0b0b0e-3f5d-4a3c-9d6f-2d3f2d3f2d3f\r\n"
    'x-ms-ags-diagnostic: {"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"004"}}\r\n'
    "odata-version: 4.0\r\n"
    f"Date: {formatdate(usegmt=True)}\r\n"
)


def answer(body: object, headers: str = "") -> bytes:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def rows(number: int) -> list[dict[str, object]]:
    """The first is ROW; the others have groups of their own."""
    groups = [f"{i:08x}-4f50-4617-a829-3a4b5c6d7e8f" for i in range(1, number)]
    return [ROW, *({**ROW, "id": f"p_{group}", "target": {**ROW["target"], "groupId": group}} for group in groups)]


class Connection(asyncio.Protocol):
    """One, whose requests come one after the other."""

    requests = 0

    def __init__(self, page: bytes, token: bytes, delay: float) -> None:
        self._page, self._token, self._delay, self._received = page, token, delay, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self._received = rest
            self._answer(head.split(b" ", 2)[1].decode())
        elif b"grant_type" in rest:
            self._received = b""
            self._transport.write(self._token)

    def _answer(self, path: str) -> None:
        if path == "/count":
            self._transport.write(answer(Connection.requests))
        elif path.endswith("openid-configuration"):
            host, port = self._transport.get_extra_info("sockname")
            base = f"https://{host}:{port}/{TENANT}"
            urls = {"token_endpoint": f"{base}/oauth2/v2.0/token", "authorization_endpoint": f"{base}/oauth2/v2.0/authorize"}
            self._transport.write(answer({"issuer": f"{base}/v2.0", **urls}))
        else:
            Connection.requests += 1
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, self._transport.write, self._page)
            else:
                self._transport.write(self._page)


async def main(certificate: str, delay: float = 0.0, number: int = 1) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    page = answer({"@odata.context": "https://graph.microsoft.com/beta/$metadata#assignments", "value": rows(number)}, GRAPH)
    token = answer({"token_type": "Bearer", "expires_in": 86400, "access_token": "t" * 1500})
    connection = partial(Connection, page, token, delay)
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0, ssl=tls, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], *map(float, sys.argv[2:3]), *map(int, sys.argv[3:4])))
