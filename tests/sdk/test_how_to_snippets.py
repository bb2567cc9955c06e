"""The snippets of docs/how-to/point-a-script-at-the-gateway.md, run as they stand against a gateway over TLS."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from attacks import CA, DOOR
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import GROUP, NAMES, WINDOWS

PAGE = (Path(__file__).parents[2] / "docs/how-to/point-a-script-at-the-gateway.md").read_text()


def snippet(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```\n<!-- end -->", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest_asyncio.fixture
async def environment(live: Emulator, tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Of the snippets: address, token, and the authority that the door's certificate is of."""
    DOOR.write(tmp_path / "door.pem")
    (tmp_path / "ca.pem").write_text(CA.pem)
    (tmp_path / "rules.cedar").write_text(snippet("rules").replace('Caller::"reporting"', 'Caller::"demo"'))
    tls = {"cert_file": str(tmp_path / "door.pem"), "key_file": str(tmp_path / "door.pem")}
    rules = {"rules_file": str(tmp_path / "rules.cedar")}
    async with gateway(live, server={"tls": tls, "rest": "127.0.0.1:0"}, authorization=rules) as rig:
        here = {"GATEWAY": f"https://{rig.rest_address}", "TOKEN": rig.token}
        yield {**os.environ, **here, **dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(tmp_path / "ca.pem"))}


async def output(environment: dict[str, str], *command: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.needs("curl")
async def test_from_a_shell(environment: dict[str, str]):
    found = json.loads(await output(environment, "bash", "-c", snippet("curl")))
    assert {"id": GROUP, "displayName": NAMES[GROUP]} in found["value"]


@pytest.mark.needs("msgraph")
async def test_by_the_sdk(environment: dict[str, str]):
    assert f"{WINDOWS} " in await output(environment, sys.executable, "-c", snippet("msgraph"))
