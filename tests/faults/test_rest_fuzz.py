"""Bytes at the REST port that are no request, or a strange one: the door answers or cuts them off, and goes on serving."""

import asyncio
import json
import random
import secrets
import sys
from pathlib import Path

import pytest
from edits_over_the_wire import MERGE
from rest_caller import RestCaller, rest
from rest_mistakes import GOOD, SET
from rig import logged, unthrottle

from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS

HEAD = b"Host: x\r\nAuthorization: Bearer canary-token-of-a-caller\r\n"
LINE = f"POST {SET} HTTP/1.1\r\n".encode()
QUICK = {"default_deadline_s": 0.5, "idle_s": 0.4}
# What comes whole is not to be cut off by a slow machine.
WHOLE = {"default_deadline_s": 60, "idle_s": 0.4}
IN_TIME = {"Prefer": "wait=60"}
LONG = b"x" * 100_000
RAW = {
    "nothing": b"",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 4,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/9.9": b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a path that is none": b"GET * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a URL that is none": b"GET http://[ HTTP/1.1\r\n" + HEAD + b"\r\n",
    "CONNECT": b"CONNECT graph.microsoft.com:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "broken UTF-8 in the path": b"GET /beta/\xff\xfe%ff HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a line end in the path": b"GET /beta\n/x HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a giant path": b"GET /" + LONG + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a giant header": LINE + HEAD + b"X-Much: " + LONG + b"\r\n\r\n",
    "a thousand headers": LINE + HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(1000)) + b"\r\n",
    "a header without a colon": LINE + HEAD + b"canary-token-without-a-colon\r\n\r\n",
    "a header of bytes": LINE + HEAD + b"client-request-id: \xff\xfe\r\nIdempotency-Key: \xc3\x28\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": LINE + HEAD + b"X-Nul: a\x00b\r\n\r\n",
    "a folded header": LINE + HEAD + b"X-Fold: a\r\n b\r\n\r\n",
    "a length that is none": LINE + HEAD + b"Content-Length: x\r\n\r\n",
    "a negative length": LINE + HEAD + b"Content-Length: -1\r\n\r\n",
    "two lengths": LINE + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length and chunks": LINE + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
    "an encoding that is none": LINE + HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "a chunk that is none": LINE + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk too long": LINE + HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
    "half a chunk": LINE + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "half a body": LINE + HEAD + b"Content-Length: 100\r\n\r\n{",
    "a giant body": LINE + HEAD + b"Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n" + LONG,
    "two hosts": LINE + HEAD + b"Host: y\r\nContent-Length: 0\r\n\r\n",
    "an upgrade": LINE
    + HEAD
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nContent-Length: 0\r\n\r\n",
    "an expectation that is none": LINE + HEAD + b"Expect: the-unexpected\r\nContent-Length: 0\r\n\r\n",
    "many at once": (b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n") * 200,
}


async def say(caller: RestCaller, data: bytes, patience: float = 3.0) -> bytes:
    """Sends data, and returns what is received until the server closes or `patience` seconds are over."""
    host, port = caller.root.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    heard = b""
    try:
        writer.write(data)
        async with asyncio.timeout(patience):
            while chunk := await reader.read(65536):
                heard += chunk
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return heard


def statuses(heard: bytes) -> set[int]:
    return {int(line.split()[1]) for line in heard.split(b"\r\n") if line.startswith(b"HTTP/1.")}


@pytest.mark.parametrize("name", RAW)
async def test_it_answers_or_closes_and_serves_on(live: Emulator, name: str):
    with logged() as lines:
        async with rest(live, server=QUICK) as (rig, caller):
            heard = await say(caller, RAW[name])
            assert statuses(heard) <= {200, 400, 401, 404, 405, 408, 413, 415, 417, 431}, heard[:500]
            for part in heard.split(b"\r\n\r\n{")[1:]:
                assert json.loads(b"{" + part.partition(b"HTTP/1.")[0])
            assert (await caller.send("GET", SET, headers=IN_TIME)).status == 200
            assert rig.writes() == []
    assert "canary-token" not in "".join(lines) + heard.decode("latin-1")
    assert not [line for line in lines if '"bug"' in line or "Traceback" in line]


@pytest.mark.parametrize("head", ["CONNECT x:80 HTTP/1.1", "OPTIONS * HTTP/1.1", f"GET {SET} HTTP/1.1\r\nExpect: x"])
async def test_what_leads_nowhere_is_answered_like_all_else(live: Emulator, head: str):
    """In Graph's form, in the log, and without the versions of the server's libraries."""
    with logged() as lines:
        async with rest(live, server=QUICK) as (_, caller):
            heard = await say(caller, f"{head}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert statuses(heard) <= {401, 404}
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["error"]["code"] in ("ROUTE_UNKNOWN", "CALLER_UNAUTHENTICATED")
    assert b"aiohttp" not in heard
    assert [line for line in lines if json.loads(line)["message"] in ("refused", "call")]


@pytest.mark.parametrize(("token", "asked"), [("x", False), ("", True)])
async def test_only_a_known_callers_body_is_asked_for(live: Emulator, token: str, asked: bool):
    async with rest(live, server=WHOLE, **MERGE) as (_, caller):
        head = f"Authorization: Bearer {token or caller.token}\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
        heard = await say(caller, LINE + b"Host: x\r\n" + head.encode() + b"Content-Length: 9\r\nConnection: close\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") is asked
    assert asked or statuses(heard) == {401}


async def test_mutations_of_a_good_request(live: Emulator):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    good = LINE + b"Host: x\r\nAuthorization: Bearer TOKEN\r\nContent-Type: application/json\r\n"
    good += b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(GOOD) + GOOD
    counts: dict[int, int] = {}
    with logged() as lines:
        async with rest(live, server=WHOLE, **MERGE) as (rig, caller):
            unthrottle(live)
            whole = good.replace(b"TOKEN", caller.token.encode())

            async def one(data: bytes) -> None:
                for status in statuses(await say(caller, data)):
                    counts[status] = counts.get(status, 0) + 1

            for _ in range(4):
                await asyncio.gather(*(one(mutated(whole, chance)) for _ in range(100)))
            assert (await caller.send("GET", SET)).status == 200
            before = len(rig.rows(WINDOWS))
    print(f"400 mutations, seed {seed}: statuses {dict(sorted(counts.items()))}")
    assert not {status for status in counts if status >= 500}, f"seed {seed}"
    assert before >= 5, f"seed {seed}: a mutation may create, and may not remove"
    assert caller.token not in "".join(lines)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with one to four changes: a byte changed, or a piece removed, doubled or copied elsewhere."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(out)), chance.randint(1, 40)
        match chance.randrange(4):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size]
            case 3:
                piece = out[at : at + size]
                out[(where := chance.randrange(len(out))) : where] = piece
        if not out:
            out = bytearray(b" ")
    return bytes(out)


SLOW = {
    "nothing at all": b"",
    "half a head": LINE + HEAD,
    "a head, letter by letter": LINE + b"X-Slow: ",
    "half a body": RAW["half a body"],
}


@pytest.mark.parametrize("name", SLOW)
async def test_who_is_too_slow_is_cut_off(live: Emulator, name: str):
    async with rest(live, server={"default_deadline_s": 0.5, "idle_s": 0.5}) as (_, caller):
        host, port = caller.root.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))

        async def drip() -> None:
            writer.write(SLOW[name])
            while True:
                await asyncio.sleep(0.1)
                writer.write(b"X")

        task = asyncio.create_task(drip() if "letter" in name else asyncio.sleep(0))
        if "letter" not in name:
            writer.write(SLOW[name])
        async with asyncio.timeout(60):
            heard = await reader.read()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        assert statuses(heard) == ({401} if name == "half a body" else set())
        assert (await caller.send("GET", SET, headers=IN_TIME)).status == 200


async def test_a_connection_serves_many_requests(live: Emulator):
    async with rest(live) as (_, caller):
        answers = await say(
            caller, (f"GET {SET} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {caller.token}\r\n\r\n" * 5).encode()
        )
        assert answers.count(b"HTTP/1.1 200") == 5


# Reads are many, and of few kinds.
FUZZED = {
    "operations": ["--exclude-tag", "reads", "--max-examples", "15"],
    "reads": ["--include-tag", "reads", "--max-examples", "5", "--phases", "fuzzing"],
}


@pytest.mark.needs("schemathesis")
@pytest.mark.parametrize("what", FUZZED)
async def test_schemathesis_finds_nothing(live: Emulator, tmp_path: Path, what: str):
    """Every check but one: the state and Graph decide whether valid input is accepted (request IDs, pages, tenants)."""
    unthrottle(live)
    async with rest(live, **MERGE) as (_, caller):
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{caller.root}/openapi.json", "--no-color"]
        command += ["-H", f"Authorization: Bearer {caller.token}", "--checks", "all"]
        command += [*FUZZED[what], "--exclude-checks", "positive_data_acceptance", "--seed", str(secrets.randbits(32))]
        command += ["--request-timeout", "20", "--suppress-health-check", "all", "--warnings", "off"]
        command += ["--generation-database", "none"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
        out = (await asyncio.wait_for(process.communicate(), 900))[0].decode()
    assert process.returncode == 0, out[-6000:]
    print(next(line.strip() for line in out.splitlines() if "generated" in line))
