"""The emulator's errors against real bodies. Each golden file names its source and how much of the body the source shows."""

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from graph_session import graph_session

from gateway.emulator import Emulator

GOLDEN = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parents[1] / "cases/golden").glob("*.json"))
}
ERRORS = {name: golden for name, golden in GOLDEN.items() if "error" in golden}
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ZEROS = "00000000-0000-0000-0000-000000000000"
# What differs from one request, month and cluster to the next; the services' names and paths do not.
VOLATILE = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d": "{date}",
    r"\bapi-version=[25]0\d\d-\d\d-\d\d": "api-version={version}",
    r"https://(fef|proxy)\.\w+\.manage\.microsoft\.com": "https://{backend}",
    r"/DeviceConfiguration_\d{4}/": "/DeviceConfiguration/",
    r"https://\{backend\}/StatelessDeviceConfigurationFEService": "https://{backend}/DeviceConfiguration/StatelessDeviceConfigurationFEService",
    r"urn:intune:service,[0-9a-f-]+,[0-9a-f-]+": "urn:intune:service,{service}",
}
ELSEWHERE = {r'Url: https://[^"\\]+': "Url: {url}"}


def settled(text: str, golden: dict[str, Any]) -> str:
    """The text without volatile parts. GUIDs are numbered by first appearance, so that equal GUIDs stay equal."""
    for pattern, word in {**VOLATILE, **(ELSEWHERE if golden.get("elsewhere") else {})}.items():
        text = re.sub(pattern, word, text)
    for old, new in golden.get("replaced", {}).items():
        text = text.replace(old, new)
    seen: dict[str, str] = {ZEROS: ZEROS}
    return GUID.sub(lambda found: seen.setdefault(found[0], f"{{guid {len(seen)}}}"), text)


def told(golden: dict[str, Any], error: dict[str, Any]) -> str:
    """The parts of an error that the golden file has: code, message, and members of the inner error."""
    shown = {key: error.get(key) for key in golden["error"] if key != "innerError"}
    inner = {key: error["innerError"].get(key) for key in golden["error"].get("innerError", ())}
    if golden.get("cut"):
        shown["message"] = shown["message"][: len(golden["error"]["message"])]
    return settled("\n".join(f"{key}: {value}" for key, value in sorted({**shown, **inner}.items())), golden)


async def ordered(emulator: Emulator, requests: list[dict[str, Any]]) -> None:
    async with aiohttp.ClientSession() as session:
        for request in requests:
            async with session.request(request["method"], emulator.control + request["path"], json=request["body"]) as answer:
                assert answer.status == 200, await answer.text()


@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_is_what_its_witness_saw(live: Emulator, name: str):
    golden, seen = GOLDEN[name], []
    await ordered(live, golden["given"])
    async with graph_session(live) as session:
        await ordered(live, golden.get("late", []))
        for _ in range(4):  # some errors come in two shapes in turn
            request = golden["request"]
            async with session.request(request["method"], live.root + request["path"], json=request.get("body")) as answer:
                error = (await answer.json())["error"]
                seen.append((answer.status, told(golden, error)))
                assert error["innerError"].keys() >= {"date", "request-id", "client-request-id"}
    assert (golden["status"], told(golden, golden["error"] | {"innerError": golden["error"].get("innerError", {})})) in seen


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_has_a_source(name: str):
    assert GOLDEN[name]["source"]


@pytest.mark.parametrize("own", ["", "0f1e2d3c-4b5a-4697-8877-665544332211"])
async def test_an_error_carries_the_ids_of_its_request(live: Emulator, own: str):
    """The message's Activity ID is the client-request-id; if none was sent, all three IDs are equal. Every source that shows
    both IDs confirms it (such as msgraph-explorer-v4#3157 and WindowsAutopilotInfo#21)."""
    live.world.graph.throttle.app_requests = 0
    seen = set()
    async with graph_session(live) as session:
        for _ in range(4):
            headers = {"client-request-id": own} if own else {}
            async with session.get(f"{live.root}/beta/deviceManagement/deviceCompliancePolicies", headers=headers) as answer:
                error = (await answer.json())["error"]
                ids = {name: answer.headers[name] for name in ("request-id", "client-request-id")}
            assert {name: error["innerError"][name] for name in ids} == ids
            assert (ids["client-request-id"] == own) if own else (ids["client-request-id"] == ids["request-id"])
            seen |= {activity == ids["client-request-id"] for activity in re.findall("Activity ID: (.{36})", error["message"])}
    assert seen == {True}


async def test_an_ordered_error_carries_the_ids_of_its_request_too(live: Emulator):
    await ordered(live, [{"method": "POST", "path": "/faults", "body": {"path": "Policies", "status": 503}}])
    url = f"{live.root}/beta/deviceManagement/deviceCompliancePolicies"
    async with graph_session(live) as session, session.get(url) as answer:
        inner = (await answer.json())["error"]["innerError"]
        assert answer.status == 503
        assert inner["request-id"] == answer.headers["request-id"] == answer.headers["client-request-id"]
