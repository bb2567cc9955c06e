"""No secret and no token is in any answer, log line or traceback, whatever goes wrong."""

import json

from rig import gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY

GOOD = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"allDevices": {}}}}
FAULTS = [
    Fault(path="oauth2", status=401, body={"error": "invalid_client", "error_description": "AADSTS7000215: SECRET"}),
    Fault(path="oauth2", cut="after"),
    Fault(path="openid", status=500, body="SECRET"),
    Fault(path="/assignments$", status=401, body={"error": {"code": "InvalidAuthenticationToken", "message": "SECRET"}}),
    Fault(path="/assignments$", status=400, body="SECRET"),
    Fault(path="/assignments$", status=201, body="SECRET"),
    Fault(path="/assignments$", cut="before"),
]


async def test_nothing_leaks(documented: Emulator, monkeypatch, capfd):
    secret = documented.world.entra.app.secret
    issued: list[str] = []
    issue = documented.world.entra._issue
    monkeypatch.setattr(documented.world.entra, "_issue", lambda: issued.append(issue()) or issued[-1])
    seen, reasons = [], set()
    with logged() as lines:
        for fault in FAULTS:
            if isinstance(fault.body, dict | str):
                fault.body = json.loads(json.dumps(fault.body).replace("SECRET", secret))
            fault.times = 99
            documented.world.faults.clear()
            documented.world.faults.order([fault])
            async with gateway(documented, graph={"create_route": "documented", "doubt_s": 0, "max_attempts": 1}) as rig:
                failure = await rig.call("CreateComplianceAssignment", GOOD)
                seen += [failure.seen, failure.message, rig.token]
                reasons.add(failure.reason)
                tokens = [rig.token]
            everything = "".join([*seen[:-1], *lines])
            assert not any(t in everything for t in [secret, *tokens, *issued])
            seen.pop()
    out, err = capfd.readouterr()
    assert not any(text in out + err for text in [secret, *issued])
    assert len(reasons) >= 5
    assert len(issued) >= 4


async def test_a_bug_is_internal_without_detail_and_logged_without_texts(documented: Emulator, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("canary-detail") from ValueError("canary-cause")

    monkeypatch.setattr("gateway.assignments.requests.TARGET.to_json", broken)
    with logged() as lines:
        async with gateway(documented) as rig:
            failure = await rig.call("CreateComplianceAssignment", GOOD)
    assert (failure.status, failure.reason) == ("INTERNAL", "INTERNAL")
    assert "canary" not in failure.seen + "".join(lines)
    assert any("RuntimeError" in line and "authorize.py" in line for line in lines)
