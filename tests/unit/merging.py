"""merge over plain lists of rows, for the tests of edits."""

from typing import NamedTuple

from gateway.assignments import merge as merging
from gateway.assignments.rows import RowSet
from gateway.sets import COMPLIANCE


class Merged(NamedTuple):
    rows: list[dict]
    outcomes: list
    touched: frozenset

    @property
    def changed(self) -> bool:
        return bool(self.touched)


def row_set(rows: list[dict]) -> RowSet:
    return RowSet(COMPLIANCE, rows)


def merge(rows: list[dict], wanted, repairs=None) -> Merged:
    merged = merging.merge(row_set(rows), wanted, repairs or {})
    return Merged(merged.rows.rows, list(merged.outcomes), merged.touched)
