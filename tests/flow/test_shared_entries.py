"""Only the entries of edits that were sent in a write name that write."""

import asyncio

from edits_over_the_wire import MERGE, guid
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import GROUP, WINDOWS


async def test_a_refused_edit_does_not_name_the_write_that_others_of_its_batch_went_out_in(live: Emulator):
    released = asyncio.Event()
    async with gateway(live, **MERGE) as rig:

        async def create(group_id: str):
            assignment = {"target": {"group": {"groupId": group_id}}}
            return await rig.call("CreateComplianceAssignment", {"deviceCompliancePolicyId": WINDOWS, "assignment": assignment})

        live.world.faults.order([Fault(method="GET", path="/assignments", until=released)])
        asking = [asyncio.create_task(create(group_id)) for group_id in (guid(1), GROUP, guid(2))]
        async with asyncio.timeout(20):
            while len(rig.entries()) < 3:
                await asyncio.sleep(0.02)
        released.set()
        answers = await asyncio.gather(*asking)
        assert [isinstance(answer, Failure) for answer in answers] == [False, True, False]
        [write] = [one for one in rig.writes() if one["path"].endswith("/assign")]
        name = write["headers"]["client-request-id"]
        named = {entry.target: (entry.client_request_id, entry.revision) for entry in rig.entries()}
        assert named[f"group {GROUP}"] == ("", None)
        assert {named[f"group {guid(number)}"] for number in (1, 2)} == {(name, 1)}
