"""Credentials change under load: no call fails. `pytest -s tests/faults/test_rotation.py` prints the figures."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from certificates import new_pair
from rig import Failure, Rig, gateway, logged, unthrottle

from gateway.cli.emulator import tenant_of
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.registration import App
from gateway.emulator.seeds import EMPTY

CALLERS, ROTATIONS = 24, 10
LIST = {"deviceCompliancePolicyId": EMPTY}
PAIRS = [new_pair(f"app{i}") for i in range(3)]


class Load:
    """Callers that list repeatedly."""

    def __init__(self, rig: Rig, tenant: str = "emulator") -> None:
        self.rig, self.answers, self.failures, self.over = rig, 0, [], False
        self.metadata = (("authorization", f"Bearer {rig.token}"), ("x-graph-tenant", tenant))

    async def __aenter__(self) -> "Load":
        self.tasks = [asyncio.create_task(self._ask(number / CALLERS)) for number in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        await asyncio.gather(*self.tasks)

    async def _ask(self, after: float) -> None:
        await asyncio.sleep(after)
        while not self.over:
            answer = await self.rig.call("ListComplianceAssignments", LIST, metadata=self.metadata)
            self.answers += 1
            if isinstance(answer, Failure):
                self.failures.append(answer)
            await asyncio.sleep(1)  # more would only keep the machine busy


async def until(lines: list[str], message: str) -> None:
    async with asyncio.timeout(60):
        while not any(message in line for line in lines):
            await asyncio.sleep(0.01)
    lines.clear()


async def rotate(emulator: Emulator, kind: str, path: Path, put: Callable[[App, int], Awaitable[None]]) -> Load:
    """Rotates ten times: the next credential is registered, then written to the file, then the previous one is revoked. Every
    third time a wrong one is written first."""
    app = emulator.world.entra.app
    app.lifetime = 12
    unthrottle(emulator)
    await put(app, 0)
    credential = {"kind": kind, "file": str(path)}
    with logged() as lines:
        async with (
            gateway(emulator, server={"reload_s": 0.05}, tenants={"emulator": tenant_of(emulator, credential)}) as rig,
            Load(rig) as load,
        ):
            async with asyncio.timeout(60):
                while not load.answers:  # what is there before the first token is no rotation
                    await asyncio.sleep(0.01)
            for number in range(1, ROTATIONS + 1):
                if number % 3 == 0:
                    path.write_text("canary-wrong")
                    await until(lines, "the previous one stays in use")
                await put(app, number)
                await until(lines, "credential rotated")
                await asyncio.sleep(0.2)
    assert "canary" not in json.dumps([failure.seen for failure in load.failures])
    print(f"{kind}: {ROTATIONS} rotations, {load.answers} calls of {CALLERS} callers, {len(load.failures)} failed,")
    print(f"  {emulator.world.entra.token_requests} token requests")
    return load


async def test_a_secret_is_rotated_under_load(live: Emulator, tmp_path: Path):
    path = tmp_path / "secret"

    async def put(app: App, number: int) -> None:
        app.secrets.append(f"secret-{number}")
        path.write_text(f"secret-{number}")
        if number:  # what was before stays good until the new one is seen
            asyncio.get_running_loop().call_later(1, app.secrets.remove, f"secret-{number - 1}")

    load = await rotate(live, "secret", path, put)
    assert load.failures == []
    assert load.answers > CALLERS


async def test_a_certificate_is_rotated_under_load(live: Emulator, tmp_path: Path):
    path = tmp_path / "app.pem"

    async def put(app: App, number: int) -> None:
        new = PAIRS[number % 3]
        app.certificates = [new.pem, *app.certificates[:1]]
        new.write(path)

    load = await rotate(live, "certificate", path, put)
    assert load.failures == []
    assert load.answers > CALLERS


@pytest.mark.parametrize("fault", [{}, {"status": 500}, {"status": 401, "body": {"error": "invalid_client"}}])
async def test_a_tenant_in_trouble_delays_no_other(live: Emulator, fault: dict):
    """Two Entras, of which one is silent, down, or refusing: callers of the other tenant notice nothing."""
    async with Emulator() as other:
        tenants = {"emulator": tenant_of(live), "sick": tenant_of(other)}
        live.world.entra.app.lifetime = 11
        unthrottle(live)
        async with gateway(live, tenants=tenants) as rig:
            released = asyncio.Event()
            silence = {} if fault else {"until": released}
            other.world.faults.order([Fault(path="/oauth2/v2.0/token", times=10_000, **fault, **silence)])
            sick = Load(rig, "sick")
            async with Load(rig) as load, sick:
                for _ in range(40):
                    assert not isinstance(await rig.call("ListComplianceAssignments", LIST, metadata=load.metadata), Failure)
                    await asyncio.sleep(0.02)
                released.set()
            assert load.failures == []
            assert sick.failures or silence
