"""At both doors, no part of a body is read before its headers are authenticated: a call that waited for the body would not end
in these tests."""

import asyncio
import json

import grpc
import pytest
from rest_caller import RestCaller, rest
from rest_mistakes import SET
from rig import failure, gateway

from gateway.emulator import Emulator

LIST = "/compliance_gateway.v1.ComplianceAssignmentService/ListComplianceAssignments"
PATHS = (SET, "/beta/$batch", "/v1.0/$BATCH")
STRANGER, TYPE = "Authorization: Bearer xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "Content-Type: application/json"
UNREADABLE = b'{"requests": [], "requests": []'
SECONDS = 4


async def answered(caller: RestCaller, path: str, *headers: str, body: bytes = b"", length: int = 100_000) -> tuple[int, dict]:
    """Status and JSON of the answer to a POST whose body is never complete."""
    host, port = caller.root.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    try:
        async with asyncio.timeout(SECONDS):
            status = (await reader.readuntil(b"\r\n\r\n")).split()[1]
            return int(status), json.loads(await reader.readuntil(b"}}}"))
    finally:
        writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_a_stranger_is_refused_before_its_body_has_come(live: Emulator, path: str):
    async with rest(live) as (rig, caller):
        status, answer = await answered(caller, path, STRANGER, TYPE, body=UNREADABLE)
        assert (status, answer["error"]["code"]) == (401, "CALLER_UNAUTHENTICATED")
        assert (await caller.send("GET", SET)).status == 200
    assert [entry.outcome for entry in rig.entries()] == ["CALLER_UNAUTHENTICATED"]


async def test_a_batch_of_a_stranger_is_refused_whatever_is_in_it_and_kept_once(live: Emulator):
    async with rest(live) as (rig, caller):
        token = {"Authorization": "Bearer " + "x" * 40, "Content-Type": "text/plain"}
        answer = await caller.send("POST", "/beta/$batch", data=UNREADABLE, headers=token)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')
    [entry] = rig.entries()
    assert (entry.id, entry.operation, entry.outcome) == (answer.headers["request-id"], "Batch", "CALLER_UNAUTHENTICATED")


@pytest.mark.parametrize("path", PATHS[:2])
async def test_a_known_callers_body_has_to_come_in_time_however_long_it_would_wait(live: Emulator, path: str):
    async with rest(live, server={"default_deadline_s": 0.6}) as (_, caller):
        token = f"Authorization: Bearer {caller.token}"
        status, answer = await answered(caller, path, token, TYPE, "Prefer: wait=99999", body=b'{"requests": [')
        assert (status, answer["error"]["code"]) == (408, "REQUEST_TOO_SLOW")


async def exchanged(channel: grpc.aio.Channel, token: str, *, end: bool):
    """The answer to a call that sends headers and no message. end: whether the client ends its side."""
    call = channel.stream_unary(LIST)(metadata=(("authorization", f"Bearer {token}"),), timeout=SECONDS)
    if end:
        await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return failure(caught.value)


async def test_a_stranger_is_refused_before_its_message_has_come(live: Emulator):
    async with gateway(live) as rig:
        assert (await exchanged(rig.channel, "x" * 40, end=False)).reason == "CALLER_UNAUTHENTICATED"


async def test_a_call_without_a_message_is_told_so(live: Emulator):
    async with gateway(live, server={"default_deadline_s": 0.6}) as rig:
        assert (await exchanged(rig.channel, rig.token, end=True)).reason == "MESSAGE_MALFORMED"
        assert (await exchanged(rig.channel, rig.token, end=False)).reason == "REQUEST_TOO_SLOW"
