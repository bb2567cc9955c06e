"""Which of several writes counts on a key. Pure."""

from collections.abc import Iterable

from gateway.assignments.past_writes import PastWrite
from gateway.odata.targets import Key


def last_said(writes: Iterable[PastWrite]) -> dict[Key, PastWrite]:
    """By key, the last write that was acknowledged. writes: in the order in which they were written down: one that lands late
    comes before what was asked for after it.

    A repair only says again what was asked for before it. Where it says something else, nobody knew yet, when it was made, that
    what came before was carried out, and that counts.
    """
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
    """As they were written down; what the ledger does not have yet is the newest. A repair that left something else than was
    asked for before it did not know of that. other: what counts now."""
    number = other.number or float("inf")
    return (one.number or float("inf")) < number or (one.kind == "repair" and other.kind != "repair")


def explains_alone(write: PastWrite, key: Key, known: Iterable[PastWrite]) -> bool:
    """Whether nothing else that we know of had this value there, before it or after: a set that shows it is one that the
    write has made."""
    value = write.after(key)
    others = [other for other in known if other is not write]
    return write.before(key) != value and all(value not in (other.before(key), other.after(key)) for other in others)
