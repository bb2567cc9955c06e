"""Whom to tell when Graph refuses a set: the edit that changed it, unless a row that was there before is at fault. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.assignments.edits import Merged
from gateway.assignments.rows import Row, RowSet, row_id, target_of
from gateway.errors import GatewayError, Reason
from gateway.odata.codec import TYPE

MOST_SHOWN = 200  # of a name that a caller made up


def blame(error: GatewayError, rows: RowSet, merged: Merged) -> GatewayError:
    """The error for the one edit of a refused set. rows: as they were read; merged: as they were sent.

    Graph names a type, a property or an id (graph-facts §5: E6, E12, the undeclared property). Where a row has it that no edit
    touched, and none that was touched, that row is told: GRAPH_REFUSES_OLD_ROW. So it is, without an id, where Graph names
    nothing (E15) and the edit puts no row there.
    """
    new = [row for key in merged.touched for row in merged.rows.direct.get(key, ())]
    others = [row for key, found in rows.direct.items() if key not in merged.touched for row in found]
    old = next((row for row in others if _names(row) & error.named), None)
    if old is not None and not any(_names(row) & error.named for row in new):
        return _old_row(error, rows, f"the assignment {row_id(old)} ({_kind(old)}),", row_id(old))
    if others and not new and not error.named:
        return _old_row(error, rows, "one of the assignments, without saying which,")
    return _with_its_property(error, new) if error.reason is Reason.GRAPH_PROPERTY_UNKNOWN else error


def _with_its_property(error: GatewayError, new: list[Row]) -> GatewayError:
    """The property by the name that the edit gave it: what Graph says is not shown to callers."""
    places = [(f"assignment.{name}", name) for row in new for name in row]
    places += [(f"assignment.target.{name}", name) for row in new for name in target_of(row)]
    place = next((place for place, name in places if name.lower() in error.named), None)
    return error if place is None else replace(error, message=f"{place[:MOST_SHOWN]}: Graph knows no such property.")


def _old_row(error: GatewayError, rows: RowSet, which: str, its_id: str = "") -> GatewayError:
    return GatewayError(
        Reason.GRAPH_REFUSES_OLD_ROW,
        f"Graph no longer takes {which} which the policy has already; nothing was written. Delete or replace that one first.",
        resource=(f"{rows.of.policy_type}Assignment", its_id) if its_id else None,
        metadata=error.metadata,
    )


def _kind(row: Row) -> str:
    return str(target_of(row).get(TYPE) or "no type").rpartition(".")[2]


def _names(row: Row) -> set[str]:
    """What an error could name of a row: properties, types without their namespace, ids; in small letters."""
    return {name for value in (row, target_of(row)) for pair in value.items() for name in _words(*pair)}


def _words(name: str, value: object) -> Iterator[str]:
    yield name.lower()
    if isinstance(value, str):
        yield value.rpartition(".")[2].lower()
