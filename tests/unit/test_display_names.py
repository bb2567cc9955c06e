"""What is asked for names, how often, and what is told where there are none."""

import asyncio
import json
import random
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.assignments import display_names
from gateway.assignments.display_names import FILTER, GONE, GROUP, MISSING, POLICY, UNAVAILABLE, DisplayNames, Id, Name, ids_in
from gateway.assignments.remembered import Remembered
from gateway.call import Record
from gateway.errors import GatewayError, Reason

KNOWN = 1


def guid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


class Graph:
    """Answers as a tenant's Graph would. names: by id. refused: kinds of request, by path, and why."""

    def __init__(self, names: dict[str, str | None]) -> None:
        self.names, self.refused = names, dict[str, Reason]()
        self.asked: list[tuple[str, list[str]]] = []
        self.until: asyncio.Event | None = None

    async def get(self, path: str, *, deadline: float, record: Record, body: bytes | None = None) -> Any:
        wanted = json.loads(body) if body else {"ids": list(self.names)}
        self.asked.append((path.rpartition("/")[2].partition("?")[0], wanted["ids"] if body else []))
        record.note(graph_requests=int(str(record.facts.get("graph_requests", 0))) + 1)
        if self.until:
            await self.until.wait()
        for part, reason in self.refused.items():
            if part in path:
                raise GatewayError(reason)
        rows = [{"id": one.upper(), "displayName": self.names[one]} for one in wanted["ids"] if one in self.names]
        return SimpleNamespace(json={"value": rows})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def find(names: DisplayNames, *wanted: Id, seconds: float = 60) -> dict[Id, Name]:
    return await names.find("t", wanted, asyncio.get_running_loop().time() + seconds, Record())


def made(known: dict[str, str | None]) -> tuple[Graph, DisplayNames, Clock]:
    graph, clock = Graph(known), Clock()
    return graph, DisplayNames({"t": graph}, clock), clock  # type: ignore[dict-item]


async def test_groups_are_asked_for_a_thousand_at_a_time_and_remembered():
    graph, names, clock = made({guid(n): f"group {n}" for n in range(0, 2_500, 2)})
    wanted = [Id(GROUP, guid(n)) for n in range(2_500)]
    found = await find(names, *wanted)
    assert [len(ids) for _, ids in graph.asked] == [1_000, 1_000, 500]
    assert found[Id(GROUP, guid(2))] == Name(KNOWN, "group 2")
    assert found[Id(GROUP, guid(1))] == GONE
    assert await find(names, *wanted) == found
    assert len(graph.asked) == 3, "what is gone is remembered too"
    clock.now += 599
    await find(names, *wanted)
    assert len(graph.asked) == 3
    clock.now += 2
    await find(names, *wanted[:7])
    assert graph.asked[3:] == [("getByIds", [guid(n) for n in range(7)])]


async def test_policies_and_filters_come_as_whole_trees():
    graph, names, _ = made({guid(1): "one", guid(2): "two"})
    found = await find(names, Id(POLICY, guid(1)), Id(FILTER, guid(1)), Id(FILTER, guid(3)))
    assert found == {
        Id(POLICY, guid(1)): Name(KNOWN, "one"), Id(FILTER, guid(1)): Name(KNOWN, "one"), Id(FILTER, guid(3)): GONE,
    }  # fmt: skip
    await find(names, Id(POLICY, guid(2)), Id(FILTER, guid(2)))
    assert sorted(path for path, _ in graph.asked) == ["assignmentFilters", "deviceCompliancePolicies"]


async def test_a_missing_permission_is_told_of_its_kind_alone_and_remembered():
    graph, names, clock = made({guid(1): "one"})
    graph.refused = {"getByIds": Reason.GRAPH_FORBIDS}
    for _ in range(2):
        found = await find(names, Id(GROUP, guid(1)), Id(FILTER, guid(1)))
        assert found == {Id(GROUP, guid(1)): MISSING, Id(FILTER, guid(1)): Name(KNOWN, "one")}
    assert len(graph.asked) == 2
    graph.refused.clear()
    clock.now += 601
    assert (await find(names, Id(GROUP, guid(1))))[Id(GROUP, guid(1))] == Name(KNOWN, "one")


async def test_an_object_without_a_name_may_not_be_read():
    _, names, _ = made({guid(1): None, guid(2): ""})
    assert set((await find(names, Id(GROUP, guid(1)), Id(GROUP, guid(2)))).values()) == {MISSING}


@pytest.mark.parametrize("reason", [Reason.GRAPH_THROTTLED, Reason.QUOTA_EXHAUSTED, Reason.ENTRA_UNAVAILABLE, Reason.NOT_FOUND])
async def test_what_graph_does_not_say_is_not_remembered(reason: Reason):
    graph, names, _ = made({guid(1): "one"})
    graph.refused = {"": reason}
    assert (await find(names, Id(GROUP, guid(1))))[Id(GROUP, guid(1))] == UNAVAILABLE
    graph.refused.clear()
    assert (await find(names, Id(GROUP, guid(1))))[Id(GROUP, guid(1))] == Name(KNOWN, "one")


async def test_who_has_no_time_gets_none_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch):
    graph, names, _ = made({guid(1): "one"})
    graph.until = asyncio.Event()
    assert (await find(names, Id(GROUP, guid(1)), seconds=0.01))[Id(GROUP, guid(1))] == UNAVAILABLE
    first = asyncio.create_task(find(names, Id(GROUP, guid(1))))
    others = [asyncio.create_task(find(names, Id(GROUP, guid(1)))) for _ in range(5)]
    await asyncio.sleep(0)
    assert (await find(names, Id(GROUP, guid(1)), seconds=0.01))[Id(GROUP, guid(1))] == UNAVAILABLE
    graph.until.set()
    assert {found[Id(GROUP, guid(1))].text for found in await asyncio.gather(first, *others)} == {"one"}
    assert len(graph.asked) == 2, "those who come together ask once"
    monkeypatch.setattr(display_names, "LONGEST_S", 0.01)
    graph.until = asyncio.Event()
    assert (await find(names, Id(GROUP, guid(2))))[Id(GROUP, guid(2))] == UNAVAILABLE


async def test_a_name_is_cut_and_what_is_kept_is_bounded():
    graph, names, _ = made({guid(n): "ä" * 50_000 for n in range(100)})
    found = await find(names, *(Id(GROUP, guid(n)) for n in range(100)))
    assert {len(name.text.encode()) for name in found.values()} == {1_023}
    graph.names = {guid(n): "x" * 1_000 for n in range(20_000)}
    found = await find(names, *(Id(POLICY, guid(n)) for n in range(20_000)))
    assert len({name.text for name in found.values()}) == 1, "all are told, whatever is kept"
    assert names._kept["t"].weight <= display_names.KEPT_BYTES


def test_what_rows_name():
    group = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": guid(1).upper()}
    filtered = {"deviceAndAppManagementAssignmentFilterId": guid(2), "deviceAndAppManagementAssignmentFilterType": "include"}
    excluded = {"@odata.type": "microsoft.graph.exclusionGroupAssignmentTarget", "groupId": guid(3)}
    nobody = [
        {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"},
        {**group, "groupId": "ADADADAD-808e-44e2-905a-0b7873a8a531"},
        {**group, "groupId": "no guid"},
        {**group, "groupId": None},
        {"@odata.type": "#microsoft.graph.scopeTagGroupAssignmentTarget", "entraObjectId": guid(4)},
        {"@odata.type": "#microsoft.graph.configurationManagerCollectionAssignmentTarget", "collectionId": guid(5)},
        {**excluded, "groupId": "", "deviceAndAppManagementAssignmentFilterId": guid(0)},
        "no object",
    ]
    rows = [{"target": target} for target in ({**group, **filtered}, excluded, *nobody)]
    assert list(ids_in(rows)) == [Id(GROUP, guid(1)), Id(FILTER, guid(2)), Id(GROUP, guid(3))]


def test_remembered_is_bounded_and_forgets_the_oldest():
    clock = Clock()
    kept = Remembered[int, str](10, 1_000, lambda _, value: len(value), clock)
    rng = random.Random(7)
    for _ in range(5_000):
        clock.now += rng.random() / 10
        kept.put(rng.randrange(200), "x" * rng.randrange(60))
        assert kept.weight == sum(len(value) for _, value in kept._kept.values()) <= 1_000
        assert all(clock.now - since < 10 for since, _ in kept._kept.values())
    kept.put(1_000, "y" * 2_000)
    assert (kept.get(1_000), kept.weight) == (None, 0)
