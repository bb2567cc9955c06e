"""Graph's answers have the headers of real answers: microsoftgraph/msgraph-sdk-powershell#1257, IntuneBackupAndRestore#82."""

import asyncio
import gzip
import json
import ssl
from urllib.parse import urlsplit

import pytest
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, WINDOWS

LIST = f"/beta/deviceManagement/deviceCompliancePolicies/{WINDOWS}/assignments"


async def raw(live: Emulator, path: str, accept: str) -> tuple[int, dict[str, str], bytes]:
    """An answer's body as sent: chunks are joined, nothing is decompressed."""
    tls = ssl.create_default_context(cafile=live.folder / "ca.pem")
    root = urlsplit(live.root)
    async with graph_session(live) as session:
        token = session.headers["Authorization"]
    reader, writer = await asyncio.open_connection(root.hostname, root.port, ssl=tls)
    lines = (f"GET {path} HTTP/1.1", f"Host: {root.netloc}", f"Authorization: {token}", f"Accept-Encoding: {accept}")
    writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return int(first.split()[1]), headers, joined(body) if headers.get("transfer-encoding") == "chunked" else body


def joined(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return whole


@pytest.mark.parametrize(("path", "status"), [(LIST, 200), ("/beta/deviceManagement/x", 400)])
async def test_answers_are_chunked_and_zipped_where_that_is_asked_for(live: Emulator, path: str, status: int):
    seen, headers, body = await raw(live, path, "gzip, deflate, br")
    assert (seen, headers["transfer-encoding"], headers["content-encoding"]) == (status, "chunked", "gzip")
    assert "content-length" not in headers
    assert json.loads(gzip.decompress(body))
    seen, headers, body = await raw(live, path, "deflate")
    assert (seen, headers["transfer-encoding"], headers.get("content-encoding")) == (status, "chunked", None)
    assert json.loads(body)


async def test_every_answer_tells_where_it_comes_from(live: Emulator):
    async with graph_session(live) as session:
        for path in (LIST, "/beta/deviceManagement/x"):
            async with session.get(live.root + path) as answer:
                server = json.loads(answer.headers["x-ms-ags-diagnostic"])["ServerInfo"]
                assert list(server) == ["DataCenter", "Slice", "Ring", "ScaleUnit", "RoleInstance"]
                assert all(isinstance(value, str) and value for value in server.values())
                assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
                assert answer.headers["Vary"] == "Accept-Encoding"
                assert "Server" not in answer.headers


async def test_an_answer_of_assign_may_be_empty_and_has_its_ids(live: Emulator):
    async with graph_session(live) as session:
        for _ in range(6):
            path = f"/beta/deviceManagement/deviceCompliancePolicies/{EMPTY}/assign"
            async with session.post(live.root + path, json={"assignments": []}) as answer:
                assert answer.headers["request-id"]
                assert (answer.headers.get("Transfer-Encoding") == "chunked") == bool(await answer.read())
