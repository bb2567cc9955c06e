"""How entries of the ledger are shown to people and to programs. Callers choose some of the text, so everything is escaped."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import typer

from gateway.changes import RowChange, decoded
from gateway.entry import Entry
from gateway.ids import GUID
from gateway.ledger.chain import facts
from gateway.ledger.notes import FOREIGN, REPAIR
from gateway.odata import dumps
from gateway.odata.targets import filter_of, text_of_json

VERSION = 1
SHORTEST = 8
MOST_CHANGES = 5
HEAD = ("began (UTC)", "who", "did", "policy", "outcome", "entry")
WIDE_HEAD = ("began", "who", "did", "policy", "outcome", "Graph", "entry")
ASKED = "    asked for "
WHO, OUTCOME = HEAD.index("who"), HEAD.index("outcome")
COLUMNS, GAP = 80, "  "
MOST_WIDE = (16, COLUMNS, 13, COLUMNS, 14, COLUMNS)  # ids are never cut
OPERATION = re.compile(r"ComplianceAssignments?")
Below = Callable[[Entry], Iterable[str]]
OF_NOBODY = {FOREIGN: "somebody else", REPAIR: "the gateway"}
# What a cell may not begin with, or a spreadsheet runs it; the wide ones are taken for the others where Japanese is written.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def shown(text: str) -> str:
    """With an escape such as \\x1b for whatever is not to be seen, or may turn what is."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def row(entry: Entry) -> dict[str, Any]:
    """What is exported of an entry: its facts, and its place in the chain."""
    return {**facts(entry), "state": entry.state, "position": entry.position, "hash": entry.hash}


def changes_of(entry: Entry) -> tuple[RowChange, ...]:
    """What it did to rows; nothing where what is kept of that cannot be read: `verify` says so."""
    try:
        return decoded(entry.changes) if entry.changes is not None else ()
    except ValueError:
        return ()


def json_line(entry: Entry, names: Sequence[Mapping[str, str]] = ()) -> str:
    """In ASCII, so that nothing in it is more than text. version: of this format. names: if they were requested."""
    changes = [{"target": c.target, "how": c.how, "before": c.before, "after": c.after} for c in changes_of(entry)]
    more = {"names": names} if names else {}
    return dumps({"version": VERSION, **row(entry), "changes": changes, **more}, ascii_only=True)


def write_csv(entries: Iterable[tuple[Entry, Sequence[Mapping[str, str]]]], to: TextIO, *, named: bool = False) -> None:
    """Text that a spreadsheet would take for a formula has a ' before it. entries: each with its names. named: whether there is
    a column of them."""
    more = ["names"] if named else []
    writer = csv.DictWriter(to, [*row(Entry(id="")), "before", "after", *more], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for entry, names in entries:
        changes = changes_of(entry)
        sides = {"before": [one.before for one in changes], "after": [one.after for one in changes]}
        values = {**row(entry), **{name: dumps(rows, ascii_only=True) if changes else "" for name, rows in sides.items()}}
        values |= {name: dumps(names, ascii_only=True) for name in more}
        writer.writerow({name: _cell(value) for name, value in values.items()})


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return f"'{shown(value)}" if value.startswith(FORMULA) else shown(value)


def table(
    entries: Sequence[Entry], *, wide: bool = False, head: bool = True, target: str = "", more: Below = lambda _: ()
) -> None:
    """A line for each entry, and below it what it changed: `target` first, for there may be more than can be told. more: to be
    said below each."""
    for line in (wide_lines if wide else lines)(entries, head=head, target=target, more=more):
        typer.echo(line)


def wide_lines(entries: Sequence[Entry], *, head: bool = True, target: str = "", more: Below = lambda _: ()) -> Iterator[str]:
    """Unshortened: whole IDs, and Graph's too."""
    table = [WIDE_HEAD, *map(_wide_line, entries)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    below = [[*_below(entry, target, str), *more(entry)] for entry in entries]
    yield from _laid_out(table, widths, head=head and bool(entries), below=below)


def lines(entries: Sequence[Entry], *, head: bool = True, target: str = "", more: Below = lambda _: ()) -> Iterator[str]:
    """In 80 columns, with IDs shortened as far as they stay distinct here. What does not fit is on a line of its own."""
    short = Shortened(ids_in(word for entry in entries for word in _words(entry, changes_of(entry))))
    table = [HEAD, *(_line(entry, short) for entry in entries)]
    widths = _widths(table)
    below = [
        [
            *(f"    {HEAD[at]}: {cells[at]}" for at in (WHO, OUTCOME) if len(cells[at]) > widths[at]),
            *(_cut(line, COLUMNS).rstrip() if line.startswith(ASKED) else line for line in _below(entry, target, short)),
            *(_cut(GUID.sub(lambda found: short(found[0]), line), COLUMNS).rstrip() for line in more(entry)),
        ]
        for entry, cells in zip(entries, table[1:], strict=True)
    ]
    yield from _laid_out(table, widths, head=head and bool(entries), below=below)


def _laid_out(
    table: Sequence[Sequence[str]], widths: Sequence[int], *, head: bool, below: Sequence[Sequence[str]]
) -> Iterator[str]:
    for number, cells in enumerate(table):
        if number or head:
            yield GAP.join(_cut(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        if number:
            yield from below[number - 1]


def _below(entry: Entry, target: str, short: Callable[[str], str]) -> list[str]:
    """What it changed; where that is nothing, what was asked for."""
    changes = sorted(changes_of(entry), key=lambda change: target.lower() not in change.target.lower())
    if changes:
        return list(change_lines(changes, short))
    asked = GUID.sub(lambda found: short(found[0]), _asked(entry))
    return [f"{ASKED}{asked}"] if asked else []


def _wide_line(entry: Entry) -> tuple[str, ...]:
    graph = " ".join(filter(None, (str(entry.graph_status or ""), entry.graph_request_id)))
    when = entry.began_at[:19] + "Z"
    return tuple(map(shown, (when, who(entry), entry.operation, entry.policy, outcome(entry), graph, entry.id)))


def _asked(entry: Entry) -> str:
    return shown(entry.target or entry.assignment)


def _widths(table: Sequence[Sequence[str]]) -> list[int]:
    """Who did it gets what the others leave."""
    widths = [min(max(map(len, column)), most) for column, most in zip(zip(*table, strict=True), MOST_WIDE, strict=True)]
    others = sum(widths) - widths[WHO] + len(GAP) * (len(widths) - 1)
    widths[WHO] = min(widths[WHO], max(COLUMNS - others, SHORTEST))
    return widths


def _words(entry: Entry, changes: Sequence[RowChange]) -> Iterator[str]:
    yield from (entry.id, entry.policy, *GUID.findall(_asked(entry)))
    yield from (
        word for change in changes for side in (change.before, change.after) for row in side for word in words_of(change, row)
    )


def _line(entry: Entry, short: "Shortened") -> tuple[str, ...]:
    did = OPERATION.sub("", entry.operation)
    when = entry.began_at[:16].replace("T", " ")
    return tuple(map(shown, (when, who(entry), did, short(entry.policy), outcome(entry), short(entry.id))))


def _cut(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def who(entry: Entry) -> str:
    """The caller's name, or who else did it."""
    return entry.caller or OF_NOBODY.get(entry.operation, "(unknown)")


def outcome(entry: Entry) -> str:
    """What came of it."""
    return (entry.outcome or entry.state) + (f", {entry.times} times" if entry.times > 1 else "")


def change_lines(changes: Sequence[RowChange], short: Callable[[str], str] = str, most: int = MOST_CHANGES) -> Iterator[str]:
    """`- ` for a removed row, `+ ` for an added one; both if it changed."""
    for change in changes[:most]:
        for sign, rows in (("-", change.before), ("+", change.after)):
            for row in rows:
                yield shown(f"    {sign} {' '.join(map(short, words_of(change, row)))}")
    if len(changes) > most:
        yield f"    and {len(changes) - most} more: audit show lists all"


def words_of(change: RowChange, row: Mapping[str, Any]) -> list[str]:
    """Who is meant, and with which filter."""
    target = row.get("target")
    filter_id, kind = filter_of(target) if isinstance(target, dict) else ("", "")
    return [*text_of_row(row, change.target).split(" "), *filter(None, (kind, filter_id))]


def text_of_row(row: Mapping[str, Any], otherwise: str) -> str:
    """Whom this row means: a change may make a group that was included an excluded one."""
    target = row.get("target")
    return text_of_json(target) if isinstance(target, dict) else otherwise


class Shortened:
    """IDs shortened as far as they stay distinct, to at least 8 characters; everything else unchanged."""

    def __init__(self, ids: Iterable[str]) -> None:
        ordered = sorted(set(ids))
        neighbours = zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False)
        self._short = {
            one: one[: max(SHORTEST, _alike(before, one) + 1, _alike(one, after) + 1)] for before, one, after in neighbours
        }

    def __call__(self, text: str) -> str:
        return self._short.get(text, text)


def _alike(one: str, other: str) -> int:
    """How many letters at their beginning."""
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other)))


def ids_in(texts: Iterable[str]) -> Iterator[str]:
    """Those of them that are ids."""
    return (text for text in texts if GUID.fullmatch(text))


def trace_lines(entry: Entry) -> Iterator[str]:
    """The way from caller to Graph."""
    caller = who(entry)
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
        ("revision", str(entry.revision or "")),
        ("client-request-id", entry.client_request_id),
        ("Graph's answer", str(entry.graph_status or "")),
        ("Graph's request-id", entry.graph_request_id),
        ("assignment", entry.assignment),
        ("outcome", entry.outcome or entry.state),
        ("repaired", entry.repaired),
        ("changes by others", str(entry.foreign_changes or "")),
        ("set before", entry.etag_before),
        ("set after", entry.etag),
        ("took", f"{entry.duration_us / 1e6:.3f} s" if entry.ended_at else ""),
        ("times", str(entry.times) if entry.times > 1 else ""),
        ("place in the chain", place),
    )
    for name, value in known:
        if value:
            yield shown(f"  {name:18}  {value}")
