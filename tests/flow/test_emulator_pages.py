"""Pages of lists are as large as Graph's. Tests can make them smaller, add empty pages, and page an expansion."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from emulator_client import Client, target
from graph_session import graph_session
from rig import command, outcome

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, WINDOWS


def groups(count: int) -> list[dict]:
    return [target("group", groupId=f"{number:08x}-0000-4000-8000-000000000000") for number in range(count)]


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


async def test_a_page_has_a_hundred_rows_and_none_is_empty():
    async with Emulator() as emulator, graph_session(emulator) as session:
        emulator.world.intune.set_rows(EMPTY, groups(250))
        pages = await Client(emulator, session).pages(f"/{EMPTY}/assignments")
    assert [len(page) for page in pages] == [100, 100, 50]


async def test_paging_is_set_through_the_control_port_and_stays(client: Client):
    await client.control("PUT", "/paging", {"page_size": 3, "empty_pages": False})
    assert [len(page) for page in await client.pages(f"/{WINDOWS}/assignments")] == [3, 2]
    await client.control("PUT", "/paging", {"empty_pages": True})
    await client.control("POST", "/reset")
    assert [len(page) for page in await client.pages(f"/{WINDOWS}/assignments")] == [3, 0, 2]


@pytest.mark.parametrize("wrong", [{"page_size": 0}, {"page_size": True}, {"empty_pages": 1}, {"pages": 2}])
async def test_wrong_paging_is_refused_and_changes_nothing(client: Client, wrong: dict):
    await client.control("PUT", "/paging", {"page_size": 7, **wrong}, status=400)
    assert client.emulator.world.graph.page_size == 2


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_an_expansion_comes_whole_or_in_pages_that_go_on_in_the_list(client: Client, version: str):
    client.emulator.world.graph.empty_pages = False
    path = f"/{WINDOWS}?$expand=assignments"
    _, whole, _ = await client.send("GET", path, version=version)
    assert (len(whole["assignments"]), "assignments@odata.nextLink" in whole) == (5, False)
    await client.control("PUT", "/paging", {"expand_pages": True})
    _, body, _ = await client.send("GET", path, version=version)
    rest = await client.pages(body["assignments@odata.nextLink"])
    assert [len(page) for page in (body["assignments"], *rest)] == [2, 2, 1]
    assert [*body["assignments"], *(row for page in rest for row in page)] == whole["assignments"]


async def test_an_expansion_of_one_page_has_no_next_link(client: Client):
    client.emulator.world.graph.expand_pages = True
    _, body, _ = await client.send("GET", f"/{EMPTY}?$expand=assignments")
    assert "assignments@odata.nextLink" not in body


async def test_a_read_is_of_one_moment_and_the_pages_of_a_list_may_be_of_several(client: Client):
    graph, intune = client.emulator.world.graph, client.emulator.world.intune
    graph.page_size, graph.empty_pages = 4, False
    intune.set_rows(EMPTY, groups(8))
    client.emulator.world.clock.advance(60)
    intune.set_rows(EMPTY, groups(2))
    intune.lag, intune.hops = 10, True
    seen = [[len(page) for page in await client.pages(f"/{EMPTY}/assignments")] for _ in range(4)]
    assert [4, 0] in seen, "the first page of eight rows, and the second page of two"
    assert all(pages in ([4, 0], [2]) for pages in seen)


async def test_the_command_takes_the_page_size():
    process, ready = await command("emulator", "--page-size", "3")
    folder = Path(ready["ca_file"]).parent
    app = SimpleNamespace(client_id=ready["client_id"], secret=(folder / "secret").read_text())
    entra = SimpleNamespace(app=app, tenant_id=ready["tenant_id"])
    emulator = SimpleNamespace(root=ready["graph"], folder=folder, world=SimpleNamespace(entra=entra))
    async with graph_session(emulator) as session:
        pages = await Client(emulator, session).pages(f"/{WINDOWS}/assignments")
    assert [len(page) for page in pages] == [3, 2]
    process.terminate()
    await process.communicate()
    assert (await outcome("emulator", "--page-size", "0"))[0] == 2
