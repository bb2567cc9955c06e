"""Whom to tell when Graph refuses a set: the edit that changed it, unless a row that was there before is at fault. Pure."""

from collections.abc import Iterable, Iterator

from gateway.assignments.edits import Merged
from gateway.assignments.rows import Row, RowSet, row_id, target_of
from gateway.errors import GatewayError, Reason
from gateway.odata.codec import TYPE


def blame(error: GatewayError, rows: RowSet, merged: Merged) -> GatewayError:
    """The error for the one edit of a refused set. rows: as they were read; merged: as they were sent.

    Graph names a type, a property or an id (graph-facts §5: E6, E12, the undeclared property). Where a row had it before, and
    no edit brought it, that row is told: GRAPH_REFUSES_OLD_ROW. Where Graph names nothing (E15), it is the row that stands
    beside one of a policy set's; without an id, where the edit puts no row there.
    """
    before, after = rows.direct, merged.rows.direct
    new = any(after.get(key) for key in merged.touched)
    brought = any((_all_names(after.get(key, ())) - _all_names(before.get(key, ()))) & error.named for key in merged.touched)
    kept = [row for key, found in before.items() if key in after for row in found]
    old = next((row for row in kept if _names(row) & error.named), None)
    if old is not None and not brought:
        return _old_row(error, rows, old)
    beside = [row for key, found in before.items() if key in rows.owned and key in after for row in found]
    if not error.named and (beside or (kept and not new)):
        return _old_row(error, rows, *beside[:1])
    return error


def _old_row(error: GatewayError, rows: RowSet, old: Row | None = None) -> GatewayError:
    which = f"the assignment {row_id(old)} ({_kind(old)})," if old else "one of the assignments, without saying which,"
    return GatewayError(
        Reason.GRAPH_REFUSES_OLD_ROW,
        f"Graph no longer takes {which} which the policy has already; nothing was written. Delete or replace that one first.",
        resource=(f"{rows.of.policy_type}Assignment", row_id(old)) if old else None,
        metadata=error.metadata,
    )


def _kind(row: Row) -> str:
    return str(target_of(row).get(TYPE) or "no type").rpartition(".")[2]


def _all_names(rows: Iterable[Row]) -> set[str]:
    return {name for row in rows for name in _names(row)}


def _names(row: Row) -> set[str]:
    """What an error could name of a row: properties, types without their namespace, ids; in small letters."""
    return {name for value in (row, target_of(row)) for pair in value.items() for name in _words(*pair)}


def _words(name: str, value: object) -> Iterator[str]:
    yield name.lower()
    if isinstance(value, str):
        yield value.rpartition(".")[2].lower()
