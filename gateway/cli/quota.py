"""`quota`: how much of Graph's quota a running gateway has, and who waits for it."""

import json
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.error import URLError
from urllib.request import urlopen

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.cli.loop import load_or_exit

EVERY_S = 0.5
ASK_S = 5.0
BAR = 30


def quota(
    config: Annotated[Path, typer.Option(help="The TOML file of the running gateway.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the admin door's JSON, in one line.")] = False,
    watch: Annotated[bool, typer.Option(help="Repeat until interrupted.")] = False,
) -> None:
    """Show how much of Graph's quota a running gateway has, and who uses it. Exit 1 if its admin door does not answer."""
    url = f"http://{load_or_exit(config).server.admin}/quota"
    console = Console()
    if not watch:
        found = asked(url)
        typer.echo(json.dumps(found)) if as_json else console.print(shown(found))
        return
    try:
        if as_json:
            while True:
                typer.echo(json.dumps(asked(url)))
                time.sleep(EVERY_S)
        with Live(shown(asked(url)), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(EVERY_S)
                live.update(shown(asked(url)), refresh=True)
    except KeyboardInterrupt:
        return


def asked(url: str) -> dict[str, Any]:
    """What the gateway says, by tenant. Exits with 1 where it says nothing."""
    try:
        with urlopen(url, timeout=ASK_S) as answer:  # noqa: S310 - of the configuration's own admin door
            found: dict[str, Any] = json.load(answer)
            return found
    except (URLError, OSError, ValueError) as exc:
        typer.echo(f"{url}: {getattr(exc, 'reason', exc)}; is the gateway running on this machine?", err=True)
        raise typer.Exit(1) from None


def shown(quotas: dict[str, Any]) -> Group:
    """A table for each tenant: a bar for each window, and the callers that have a part in it."""
    tables = []
    for tenant, found in quotas.items():
        table = Table("window", "used in 20 s", "", "waiting", "reserved", "wait", title=Text(tenant), title_justify="left")
        for window in found["windows"]:
            size = max(window["share"], 1)
            limit = (
                f"{window['share']} of {window['ceiling']}" if window["share"] != window["ceiling"] else str(window["share"])
            )
            wait = "closed by Graph" if window["closedFor"] != "0s" else window["wait"]
            bar = ProgressBar(size, min(window["used"], size), BAR)
            table.add_row(window["name"], bar, f"{window['used']} / {limit}", *_counts(window), wait, style="bold")
            for caller in window["callers"]:
                bar = ProgressBar(size, min(caller["used"], size), BAR)
                name = Text(f"  {caller['name'] or '(gateway)'}")
                table.add_row(name, bar, f"{caller['used']} / {caller['share']}", *_counts(caller), "")
        tables.append(table)
    return Group(*tables)


def _counts(of: dict[str, Any]) -> tuple[str, str]:
    return str(of["waiting"]), str(of["reserved"])
