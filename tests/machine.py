"""What a test may need beside Python and the extra `test`, and how to get it.

A test says `@pytest.mark.needs("curl")`, or uses PostgreSQL by its fixtures, or has "postgresql" for a parameter. It is marked
`machine` then, which the default tier leaves out, and it skips where the thing is missing.
"""

import importlib.util
import shutil

import postgres_server
import pytest

DEV = "pip install '.[dev]'"
# Programs, with what brings them.
PROGRAMS = {
    "cargo": "rustup",
    "chromium": "apt-get install chromium",
    "curl": "apt-get install curl",
    "make": "apt-get install make",
    "gcc": "apt-get install gcc",
    "go": "the Go toolchain",
    "mvn": "apt-get install maven",
    "npm": "Node.js",
    "spin": "apt-get install spin",
}
POSTGRES = "postgresql"
# Python's packages of the extra `dev`, by module.
PACKAGES = ("IntuneCD", "grpc_tools", "importlinter", "msgraph", "openapi_spec_validator", "schemathesis", "swagger_ui", "yaml")
POSTGRES_FIXTURES = {"postgres", "own_postgres"}


def missing(need: str) -> str:
    """What to install for it; "" if it is there. Raises KeyError for what nobody knows."""
    if need == POSTGRES:
        return "" if postgres_server.BINARIES else postgres_server.MISSING
    if need in PACKAGES:
        return "" if importlib.util.find_spec(need) else f"{need} is not installed ({DEV})"
    return "" if shutil.which(need) else f"{need} is not installed ({PROGRAMS[need]})"


def needs_of(item: pytest.Item) -> list[str]:
    """Everything that the test needs."""
    needs = [need for mark in item.iter_markers("needs") for need in mark.args]
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if POSTGRES_FIXTURES & set(getattr(item, "fixturenames", ())) or POSTGRES in [p for p in parameters if isinstance(p, str)]:
        needs.append(POSTGRES)
    return needs
