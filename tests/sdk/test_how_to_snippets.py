"""The snippets of docs/how-to/point-a-script-at-the-gateway.md, run as they stand against a gateway over TLS."""

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from attacks import CA, DOOR
from node import installed, output
from rig import gateway

from gateway.emulator import Emulator
from gateway.emulator.seeds import GROUP, NAMES, WINDOWS

PAGE = (Path(__file__).parents[2] / "docs/how-to/point-a-script-at-the-gateway.md").read_text()

HERE = Path(__file__).parent
JAVASCRIPT = HERE / "javascript"
TRUSTED = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")


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
        yield {**os.environ, **here, **dict.fromkeys(TRUSTED, str(tmp_path / "ca.pem"))}


@pytest.mark.needs("curl")
async def test_from_a_shell(environment: dict[str, str]):
    found = json.loads(await output(HERE, environment, "bash", "-c", snippet("curl")))
    assert {"id": GROUP, "displayName": NAMES[GROUP]} in found["value"]


@pytest.mark.needs("msgraph")
async def test_by_the_sdk(environment: dict[str, str]):
    assert f"{WINDOWS} " in await output(HERE, environment, sys.executable, "-c", snippet("msgraph"))


@pytest.mark.needs("npm")
async def test_by_the_client_for_javascript(environment: dict[str, str]):
    assert await asyncio.to_thread(installed, JAVASCRIPT)
    command = ("node", "--input-type=module", "--eval", snippet("javascript"))
    assert f"{WINDOWS} " in await output(JAVASCRIPT, environment, *command)


@pytest.mark.long  # where nobody has compiled the SDK yet
@pytest.mark.needs("go")
async def test_by_the_sdk_for_go(environment: dict[str, str], tmp_path: Path):
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, tmp_path)
    (tmp_path / "main.go").write_text(snippet("go"))
    # Without inlining it takes about four minutes of CPU, and much less memory.
    await output(tmp_path, environment, "go", "build", "-gcflags=all=-l", "-o", "list", ".", seconds=1800)
    assert f"{WINDOWS} " in await output(tmp_path, environment, str(tmp_path / "list"))


@pytest.mark.needs("mvn")
async def test_by_the_sdk_for_java(environment: dict[str, str], tmp_path: Path):
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.0:build-classpath"
    await output(HERE / "java", environment, "mvn", "-q", "-B", plugin, f"-Dmdep.outputFile={tmp_path / 'classes'}")
    trust = (
        "-alias",
        "ca",
        "-file",
        environment["SSL_CERT_FILE"],
        "-keystore",
        str(tmp_path / "trust"),
        "-storepass",
        "public",
    )
    await output(tmp_path, environment, "keytool", "-importcert", "-noprompt", *trust)
    (tmp_path / "ListPolicies.java").write_text(snippet("java"))
    trusting = (f"-Djavax.net.ssl.trustStore={tmp_path / 'trust'}", "-Djavax.net.ssl.trustStorePassword=public")
    command = ("java", *trusting, "-cp", (tmp_path / "classes").read_text(), "ListPolicies.java")
    assert f"{WINDOWS} " in await output(tmp_path, environment, *command)
