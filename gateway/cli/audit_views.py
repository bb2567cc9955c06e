"""How entries of the ledger look to people, and to programs. Callers choose some of the text: nothing here obeys it."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from gateway.cli.loop import console
from gateway.entry import Entry
from gateway.ledger.chain import facts

# What a cell may not begin with, or a spreadsheet runs it; the wide ones are taken for the others where Japanese is written.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def shown(text: str) -> str:
    """With an escape such as \\x1b for whatever is not to be seen, or may turn what is."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def row(entry: Entry) -> dict[str, Any]:
    """What is exported of an entry: its facts, and its place in the chain."""
    return {**facts(entry), "state": entry.state, "position": entry.position, "hash": entry.hash}


def json_line(entry: Entry) -> str:
    """In ASCII, so that nothing in it is more than text."""
    return json.dumps(row(entry))


def write_csv(entries: Iterable[Entry], to: TextIO) -> None:
    """Text that a spreadsheet would take for a formula has a ' before it."""
    writer = csv.DictWriter(to, list(row(Entry(id=""))), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for entry in entries:
        writer.writerow({name: _cell(value) for name, value in row(entry).items()})


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if value.startswith(FORMULA) else shown(value)


def table(entries: Sequence[Entry], *, head: bool = True) -> None:
    """A line for each entry; folded where a terminal is too narrow."""
    view = Table(box=None, pad_edge=False, show_header=head)
    for column in ("began", "caller", "operation", "policy", "target or assignment", "outcome", "Graph"):
        view.add_column(column, overflow="fold")
    for entry in entries:
        graph = " ".join(filter(None, (str(entry.graph_status or ""), entry.graph_request_id)))
        who = entry.caller or "(unknown)"
        when = entry.began_at[:19] + "Z"
        what = entry.target or entry.assignment
        outcome = (entry.outcome or entry.state) + (f", {entry.times} times" if entry.times > 1 else "")
        words = (when, who, entry.operation, entry.policy, what, outcome, graph)
        view.add_row(*(Text(shown(word)) for word in words))
    if entries or head:
        console().print(view)


def trace_lines(entry: Entry) -> Iterator[str]:
    """The way from caller to Graph."""
    caller = entry.caller or "someone unknown"
    yield shown(f"{entry.began_at}  {caller} called {entry.operation}" + (f" in {entry.tenant}" if entry.tenant else ""))
    shared = f", shared by {entry.shared_by} edits" if entry.shared_by > 1 else ""
    place = f"{entry.position}, hash {entry.hash}" if entry.position else ""
    known = (
        ("entry", entry.id),
        ("request id", entry.request_id),
        ("caller's own id", entry.correlation_id),
        ("policy", entry.policy),
        ("target", entry.target),
        ("route", entry.route and entry.route + shared),
        ("client-request-id", entry.client_request_id),
        ("Graph's answer", str(entry.graph_status or "")),
        ("Graph's request-id", entry.graph_request_id),
        ("assignment", entry.assignment),
        ("outcome", entry.outcome or entry.state),
        ("took", f"{entry.duration_us / 1e6:.3f} s" if entry.ended_at else ""),
        ("times", str(entry.times) if entry.times > 1 else ""),
        ("place in the chain", place),
    )
    for name, value in known:
        if value:
            yield shown(f"  {name:18}  {value}")
