"""`$metadata` to parsers that nobody here wrote: odata-csdl, of the committee that OData is from, which says what is wrong
with a document; and odata2ts, which makes a client from it, that goes by nothing else and finds its way through the gateway.

python-odata knows neither what is contained in a singleton nor the keys of what is contained; pyodata is for OData 2.
"""

import asyncio
import json
import os
from pathlib import Path

import pytest
from node import installed, output
from rest_caller import rest

from gateway.doors.rest_metadata import metadata
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, FILTER, GROUP, MACOS, NAMES, WINDOWS

HERE = Path(__file__).parent / "odata"
pytestmark = pytest.mark.needs("npm")


async def strictly(document: bytes) -> dict:
    return json.loads(await output(HERE, {**os.environ}, "node", "strict.js", given=document))


@pytest.mark.parametrize("beta", [True, False])
async def test_a_strict_parser_objects_to_nothing(beta: bool):
    assert await asyncio.to_thread(installed, HERE)
    document = metadata("", beta=beta)
    found = (await strictly(document))["microsoft.graph"]
    assert found["deviceCompliancePolicy"]["assignments"]["$ContainsTarget"] is True
    assert found["windows10CompliancePolicy"]["$BaseType"] == "microsoft.graph.deviceCompliancePolicy"
    assert found["assign"][0]["$IsBound"] is True
    with pytest.raises(AssertionError):
        await strictly(document.replace(b"<Member", b"<Number", 1).replace(b"<PropertyRef", b"<Property", 1))


async def test_a_client_that_is_made_from_it_finds_its_way(live: Emulator, tmp_path: Path):
    assert await asyncio.to_thread(installed, HERE)
    live.world.graph.page_size = 100
    async with rest(live) as (rig, caller):
        modules = {"NODE_PATH": str(HERE / "node_modules")}
        given = {"GATEWAY": caller.root, "TOKEN": rig.token, "OUTPUT": str(tmp_path), "POLICY": EMPTY, "GROUP": GROUP}
        environment = {**os.environ, **modules, **given}
        await output(HERE, environment, "node_modules/.bin/odata2ts")
        seen = json.loads(await output(HERE, environment, "node", "client.js"))
        assert [row["target"]["groupId"] for row in rig.rows(EMPTY)] == [GROUP]
    assert [one["id"] for one in seen["policies"]] == [WINDOWS, MACOS, EMPTY]
    assert WINDOWS in [one["id"] for one in seen["windows"]]
    assert [one["displayName"] for one in seen["groups"]] == [NAMES[GROUP]]
    assert [one["id"] for one in seen["filters"]] == [FILTER]
    for rows in (seen["assigned"], seen["assignments"]):
        assert [row["target"]["groupId"] for row in rows] == [GROUP]
