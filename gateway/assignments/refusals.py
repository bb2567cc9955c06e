"""Which edit to blame when Graph refuses a set: the one that changed it, unless a row that was there before is the cause.
Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.assignments.edits import Merged
from gateway.assignments.rows import Row, RowSet, row_id, target_of
from gateway.errors import GatewayError, Kind, Reason, Violation
from gateway.odata.codec import TYPE
from gateway.odata.targets import text_of_json

MOST_SHOWN = 200  # of a name that a caller made up
# Said of a whole tenant as well as of one edit.
MAY_BE_OF_AN_EDIT = (Reason.GRAPH_CONFLICT, Reason.GRAPH_UNAVAILABLE)


def is_definite(error: GatewayError) -> bool:
    """Whether Graph would refuse the same write again: then an edit is the cause, and only without it can the others
    succeed."""
    return error.reason.kind is Kind.INVALID_ARGUMENT or error.reason is Reason.GRAPH_FORBIDS


def may_be_of_an_edit(error: GatewayError) -> bool:
    """Whether a temporary answer of Graph's (409, 412, 503) may be caused by one edit. Nothing was carried out."""
    return error.reason in MAY_BE_OF_AN_EDIT and "graph_status" in error.metadata


def blame(error: GatewayError, rows: RowSet, merged: Merged) -> GatewayError:
    """The error for the single edit of a refused set. rows: as read. merged: as sent.

    Graph may name a type, a property or an ID (docs/graph.md §5: E6, E12, the undeclared property). If a row had it before, and
    no edit brought it, the error is GRAPH_REFUSES_OLD_ROW for that row. If Graph names nothing (E15), the cause is the row that
    stands beside one of a policy set; the error has no ID if the edit puts no row there.
    """
    before, after = rows.direct, merged.rows.direct
    placed = [row for key in merged.touched for row in after.get(key, ())]
    brought = any((_all_names(after.get(key, ())) - _all_names(before.get(key, ()))) & error.named for key in merged.touched)
    kept = [row for key, found in before.items() if key in after for row in found]
    old = next((row for row in kept if _names(row) & error.named), None)
    if old is not None and not brought:
        return _old_row(error, rows, old)
    beside = [row for key, found in before.items() if key in rows.owned and key in after for row in found]
    if not error.named and (beside or (kept and not placed)):
        return _old_row(error, rows, *beside[:1])
    property_unknown = error.reason is Reason.GRAPH_PROPERTY_UNKNOWN
    return _with_its_rows(_with_its_property(error, placed) if property_unknown else error, placed)


def _with_its_rows(error: GatewayError, placed: list[Row]) -> GatewayError:
    """The error with the rows that Graph means, as violations with a reason of their own, so that they can be hidden from
    callers that may not read."""
    meant = [row for row in placed if _names(row) & error.named]
    if len(placed) == 1 or not meant:
        return error
    told = (Violation(text_of_json(target_of(row)), error.message, error.reason) for row in meant)
    return replace(error, violations=tuple(told))


def _with_its_property(error: GatewayError, placed: list[Row]) -> GatewayError:
    """The error with the property as the edit spelt it: Graph's text is not shown to callers."""
    places = [(f"assignment.{name}", name) for row in placed for name in row]
    places += [(f"assignment.target.{name}", name) for row in placed for name in target_of(row)]
    place = next((place for place, name in places if name.lower() in error.named), None)
    return error if place is None else replace(error, message=f"{place[:MOST_SHOWN]}: Graph does not know this property.")


def _old_row(error: GatewayError, rows: RowSet, old: Row | None = None) -> GatewayError:
    one = "one of the policy's assignments (it does not say which)"
    if old:
        one = f"the policy's assignment {row_id(old)} ({_kind(old)})"
    return GatewayError(
        Reason.GRAPH_REFUSES_OLD_ROW,
        f"Graph no longer accepts {one}; nothing was written. Delete or replace it first.",
        resource=(f"{rows.of.policy_type}Assignment", row_id(old)) if old else None,
        metadata=error.metadata,
    )


def _kind(row: Row) -> str:
    return str(target_of(row).get(TYPE) or "no type").rpartition(".")[2]


def _all_names(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name in _names(row)}


def _names(row: Row) -> set[str]:
    """What an error of Graph's could name of a row: properties, types without their namespace, and IDs, in lower case."""
    return {name for value in (row, target_of(row)) for pair in value.items() for name in _words(*pair)}


def _words(name: str, value: object) -> Iterator[str]:
    yield name.lower()
    if isinstance(value, str):
        yield value.rpartition(".")[2].lower()
