"""What runs beside the calls goes on, whatever happens."""

import asyncio

from rig import logged

from gateway.repeating import repeating


async def test_a_bug_ends_nothing_and_is_told_without_texts():
    done = []

    async def step() -> None:
        done.append(1)
        if len(done) == 1:
            raise RuntimeError("canary")

    with logged() as lines:
        async with repeating("step", 0.001, step):
            while len(done) < 3:
                await asyncio.sleep(0.001)
        count = len(done)
        await asyncio.sleep(0.01)
    assert len(done) == count, "and it ends with its block"
    [line] = lines
    assert '"task": "step"' in line
    assert "canary" not in line
