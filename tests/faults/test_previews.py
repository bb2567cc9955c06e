"""A preview waits for what passes, as the write that it shows would."""

from edits_over_the_wire import LIST, MERGE, create, group
from rig import Failure, gateway

from gateway.assignments.upstream import MAX_READS
from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import WINDOWS


async def test_lists_that_do_not_agree_are_read_anew(live: Emulator):
    live.world.graph.page_size = 100
    async with gateway(live, **MERGE) as rig:
        for preview in (True, False):
            shorter = Fault(**LIST, page="truncated", times=1 + MAX_READS // 2)
            live.world.faults.order([shorter])
            answer = await create(rig, group(1), WINDOWS, validateOnly=preview)
            assert not isinstance(answer, Failure), answer
            assert shorter.times == 0, "that was one look"
            assert len(rig.writes()) == (0 if preview else 1)
