"""`audit`: who did what through the gateway. Reads the ledger; the gateway may run meanwhile."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from gateway.changes import How
from gateway.cli.audit_chain import seal, verify_chain
from gateway.cli.audit_history import MOST, diff, show_entry
from gateway.cli.audit_ledger import ConfigFile, LedgerUrl, opened
from gateway.cli.audit_names import Names, WithNames, names_of
from gateway.cli.audit_search import NAMED_IN_NEWEST, find, is_partial
from gateway.cli.audit_undo import undo
from gateway.cli.audit_views import json_line, table, trace_lines, write_csv
from gateway.cli.moments import moment_of
from gateway.entry import Entry
from gateway.ledger.ledger import Query
from gateway.odata.targets import KINDS

PAUSE_S = 1.0
AT_ONCE = 1000  # entries of an export that names are looked up for
PARTIAL = (
    f"Entries whose request named the target without changing it were searched only among the newest {NAMED_IN_NEWEST}. "
    "--asked searches all, and is slow."
)

NONE = f"No entry is about this target. A target is an ID, or one of {', '.join(KINDS)}, alone or followed by an ID."

app = typer.Typer(help="Show who did what: show, follow, export, verify and seal the ledger.", add_completion=False)

for name, command in (("verify", verify_chain), ("seal", seal), ("show", show_entry), ("diff", diff), ("undo", undo)):
    app.command(name=name)(command)


Caller = Annotated[str, typer.Option(help="Only entries of this caller.")]
Tenant = Annotated[str, typer.Option(help="Only entries of this tenant.")]
Policy = Annotated[str, typer.Option(help="Only entries of this policy.")]
Target = Annotated[
    str,
    typer.Option(help="Only entries about this group or other target, such as all_devices; at least 4 characters of an ID."),
]
Asked = Annotated[
    str, typer.Option(help="Only entries whose request named this target, carried out or not; a part of it is enough.")
]
Operation = Annotated[str, typer.Option(help="The operation, such as CreateComplianceAssignment.")]
Outcome = Annotated[str, typer.Option(help="Only entries with this outcome: OK, or a reason such as CALLER_NOT_PERMITTED.")]
Since = Annotated[
    str,
    typer.Option(
        parser=moment_of,
        help='Only entries that began at this time or later, such as 2026-01-31T12:00, 15m (ago) or "last tuesday"; UTC.',
    ),
]
Until = Annotated[str, typer.Option(parser=moment_of, help="Only entries that began before this time.")]
RequestId = Annotated[str, typer.Option(help="Only entries with this request ID, as the caller sent it.")]
GraphRequestId = Annotated[str, typer.Option(help="Only entries with this request-id, as Graph answered it.")]
ClientRequestId = Annotated[str, typer.Option(help="Only entries with this client-request-id, as sent to Graph.")]


class Format(StrEnum):
    """JSON lines, or CSV."""

    JSONL = "jsonl"
    CSV = "csv"


@app.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    caller: Caller = "",
    tenant: Tenant = "",
    policy: Policy = "",
    target: Target = "",
    added: Annotated[bool, typer.Option("--added", help="Only entries that added the target.")] = False,
    removed: Annotated[bool, typer.Option("--removed", help="Only entries that removed the target.")] = False,
    asked: Asked = "",
    operation: Operation = "",
    outcome: Outcome = "",
    since: Since = "",
    until: Until = "",
    request_id: RequestId = "",
    graph_request_id: GraphRequestId = "",
    client_request_id: ClientRequestId = "",
    newest: Annotated[
        int, typer.Option(min=1, max=MOST, help="The maximum number of entries to show; the newest are shown.")
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each entry.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Show IDs unshortened, and Graph's IDs too.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Also show entries as they are finished, until interrupted.")
    ] = False,
    names: WithNames = False,
) -> None:
    """Show entries, oldest first, and what each has changed. Subcommands: show, diff, undo, trace, export, verify, seal."""
    if context.invoked_subcommand:
        return
    query = Query(
        caller=caller,
        tenant=tenant,
        policy=policy,
        operation=operation,
        outcome=outcome,
        request_id=request_id,
        client_request_id=client_request_id,
        graph_request_id=graph_request_id,
        target=asked,
        since=since,
        until=until,
    )
    how = _how(added=added, removed=removed)
    with opened(config, ledger) as reader:
        after = reader.ends().head[0]
        found = find(reader, replace(query, newest=newest), target, how)
        _print(found, names_of(config, found, wanted=names), as_json=as_json, wide=wide, target=target)
        if target and not found:
            typer.echo(NONE, err=True)
        if target and how is None and is_partial(reader):
            typer.echo(PARTIAL, err=True)
        while follow:
            time.sleep(PAUSE_S)
            entries = find(reader, replace(query, after=after), target, how)
            known = names_of(config, entries, wanted=names)
            _print(entries, known, as_json=as_json, wide=wide, target=target, head=False)
            after = max((entry.position or 0 for entry in entries), default=after)


@app.command()
def trace(
    any_id: Annotated[
        str, typer.Argument(metavar="ID", help="A request ID, a client-request-id, Graph's request-id, or an assignment's ID.")
    ],
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    names: WithNames = False,
) -> None:
    """Show the path of a write from the caller to Graph, given any of its IDs. Exit 1 if no entry has the ID."""
    with opened(config, ledger) as reader:
        entries = list(reader.find(Query(any_id=any_id)))
    known = names_of(config, entries, wanted=names)
    for entry in entries:
        typer.echo("\n".join((*trace_lines(entry), *(line[2:] for line in known.lines(entry)))))
    if not entries:
        typer.echo("No entry has this ID.", err=True)
        raise typer.Exit(1)


@app.command()
def export(
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    form: Annotated[Format, typer.Option("--format", help="JSON lines or CSV.")] = Format.JSONL,
    since: Since = "",
    until: Until = "",
    names: WithNames = False,
) -> None:
    """Write all entries to stdout, oldest first, with their position in the chain.

    In CSV, text that a spreadsheet would take for a formula has a ' before it, and control characters are escaped.
    """
    with opened(config, ledger) as reader:
        entries = _named(config, reader.find(Query(since=since, until=until)), wanted=names)
        if form is Format.CSV:
            write_csv(entries, sys.stdout, named=names)
            return
        for entry, known in entries:
            typer.echo(json_line(entry, known))


def _named(config: Path | None, entries: Iterable[Entry], *, wanted: bool) -> Iterator[tuple[Entry, list[dict[str, str]]]]:
    """Each with its names, if they are wanted: so many are asked for at once that Graph has little to do."""
    rest = iter(entries)
    while some := list(islice(rest, AT_ONCE)):
        names = names_of(config, some, wanted=wanted)
        yield from ((entry, names.of(entry)) for entry in some)


def _how(*, added: bool, removed: bool) -> How | None:
    if added and removed:
        raise typer.BadParameter("--added and --removed exclude each other; without them, both are shown")
    return "added" if added else "removed" if removed else None


def _print(entries: Sequence[Entry], names: Names, *, as_json: bool, wide: bool, target: str, head: bool = True) -> None:
    if as_json:
        for entry in entries:
            typer.echo(json_line(entry, names.of(entry)))
    else:
        table(entries, wide=wide, head=head, target=target, more=names.lines)
    sys.stdout.flush()
