"""Connections of strangers to the REST door are bounded, in all and for each address, and the door then accepts others
again."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest
from rest_caller import RestCaller, rest
from rest_mistakes import SET

from gateway.doors.connections import cut, peer_of, within_files
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault

PEERS = {"127.0.0.1": "127.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "2001:db8::1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64"}


@pytest.mark.parametrize("host", PEERS)
def test_an_address_counts_for_its_peer(host: str):
    assert peer_of(host) == PEERS[host]


def test_connections_are_no_more_than_there_are_files(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 4096))
    assert within_files(1000) == 192
    assert within_files(100) == 100


@asynccontextmanager
async def opened(caller: RestCaller, count: int) -> AsyncIterator[list[socket.socket]]:
    """Connections, up to `count`, as many as can be opened."""
    host, port = caller.root.removeprefix("http://").split(":")
    with ExitStack() as stack:
        found = []
        with suppress(OSError):
            for _ in range(count):
                found.append(stack.enter_context(socket.create_connection((host, int(port)))))
                found[-1].setblocking(False)
        yield found


async def heard(one: socket.socket) -> bytes:
    """The bytes received until the server closes the connection."""
    loop, data = asyncio.get_running_loop(), b""
    with suppress(ConnectionError):
        async with asyncio.timeout(20):
            while chunk := await loop.sock_recv(one, 1000):
                data += chunk
    return data


async def asked(one: socket.socket) -> bytes:
    with suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(one, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return await heard(one)


async def test_who_has_its_share_gets_no_connection_more_until_it_gives_one_back(live: Emulator):
    async with rest(live, server={"connections_per_peer": 5}) as (_, caller):
        assert (await caller.send("GET", SET)).status == 200, "its connection is kept"
        async with opened(caller, 4), opened(caller, 20) as more:
            assert [await asked(one) for one in more] == [b""] * 20
            assert (await caller.send("GET", SET)).status == 200
        async with asyncio.timeout(20):
            while True:
                async with opened(caller, 1) as [one]:
                    if b" 200 " in await asked(one):
                        break


async def test_silent_connections_give_way(live: Emulator):
    """Silent clients have all connections. When their time to send a head is over, the waiting caller is served."""
    async with rest(live, server={"connections": 5, "idle_s": 1.0}) as (_, caller), opened(caller, 5) as held:
        async with asyncio.timeout(20):
            assert (await caller.send("GET", SET)).status == 200
        assert [await heard(one) for one in held] == [b""] * 5


async def test_the_door_recovers_when_there_was_no_file_left(live: Emulator):
    async with rest(live) as (_, caller):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with opened(caller, 1) as [first]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (first.fileno() + 4, hard))
            try:
                async with opened(caller, 50) as more:
                    await asyncio.sleep(0.3)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert len(more) < 50, "files ran out"
        async with asyncio.timeout(20):
            assert (await caller.send("GET", SET)).status == 200


def head(filling: int) -> bytes:
    """A request's head without its end."""
    lines = [f"X-{number}: {'y' * 30_000}" for number in range(filling // 30_000)]
    return "\r\n".join(["GET /healthz HTTP/1.1", "Host: x", *lines, ""]).encode()


async def told(one: socket.socket, data: bytes) -> bytes:
    """Sends data, and returns what is received until the server closes the connection."""
    loop = asyncio.get_running_loop()

    async def send() -> None:
        with suppress(OSError):
            await loop.sock_sendall(one, data)

    sending = asyncio.create_task(send())
    try:
        return await heard(one)
    finally:
        sending.cancel()


async def test_a_head_without_an_end_is_refused_before_it_is_large(live: Emulator):
    async with rest(live) as (_, caller), opened(caller, 2) as [one, other]:
        assert b" 431 " in await told(one, head(90_000))
        async with asyncio.timeout(60):
            assert await told(other, head(3_000_000)) is not None, "it is not read any more"
        assert (await caller.send("GET", SET)).status == 200


async def test_heads_may_come_in_pieces_one_after_the_other(live: Emulator):
    async with rest(live) as (_, caller), opened(caller, 1) as [one]:
        whole = head(30_000) + b"Connection: close\r\n\r\n"
        for _ in range(5):
            await asyncio.get_running_loop().sock_sendall(one, head(30_000))
            await asyncio.sleep(0.02)
            await asyncio.get_running_loop().sock_sendall(one, b"\r\n")
            await asyncio.sleep(0.02)
        answers = await told(one, whole)
        assert answers.count(b" 200 OK") == 6


async def test_requests_that_wait_are_few_or_small(live: Emulator):
    """The first request is slow, so that the others wait behind it."""
    live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=60.0)])
    async with rest(live) as (_, caller), opened(caller, 1) as [one]:
        slow = f"GET {SET} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\n\r\n"
        assert await told(one, slow.encode() + (head(30_000) + b"\r\n") * 20) == b""


async def test_who_does_not_take_its_answers_loses_its_place(live: Emulator):
    async with rest(live, server={"connections": 1, "idle_s": 1.0}) as (_, caller), opened(caller, 1) as [one]:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_sendall(one, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 2000)
        async with asyncio.timeout(20):
            assert (await caller.send("GET", SET)).status == 200


def test_who_looks_for_sockets_leaves_no_file_open():
    """Looking for sockets among the open files opens none: not every file is a socket."""
    before = os.listdir("/dev/fd")
    cut({"127.0.0.1:1"})
    assert os.listdir("/dev/fd") == before
