"""The reference leaves nothing out: every key of the configuration and every metric is there, and says what it means."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway import metrics
from gateway.config import Config
from gateway.config.credentials import BUILT_IN

ROOT = Path(__file__).parents[2]
SCHEMA = Config.model_json_schema()
OURS = "compliance_gateway_"


def keys() -> Iterator[tuple[str, dict[str, Any]]]:
    for model, schema in {"Config": SCHEMA, **SCHEMA["$defs"]}.items():
        for key, node in schema.get("properties", {}).items():
            yield f"{model}.{key}", node


def row(page: str, name: str) -> list[list[str]]:
    """The cells of the rows of a page that begin with this name."""
    lines = (ROOT / "docs" / page).read_text().split("\n")
    found = [line for line in lines if line.startswith("| `") and f"`{name}`" in line.split(" | ")[0]]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found]


@pytest.mark.parametrize("where", dict(keys()))
def test_every_key_is_explained(where: str):
    meaning = dict(keys())[where].get("description", "")
    assert meaning.endswith(".")
    model, key = where.split(".")
    assert model == "Config" or any(" ".join(meaning.split()) == cells[-1] for cells in row("configuration.md", key))


def test_every_amount_has_a_unit():
    amounts = [where for where, node in keys() if {"minimum", "exclusiveMinimum"} & {*node, *node.get("anyOf", [{}])[0]}]
    assert len(amounts) > 20
    without = [where for where in amounts if not all(cells[2] for cells in row("configuration.md", where.split(".")[1]))]
    assert without == []


def test_every_kind_of_credential_has_its_table():
    text = (ROOT / "docs/configuration.md").read_text()
    assert text.count("[[tenants.NAME.credentials]]") == len(BUILT_IN) + 1
    assert {"`[callers.jwt.NAME]`", "`[tenants.NAME]`", "`[server.tls]`"} <= set(re.findall(r"^## (.*)$", text, re.MULTILINE))


def test_every_metric_is_explained():
    assert metrics
    names = [metric.name + ("_total" if metric.type == "counter" else "") for metric in REGISTRY.collect()]
    ours = [name for name in names if name.startswith(OURS)]
    assert len(ours) > 10
    for name in ours:
        [cells] = row("metrics.md", name) or row("metrics.md", f"{name}_sum")
        assert cells[-1].endswith("."), name
        for label in re.findall(r"`(\w+)`", cells[2]):
            assert row("metrics.md", label), label
