"""A row that Graph no longer accepts in a restoration is named, to callers that may read rows."""

import pytest
from edits_over_the_wire import MERGE, group
from rig import Failure, gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import WINDOWS
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

TOKENS = {"ops": new_token(), "clerk": new_token()}
RULES = """
permit(principal == Caller::"ops", action, resource);
permit(principal == Caller::"clerk", action in [Action::"RestoreComplianceAssignments", Action::"TouchUnknown"], resource);
"""
FORGOTTEN = {
    "its type": ({"refused_types": ["microsoft.graph.scopeTagGroupAssignmentTarget"]}, "GRAPH_TYPE_UNKNOWN"),
    "a property of it": ({"refused_properties": ["weights"]}, "GRAPH_PROPERTY_UNKNOWN"),
}


@pytest.mark.parametrize("name", FORGOTTEN)
async def test_the_row_is_told(live: Emulator, name: str):
    settings, reason = FORGOTTEN[name]
    rules = live.folder / "refused.cedar"
    rules.write_text(RULES)
    callers = {"static": {caller: hash_token(token) for caller, token in TOKENS.items()}}
    async with gateway(live, callers=callers, authorization={"rules_file": str(rules)}, **MERGE) as rig:
        tokens = {caller: (("authorization", f"Bearer {token}"),) for caller, token in TOKENS.items()}
        policy = {"deviceCompliancePolicyId": WINDOWS}
        emptied = {**policy, "assignments": [{"target": group(1)}]}
        assert not isinstance(await rig.call("ReplaceComplianceAssignments", emptied, metadata=tokens["ops"]), Failure)
        for setting, names in settings.items():
            setattr(live.world.intune.model, setting, names)
        undo = {**policy, "revision": 1}
        seen, told = [await rig.call("RestoreComplianceAssignments", undo, metadata=tokens[one]) for one in ("ops", "clerk")]
        assert (seen.reason, told.reason) == (reason, reason)
        assert seen.fields == ["unknown #microsoft.graph.scopeTagGroupAssignmentTarget"]
        assert told.fields == []
        assert not any(word in told.seen for word in ("scopeTag", "weights"))
        assert told.metadata["graph_request_id"]
