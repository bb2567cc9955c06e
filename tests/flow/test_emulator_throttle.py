"""The throttle counts refused requests too, and a retry at its Retry-After is admitted."""

import copy
import random

from emulator_client import Client
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY
from gateway.emulator.throttle import Throttle


async def test_who_asks_again_too_early_keeps_the_door_shut(live: Emulator):
    async with graph_session(live) as session:
        client, refused = Client(live, session), []
        await client.control("PUT", "/throttle", {"app_writes": 3})
        for _ in range(3):
            refused.append([(await client.assign(EMPTY))[0] == 429 for _ in range(3)])
            await client.control("POST", "/clock", {"advance_s": 15})
        assert refused == [[False] * 3, [True] * 3, [True] * 3], "the first three are over in the third round, the others not"
        await client.control("POST", "/clock", {"advance_s": 6})
        assert (await client.assign(EMPTY))[0] != 429


def test_retry_after_is_true_if_nobody_asks_meanwhile():
    rng, throttle, now, told = random.Random(1), Throttle(app_writes=3, tenant_writes=5), 1000.0, 0
    for _ in range(200):
        now += rng.choice((0.5, 3, 8, 15))
        retry_after = throttle.admit("service", "tenant", "app", write=True, now=now)
        if retry_after and not retry_after.endswith("GMT"):
            told += 1
            too_early, in_time = copy.deepcopy(throttle), copy.deepcopy(throttle)
            assert too_early.admit("service", "tenant", "app", write=True, now=now + float(retry_after) - 0.01) is not None
            assert in_time.admit("service", "tenant", "app", write=True, now=now + float(retry_after) + 0.01) is None
    assert told > 20


async def test_each_service_has_windows_of_its_own(live: Emulator):
    async with graph_session(live) as session:
        client = Client(live, session)
        await client.control("PUT", "/throttle", {"app_requests": 2})
        apps = f"{live.root}/beta/deviceAppManagement/mobileApps"
        assert [(await client.send("GET", apps))[0] for _ in range(3)] == [400, 400, 429], "counted, though nothing is there"
        assert (await client.send("GET", f"/{EMPTY}/assignments"))[0] == 200
