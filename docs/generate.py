"""Generates the reference from the program: `python docs/generate.py [OUTPUT]`.

OUTPUT is the folder that configuration.md and metrics.md are written to (default: this one). What a key means is the text
below it in gateway/config; what a metric means, and its labels, are in gateway/metrics.py.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from gateway import metrics
from gateway.config import Config

Schema = Mapping[str, Any]

UNITS = {
    r"_s": "seconds",
    r"_bytes": "bytes",
    r"_days": "days",
    r"_per_20s": "in 20 seconds",
    r"(^|_)connections(_per_peer)?": "connections",
    r"^(reads|writes)": "calls",
    r"_attempts": "tries",
    r"^(weight|most_waiting)": "turns",
    r"^reserve": "of all turns",
}
TYPES = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`", "file": "file"}
# By how their pattern begins.
TEXTS = {"^[0-9A-Fa-f]{8}": "GUID", "^https:": "`https` URL", "^https?:": "URL"}
NAMED = "NAME"
CONFIGURATION = """# Configuration

This page lists every key of the file that the commands take as `--config`, in TOML. `docs/generate.py` generates it from
`gateway/config`; do not edit it here. The [README](../README.md#run-it) has the shortest file that serves, and says what each
part is for.

Relative paths are relative to the folder of the file. An unknown key is a fault. All faults are reported together, and stop the
start.

*reloaded* means: the running gateway notices a change of the file (or of these keys) within `server.reload_s`, and uses the new
content if it is valid. Otherwise it keeps the old content, and the log says why. All other changes need a restart.
"""
METRICS = """# Metrics

This page lists the metrics that `/metrics` at the admin door exposes for Prometheus, beside those of the process (`process_…`,
`python_…`; not with `--workers`). `docs/generate.py` generates it from `gateway/metrics.py`; do not edit it here.
[Monitor the gateway](how-to/watch-it.md) says which of them deserve an alert.
"""


def configuration() -> str:
    """The text of configuration.md."""
    schema = Config.model_json_schema()
    return "\n".join([CONFIGURATION, *(_section(*section) for section in sections(schema, schema, ""))])


def sections(whole: Schema, schema: Schema, place: str) -> Iterator[tuple[str, Schema]]:
    """The heading of each table of the file, and its schema; the whole file itself has none."""
    if place:
        yield f"`[{place}]`", schema
    for key, node in schema.get("properties", {}).items():
        below = f"{place}.{key}" if place else key
        inner = resolved(whole, node)
        if "properties" in inner:
            yield from sections(whole, inner, below)
        elif isinstance(named := inner.get("additionalProperties"), dict):
            table = resolved(whole, named)
            yield from sections(whole, table, f"{below}.{NAMED}") if "properties" in table else ()
        elif inner.get("type") == "array" and "oneOf" in inner["items"]:
            for choice in inner["items"]["oneOf"]:
                found = resolved(whole, choice)
                kind = found["properties"]["kind"].get("const", "…")
                yield f'`[[{below}]]` with `kind = "{kind}"`', found


def resolved(whole: Schema, node: Schema) -> Schema:
    """The schema that the node stands for: references followed, null left out."""
    if "anyOf" in node:
        [node] = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _section(heading: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [_row(key, node, required=key in required) for key, node in schema["properties"].items()]
    head = "| key | type | unit | default | | meaning |\n|---|---|---|---|---|---|"
    return "\n".join([f"## {heading}", "", _one_line(schema.get("description", "")), "", head, *rows, ""])


def _row(key: str, node: Schema, *, required: bool) -> str:
    shown = "**required**" if required else _default(node)
    anew = "reloaded" if _is_read_anew(node) else ""
    return f"| `{key}` | {type_of(node)} | {unit_of(key)} | {shown} | {anew} | {_one_line(node.get('description', ''))} |"


def unit_of(key: str) -> str:
    """By the key's name; empty where it is no amount."""
    return next((unit for pattern, unit in UNITS.items() if re.search(f"{pattern}$", key)), "")


def type_of(node: Schema) -> str:
    """In words, with its bounds."""
    if "anyOf" in node:
        [node] = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if "enum" in node or "const" in node:
        return ", ".join(f'`"{value}"`' for value in node.get("enum", [node.get("const")]))
    kind = str(node.get("type"))
    if kind == "array":
        return "list of tables" if "oneOf" in node["items"] else f"list of {type_of(node['items'])}"
    if kind == "string":
        return next((name for start, name in TEXTS.items() if node.get("pattern", "").startswith(start)), "text")
    return f"{TYPES.get(kind, 'table')}{_bounds(node)}"


def _bounds(node: Schema) -> str:
    over, least, most = (node.get(name) for name in ("exclusiveMinimum", "minimum", "maximum"))
    words = {"over": over, "from": least, "to": most}
    return "".join(f" {word} {bound:,}" for word, bound in words.items() if bound is not None)


def _default(node: Schema) -> str:
    value = node.get("default")
    return "" if value is None or isinstance(value, dict) else f"`{json.dumps(value)}`"  # TOML writes these as JSON does


def _is_read_anew(node: Schema) -> bool:
    return bool(node.get("read_anew")) or any(map(_is_read_anew, node.get("anyOf", ())))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def metrics_page() -> str:
    """The text of metrics.md."""
    found = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    rows = [f"| {name_of(metric)} | {metric._type} | {_labels(metric)} | {metric._documentation} |" for metric in found]
    labels = [f"| `{name}` | {metrics.LABELS[name]} |" for name in sorted({name for m in found for name in m._labelnames})]
    head = "| metric | type | labels | meaning |\n|---|---|---|---|"
    return "\n".join([METRICS, head, *rows, "", "| label | what it holds |\n|---|---|", *labels, ""])


def name_of(metric: MetricWrapperBase) -> str:
    """As Prometheus shows it."""
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric._type, ("",))
    return ", ".join(f"`{metric._name}{end}`" for end in ends)


def _labels(metric: MetricWrapperBase) -> str:
    return ", ".join(f"`{name}`" for name in metric._labelnames)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration.md").write_text(configuration())
    (folder / "metrics.md").write_text(metrics_page())
