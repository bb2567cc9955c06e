"""What the gateway makes of the error bodies that were really seen: tests/cases/golden, each with the reason it stands for."""

import json
from pathlib import Path

import pytest

from gateway.graph.graph_errors import graph_error_of

FOLDER = Path(__file__).parents[1] / "cases/golden"
SEEN = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")) if '"reason"' in path.read_text()}


@pytest.mark.parametrize("name", SEEN)
def test_a_real_body_has_its_reason(name: str):
    golden = SEEN[name]
    error = graph_error_of(golden["status"], {}, json.dumps({"error": golden["error"]}).encode())
    assert error.reason.name == golden["reason"]
    assert error.metadata["graph_code"] == golden["error"]["code"]


def test_an_undeclared_property_is_named_to_the_gateway():
    golden = SEEN["undeclared_property"]
    error = graph_error_of(golden["status"], {}, json.dumps({"error": golden["error"]}).encode())
    assert "wifiblockautomaticconnecthotspots" in error.named
    assert "collection" not in error.message
