"""No request gets the answer to another, whatever the server does with its connections and whoever gives up."""

import asyncio
import os
import random
import secrets
from collections import Counter

from gateway.graph.transports import Request, Settings, TransportError
from gateway.graph.transports.httptools_transport import HttptoolsTransport
from gateway.testing.raw_http import RawRequest, raw_server

REQUESTS, AT_ONCE = int(os.environ.get("REQUESTS", "400")), 16


WAYS = [
    *["well"] * 6,
    *(
        "in pieces",
        "late",
        "after another",
        "before another",
        "the last",
        "the last, as it turns out",
        "cut",
        "none",
        "garbage",
    ),
]


def answer_to(request: RawRequest, extra: bytes = b"") -> bytes:
    """With the request's own number."""
    number = request.head.split()[1].encode()
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (extra, len(number), number)


async def misbehave(rng: random.Random, request: RawRequest) -> None:
    answer = answer_to(request)
    place = rng.randrange(1, len(answer))
    pieces, ends = {
        "well": ([answer], False),
        "in pieces": ([answer[:place], answer[place:]], False),
        "late": ([b"", answer], False),
        "after another": ([b"HTTP/1.1 102 Processing\r\n\r\n" + answer], False),
        "before another": ([answer + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"], False),
        "the last": ([answer_to(request, b"Connection: close\r\n")], False),
        "the last, as it turns out": ([answer], True),
        "cut": ([answer[:place]], True),
        "none": ([], True),
        "garbage": ([rng.randbytes(50)], False),
    }[rng.choice(WAYS)]
    for number, piece in enumerate(pieces):
        await asyncio.sleep(number * rng.random() / 20)
        await request.answer(piece)
    if ends:
        request.writer.close()


async def test_no_request_gets_the_answer_to_another():
    seed = int(os.environ.get("SEED", secrets.randbelow(10**9)))
    rng, came = random.Random(seed), Counter[str]()
    numbers = iter(range(REQUESTS))

    async def ask(port: int, transport: HttptoolsTransport) -> None:
        for number in numbers:
            request = Request(rng.choice(["GET", "POST"]), f"http://127.0.0.1:{port}/{number}", {}, urgent=rng.random() < 0.5)
            sending = transport.send(request, rng.choice([0.02, 5.0, 5.0, 5.0]), fresh=rng.random() < 0.1)
            try:
                if rng.random() < 0.1:
                    response = await asyncio.wait_for(sending, rng.random() / 50)
                else:
                    response = await sending
            except (TransportError, TimeoutError) as error:
                came[type(error).__name__] += 1
            else:
                came["answer"] += 1
                assert response.body == f"/{number}".encode(), f"seed {seed}"

    async with raw_server(lambda request: misbehave(rng, request)) as server:
        transport = HttptoolsTransport(Settings(read_timeout=2))
        await asyncio.gather(*(ask(server.port, transport) for _ in range(AT_ONCE)))
        await transport.close()
    assert came["answer"] > REQUESTS / 4, came  # on a slow machine the short time-outs all pass
    assert came["TransportError"] > REQUESTS / 20, came
