"""Fixtures: one emulator for each routes mode and session, as new for each test."""

import asyncio
import contextlib
import gc
import os
import secrets
import subprocess
import sys
import threading
import zlib
from importlib import import_module

import machine
import postgres_server
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, is_hypothesis_test, settings

from gateway.emulator import Emulator
from gateway.emulator.control import reset
from gateway.emulator.registration import App
from gateway.emulator.unconfirmed import Unconfirmed

# Each worker, and each process that a test starts, would compile everything anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Tests start processes while gRPC's threads run; its handlers of a fork break the process then. Read when grpc is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# The same examples each time, and not many, on machines of any speed. `-m long` and .ci/run have fresh ones, and more.
EVERYWHERE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", derandomize=True, max_examples=40, **EVERYWHERE)
settings.register_profile("fresh", derandomize=False, max_examples=100, print_blob=True, **EVERYWHERE)
settings.load_profile("default")

# The tests of one who has the packed client installed: test_clients runs them there.
collect_ignore = ["clients/python"]

try:
    import uvloop
except ImportError:
    uvloop = None


def pytest_asyncio_loop_factories(config, item):
    """The loop that the commands run on."""
    return {"uvloop": uvloop.new_event_loop} if uvloop else {"asyncio": asyncio.new_event_loop}


def pytest_configure(config):
    """What is fresh can be had again: its seed is chosen here, for all workers, and printed."""
    if "long" in config.option.markexpr.split() and "not" not in config.option.markexpr:
        config.option.hypothesis_profile = "fresh"
    if config.option.hypothesis_profile == "fresh" and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


def pytest_report_header(config):
    if config.option.hypothesis_profile == "fresh":
        return f"again: --hypothesis-profile=fresh --hypothesis-seed={config.option.hypothesis_seed}"
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker("property")
        if machine.needs_of(item):
            item.add_marker("machine")
    items.sort(key=order)


def order(item: pytest.Item) -> tuple[bool, int]:
    """The clients that are built come last, since that takes minutes, and begins below. Otherwise the files are mixed, in the
    same way each time: those of one folder are alike, and while some tests wait, others should have something to compute."""
    return in_a_language(item) and bool(machine.needs_of(item)), zlib.crc32(item.nodeid.partition("::")[0].encode())


def in_a_language(item: pytest.Item) -> bool:
    """Whether it is a test of a client, for each language."""
    return "language" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session):
    """Thousands of tests live to the end: no collection of garbage has to look at them each time. One of the workers builds
    the clients while others test."""
    gc.collect()
    gc.freeze()
    if os.environ.get("PYTEST_XDIST_WORKER", "") == "gw0" and not session.config.option.collectonly:
        languages = {item.callspec.params["language"]: item for item in session.items if in_a_language(item)}
        there = [name for name, item in languages.items() if not any(map(machine.missing, machine.needs_of(item)))]
        threading.Thread(target=build, args=(there,), daemon=True).start()


def build(languages: list[str]) -> None:
    """What fails here fails again where it is needed, and is told there."""
    for language in languages:
        with contextlib.suppress(subprocess.CalledProcessError, OSError):
            import_module("driver").built(language)


def pytest_runtest_setup(item):
    for need in machine.needs_of(item):
        if said := machine.missing(need):
            pytest.skip(said)


@pytest_asyncio.fixture(scope="session")
async def live_emulator():
    async with Emulator(routes="live") as emulator:
        yield emulator


@pytest_asyncio.fixture(scope="session")
async def documented_emulator():
    async with Emulator(routes="documented") as emulator:
        yield emulator


# A server for all who need but a database of their own, and one for who will treat it badly.
postgres = pytest.fixture(scope="session")(postgres_server.running)
own_postgres = pytest.fixture()(postgres_server.running)


def as_new(emulator: Emulator) -> Emulator:
    app = emulator.world.entra.app
    emulator.world.entra.app = App(client_id=app.client_id, secret=(emulator.folder / "secret").read_text())
    graph = emulator.world.graph
    for switch, value in vars(Unconfirmed()).items():
        setattr(emulator.world.unconfirmed, switch, value)
    graph.page_size, graph.empty_pages, graph.expand_pages = 2, True, False
    reset(emulator.world)
    return emulator


@pytest_asyncio.fixture
async def live(live_emulator: Emulator) -> Emulator:
    """Graph as it really is."""
    return as_new(live_emulator)


@pytest_asyncio.fixture
async def documented(documented_emulator: Emulator) -> Emulator:
    """Graph as it is documented."""
    return as_new(documented_emulator)
