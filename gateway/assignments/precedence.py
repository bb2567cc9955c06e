"""Which of several writes determines the expected row of a key. Pure."""

from collections.abc import Iterable

from gateway.assignments.past_writes import PastWrite
from gateway.odata.targets import Key


def last_said(writes: Iterable[PastWrite]) -> dict[Key, PastWrite]:
    """By key, the last acknowledged write. writes: in the order of their records: a write that takes effect late comes before
    what was requested after it. A repair only repeats what was requested before it. If it says something else, it was made
    before anybody knew that the earlier write had been carried out; the earlier write counts then."""
    found: dict[Key, PastWrite] = {}
    asked_for: dict[Key, PastWrite] = {}
    for write in writes:
        if write.acked is None:
            continue
        if write.kind != "repair":
            asked_for |= dict.fromkeys(write.touched, write)
            found |= dict.fromkeys(write.touched, write)
            continue
        for key in write.touched:
            if key not in asked_for or asked_for[key].after(key) == write.after(key):
                found[key] = write
    return found


def comes_before(one: PastWrite, other: PastWrite) -> bool:
    """Compares by record; what the ledger does not have yet is the newest. A repair that left something else than an earlier
    write did not know of that write. other: what counts now."""
    number = other.number or float("inf")
    return (one.number or float("inf")) < number or (one.kind == "repair" and other.kind != "repair")


def explains_alone(write: PastWrite, key: Key, known: Iterable[PastWrite]) -> bool:
    """Whether no other known write had this value for the key, before it or after: then a set that shows the value was made by
    this write."""
    value = write.after(key)
    others = [other for other in known if other is not write]
    return write.before(key) != value and all(value not in (other.before(key), other.after(key)) for other in others)
