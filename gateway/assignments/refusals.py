"""Whom to tell when Graph refuses a set: the edit that changed it, unless a row that was there before is at fault; and what
may be an edit's fault at all. Pure."""

from collections.abc import Iterator

from gateway.assignments.edits import Merged
from gateway.assignments.rows import Row, RowSet, row_id, target_of
from gateway.errors import GatewayError, Kind, Reason
from gateway.odata.codec import TYPE

# Said of a whole tenant as well as of one edit.
MAY_BE_OF_AN_EDIT = (Reason.GRAPH_CONFLICT, Reason.GRAPH_UNAVAILABLE)


def is_definite(error: GatewayError) -> bool:
    """Whether Graph would refuse the same write again: an edit is to blame, and only without it have the others a chance."""
    return error.reason.kind is Kind.INVALID_ARGUMENT or error.reason is Reason.GRAPH_FORBIDS


def may_be_of_an_edit(error: GatewayError) -> bool:
    """Whether an answer of Graph's that may pass (409, 412, 503) may be for one edit all the same. Nothing was carried out."""
    return error.reason in MAY_BE_OF_AN_EDIT and "graph_status" in error.metadata


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
    return error


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
