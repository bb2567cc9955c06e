"""`audit show` and `audit diff`: what was done to rows, before and after. Reads only the ledger."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Annotated, Any

import typer

from gateway.assignments.past_writes import decoded_rows, decoded_touches
from gateway.assignments.rows import Row, RowSet, Touch, target_of
from gateway.changes import RowChange
from gateway.cli.audit_ledger import ConfigFile, LedgerUrl, opened
from gateway.cli.audit_names import WithNames, ids_of, names_in, names_of
from gateway.cli.audit_views import changes_of, outcome, shown, trace_lines, who
from gateway.entry import Entry
from gateway.ids import canonical_guid
from gateway.ledger.ledger import LedgerReader
from gateway.odata import dumps
from gateway.odata.targets import Key, text_of_json
from gateway.revision import Kept, PolicyName
from gateway.sets import SETS

SHORTEST = 4
MOST = 2**31 - 1  # no revision has a greater number, and no database of ours takes any greater one
COLOURS = {"-": typer.colors.RED, "+": typer.colors.GREEN}

EntryId = Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's ID, or the beginning of it.")]
OfPolicy = Annotated[str, typer.Option(help="The policy's ID, or the beginning of it.")]
OfTenant = Annotated[str, typer.Option(help="The tenant's name; needed only if two tenants have a policy with this ID.")]


def show_entry(entry: EntryId, config: ConfigFile = None, ledger: LedgerUrl = "", names: WithNames = False) -> None:
    """Show one entry in full: who, when, what, every ID, and the rows before and after."""
    with opened(config, ledger) as reader:
        found = the_entry(reader, entry)
    say(trace_lines(found))
    say(lines_of(changes_of(found)) if found.changes is not None else [f"  {nothing_of(found)}"])
    for line in names_of(config, [found], wanted=names).lines(found):
        typer.echo(line[2:])


def diff(
    revision: Annotated[
        int, typer.Argument(metavar="REVISION", min=1, max=MOST, help="The revision's number, as `show` prints it.")
    ],
    policy: OfPolicy,
    other: Annotated[
        int | None,
        typer.Argument(metavar="[REVISION]", min=1, max=MOST, help="A second revision: compare the sets after the two."),
    ] = None,
    tenant: OfTenant = "",
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    names: WithNames = False,
) -> None:
    """Show what a revision changed; or, given two, how the set after the second differs from that after the first."""
    with opened(config, ledger) as reader:
        name = the_policy(reader, tenant, policy)
        first = the_revision(reader, name, revision)
        second = the_revision(reader, name, other) if other is not None else None
    if second is None:
        say(head_of(first))
        changes = changes_between(touched_by(first))
    else:
        say([*head_of(first), *head_of(second), "The set after the second, compared with the set after the first:"])
        changes = changes_between(_between(_set_after(first), _set_after(second)))
    say(lines_of(changes))
    ids = ids_of(name.policy, changes)
    for line in names_in(config, [(name.tenant, ids)], wanted=names).lines_of(name.tenant, ids):
        typer.echo(line[2:])


def the_entry(reader: LedgerReader, beginning: str) -> Entry:
    """The entry that is meant; ends the command if there is none, or more than one."""
    found = reader.entries_named(beginning.lower())
    if len(found) == 1:
        return found[0]
    if not found:
        raise stop(f"No entry has this ID, or an ID that begins with it.{_short(beginning)}")
    raise stop(
        "More than one entry has an ID that begins with it:",
        *(f"  {one.id}  {one.began_at}  {who(one)} {one.operation}" for one in found),
    )


def _short(beginning: str) -> str:
    return f" At least {SHORTEST} characters are required." if len(beginning) < SHORTEST else ""


def the_policy(reader: LedgerReader, tenant: str, policy: str) -> PolicyName:
    """The one that is meant, of those that were ever written."""
    names = reader.policies_named(canonical_guid(policy), tenant)
    if len(names) == 1:
        return names[0]
    if not names:
        raise stop(f"The ledger has no revision of this policy.{_short(policy)}")
    if len({name.policy for name in names}) > 1:
        raise stop(
            "More than one policy has an ID that begins with it:", *(f"  {name.policy}  in {name.tenant}" for name in names)
        )
    tenants = ", ".join(sorted({name.tenant for name in names}))
    raise stop(f"More than one tenant has a policy with this ID: choose one of {tenants} with --tenant.")


def the_revision(reader: LedgerReader, policy: PolicyName, number: int) -> Kept:
    """The one that is meant."""
    kept = reader.revision(policy, number) if number <= MOST else None
    if kept is None:
        raise stop(f"The ledger has no revision {number} of this policy: it is too old, or never took effect.")
    return kept


def nothing_of(entry: Entry) -> str:
    """Why an entry has no rows to show."""
    if entry.outcome != "OK":
        return "It changed nothing." if entry.state == "finished" else "What it changed is not known yet."
    return "The ledger has no rows of this entry: the entry changed nothing, or is older than the rows that the ledger keeps."


def stop(*lines: str) -> typer.Exit:
    """Prints the reason on stderr, and exits with 1."""
    for line in lines:
        typer.echo(shown(line), err=True)
    return typer.Exit(1)


def say(lines: Sequence[str] | Iterator[str]) -> None:
    """What is gone in red and what came in green, if a terminal shows it and NO_COLOR does not forbid it."""
    for line in lines:
        colour = COLOURS.get(line[4:5]) if line.startswith("    ") else None
        typer.echo(typer.style(shown(line), fg=colour) if colour and _is_coloured() else shown(line))


def _is_coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def head_of(kept: Kept) -> list[str]:
    """A revision in a line, and its calls in one each."""
    when = datetime.fromtimestamp(kept.written_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    repaired = f", repaired {kept.repaired}" if kept.repaired else ""
    calls = [f"  {one.began_at}  {who(one)}  {one.operation}  {outcome(one)}  {one.id}" for one in kept.entries]
    return [f"revision {kept.number} ({kept.kind}) of {kept.policy.policy} in {kept.policy.tenant}, {when}{repaired}", *calls]


def touched_by(kept: Kept) -> dict[Key, Touch]:
    """What it changed, by key."""
    return {key: touch for key, touch in decoded_touches(kept.touched).items() if touch.before != touch.after}


def changes_between(touched: Mapping[Key, Touch]) -> list[RowChange]:
    """For showing."""
    return [
        RowChange(text_of_json(target_of((*before, *after)[0])), before, after)
        for before, after in touched.values()
        if before or after
    ]


def lines_of(changes: Sequence[RowChange]) -> Iterator[str]:
    """Each row, property by property: `-` before, `+` after, neither where it is the same."""
    if not changes:
        yield "  no row"
    for change in changes:
        yield f"  {change.how} {change.target}"
        for before, after in zip_longest(change.before, change.after):
            old, new = (dict(properties(row or {})) for row in (before, after))
            for name in {**old, **new}:
                if old.get(name) == new.get(name):
                    yield f"      {name}: {old[name]}"
                    continue
                yield from (f"    {sign} {name}: {side[name]}" for sign, side in (("-", old), ("+", new)) if name in side)


def properties(row: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """A row's, and those of the objects in it: a path and JSON."""
    for name, value in row.items():
        if isinstance(value, dict) and value:
            yield from properties(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", dumps(value)


def _set_after(kept: Kept) -> RowSet:
    if kept.base is None:
        raise stop(
            f"The ledger has no set before revision {kept.number}: it is older than the whole sets that the ledger keeps."
        )
    return decoded_rows(SETS[kept.policy.set], kept.base).changed_by(touched_by(kept))


def _between(first: RowSet, second: RowSet) -> dict[Key, Touch]:
    """What differs; rows of policy sets too, for they are part of the set."""
    pairs = {key: Touch(_rows(first, key), _rows(second, key)) for key in {**_keys(first), **_keys(second)}}
    return {key: touch for key, touch in pairs.items() if touch.before != touch.after}


def _keys(rows: RowSet) -> Mapping[Key, object]:
    return {**rows.direct, **rows.owned}


def _rows(rows: RowSet, key: Key) -> tuple[Row, ...]:
    owned = rows.owned.get(key)
    return (*rows.direct.get(key, ()), *((owned,) if owned is not None else ()))
