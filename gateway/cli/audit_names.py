"""`--names`: the current names of entries' policies, groups and filters, read from Graph with the gateway's own credentials.
Names are chosen by others: they are shown in quotes, and characters that a terminal might interpret are escaped."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from compliance_gateway.v1.name_pb2 import ObjectName

from gateway.assignments.display_names import GONE, POLICY, WORDS, DisplayNames, Found, Id, ids_in
from gateway.bootstrap import graphs
from gateway.call import Record
from gateway.changes import RowChange
from gateway.cli.audit_views import changes_of, shown
from gateway.cli.loop import load_or_exit, run
from gateway.config import Config
from gateway.entry import Entry
from gateway.odata import dumps

WithNames = Annotated[bool, typer.Option("--names", help="Also show display names, as Graph has them now; needs --config.")]
PATIENCE_S = 20.0
STATES = {
    ObjectName.STATE_PERMISSION_MISSING: "the app lacks a Graph permission to read them",
    ObjectName.STATE_UNAVAILABLE: "Graph did not answer in time",
}


class Names:
    """By tenant, what was found."""

    def __init__(self, found: dict[str, Found] | None = None) -> None:
        self._found = found or {}

    def of(self, entry: Entry) -> list[dict[str, str]]:
        """For programs: of each id that the entry names."""
        found = self._found.get(entry.tenant, {})
        known = ((one, found[one]) for one in _ids(entry) if one in found)
        return [
            {"id": one.id, "kind": WORDS[one.kind], "state": ObjectName.State.Name(name.state), "displayName": name.text}
            for one, name in known
        ]

    def lines(self, entry: Entry) -> Iterator[str]:
        """For people: of what has a name, or is gone."""
        return self.lines_of(entry.tenant, _ids(entry))

    def lines_of(self, tenant: str, ids: Iterable[Id]) -> Iterator[str]:
        """The same, of these ids."""
        found = self._found.get(tenant, {})
        for one in ids:
            name = found.get(one, None)
            if name is not None and (name.text or name == GONE):
                text = f"is {dumps(name.text)}" if name.text else "is gone"
                yield shown(f"    {WORDS[one.kind]} {one.id} {text}")

    def missing(self) -> Iterator[str]:
        """What nobody could say, and why, once for each kind."""
        states = {(one.kind, name.state) for found in self._found.values() for one, name in found.items()}
        for kind, state in sorted(states):
            if state in STATES:
                yield f"No names of {WORDS[kind].replace('policy', 'policie')}s: {STATES[state]}."


def names_of(config: Path | None, entries: Sequence[Entry], *, wanted: bool) -> Names:
    """Asks Graph, if they are wanted."""
    return names_in(config, [(entry.tenant, _ids(entry)) for entry in entries] if wanted else [], wanted=wanted)


def names_in(config: Path | None, asked: Sequence[tuple[str, Iterable[Id]]], *, wanted: bool) -> Names:
    """The same, of ids in tenants."""
    if not wanted:
        return Names()
    if config is None:
        raise typer.BadParameter("needs --config, for access to Graph", param_hint="--names")
    names = Names(run(_find(load_or_exit(config), asked)) if asked else {})
    for line in names.missing():
        typer.echo(line, err=True)
    return names


def ids_of(policy: str, changes: Iterable[RowChange]) -> dict[Id, None]:
    """Of a policy, if there is one, and of what the rows name that were changed."""
    rows: list[Any] = [row for change in changes for side in (change.before, change.after) for row in side]
    return dict.fromkeys((*([Id(POLICY, policy)] if policy else []), *ids_in(rows)))


async def _find(config: Config, asked: Iterable[tuple[str, Iterable[Id]]]) -> dict[str, Found]:
    wanted: dict[str, dict[Id, None]] = defaultdict(dict)
    for tenant, ids in asked:
        if tenant in config.tenants:
            wanted[tenant] |= dict.fromkeys(ids)
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    async with graphs(config) as clients:
        names = DisplayNames(clients)
        found = await asyncio.gather(*(names.find(tenant, ids, deadline, Record()) for tenant, ids in wanted.items()))
    return dict(zip(wanted, found, strict=True))


def _ids(entry: Entry) -> dict[Id, None]:
    return ids_of(entry.policy, changes_of(entry))
