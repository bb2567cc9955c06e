"""What others did to a policy's rows while we wrote: pure bookkeeping over the sets that were seen."""

from collections.abc import Iterable

from gateway.assignments.rows import Key, Row, by_key, differ, row_id


class Changes:
    """Feed it every set read after the write, oldest first, by `see`. touched: the keys that our edits changed.

    foreign: rows that differ in the last set from what was sent, and that we did not touch; by id, or by key where they
    are gone. undone: rows that differed in an earlier set and no longer do: a change that our write may have undone.
    """

    def __init__(self, sent: Iterable[Row], touched: frozenset[Key]) -> None:
        self._sent, self._touched = by_key(sent), touched
        self._seen: set[str] = set()
        self.foreign: list[str] = []

    def see(self, rows: Iterable[Row]) -> None:
        """A set as read."""
        now = by_key(rows)
        keys = (now.keys() | self._sent.keys()) - self._touched
        self.foreign = sorted(_name(now.get(key) or self._sent[key], key) for key in keys if differ(now, self._sent, key))
        self._seen |= set(self.foreign)

    @property
    def undone(self) -> list[str]:
        return sorted(self._seen - set(self.foreign))


def _name(row: Row, key: Key) -> str:
    return row_id(row) or "/".join(key)
