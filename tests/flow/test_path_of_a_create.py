"""The number of functions of the gateway that a create enters is bounded, so that its path can be followed."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import pytest
from rig import NO_QUOTA, gateway

import gateway as package
from gateway.emulator import Emulator

ROOT = Path(package.__file__).parent
NOT_OURS = ("emulator", "cli")
# With the functions of the ledger's thread it is some more: they are not counted, and have a path of their own.
MOST_FUNCTIONS, MOST_FILES = 281, 65
CREATES = 6
TAIL = {"ledger-commits", "lease renewal"}  # tasks that end when all of a write is done


@contextmanager
def entering() -> Iterator[set[tuple[str, str]]]:
    """The files and names of the gateway's functions that this thread enters; comprehensions and lambdas are part of theirs."""
    entered: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and not code.co_name.startswith("<") and code.co_filename.startswith(str(ROOT)):
            file = Path(code.co_filename).relative_to(ROOT)
            if file.parts[0] not in NOT_OURS:
                entered.add((str(file), code.co_qualname))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(before)


async def at_rest() -> None:
    """Waits until the write's last tasks have ended: its lease is released, and the ledger has everything."""
    async with asyncio.timeout(20):
        while any(task.get_name() in TAIL for task in asyncio.all_tasks()):
            await asyncio.sleep(0.005)


async def test_a_create_takes_no_more_steps_than_it_needs(live: Emulator, monkeypatch: pytest.MonkeyPatch):
    """The path consists of the functions that each of several creates enters; periodic work such as renewals is not part of
    it."""
    monkeypatch.setattr("gateway.bootstrap.repeating", lambda *_: nullcontext())
    live.world.graph.page_size = 100
    # The lag keeps the watch away, and the writes before in the memory.
    graph = {"create_route": "assign", **NO_QUOTA, "lag_s": 60.0, "late_s": 60.0}
    paths = []
    async with gateway(live, graph=graph) as rig:
        for number in range(CREATES + 1):
            target = {"group": {"groupId": f"{number:08x}-0000-4000-8000-000000000000"}}
            request = {"deviceCompliancePolicyId": "policy", "assignment": {"target": target}}
            live.world.intune.policies.get("policy") or live.world.intune.add_policy("policy", "policy", [])
            with entering() as entered:
                assert (await rig.call("CreateComplianceAssignment", request)).id
                await at_rest()
            paths.append(entered)
    path = set.intersection(*paths[1:])  # the first is cold: nothing is remembered, and nothing connected
    files = {file for file, _ in path}
    listed = "\n".join(f"{file}: {', '.join(sorted(name for at, name in path if at == file))}" for file in sorted(files))
    told = (
        f"A create enters {len(path)} functions in {len(files)} files; {MOST_FUNCTIONS} in {MOST_FILES} are allowed. Is there a"
        " new layer that only passes on, or a function of one line for one place? Take it out. If the step is needed, raise"
        f" the bound and say why; if the path became shorter, lower it.\n{listed}"
    )
    assert len(path) <= MOST_FUNCTIONS, told
    assert len(files) <= MOST_FILES, told
    assert len(path) > MOST_FUNCTIONS / 2, f"the path was not seen\n{listed}"
