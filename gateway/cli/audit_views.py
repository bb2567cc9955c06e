"""How entries of the ledger look to people."""

from collections.abc import Iterator, Sequence

from rich.markup import escape
from rich.table import Table

from gateway.cli.loop import console
from gateway.entry import Entry


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
        view.add_row(*map(escape, words))
    if entries or head:
        console().print(view)


def trace_lines(entry: Entry) -> Iterator[str]:
    """The way from caller to Graph."""
    caller = entry.caller or "someone unknown"
    yield f"{entry.began_at}  {caller} called {entry.operation}" + (f" in {entry.tenant}" if entry.tenant else "")
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
            yield f"  {name:18}  {value}"
