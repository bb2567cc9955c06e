"""How the state of a revision may change: forward only, and whoever sent a write knows more of it than others. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.revision import Change, Revision, State

FORWARD: Mapping[State, tuple[State, ...]] = {
    "sent": ("shown", "settled"),
    "doubtful": ("shown", "settled"),
    "shown": ("settled",),
    "void": (),
    "settled": (),
}
OVER = tuple(state for state, then in FORWARD.items() if not then)
# The sender saw what Graph answered. Others saw only what shows, and what did not show for them may have landed all the same.
SENDERS: Mapping[State, tuple[State, ...]] = {"sent": ("doubtful", "void")}


def may_become(state: State, then: State, *, sender: bool) -> bool:
    """Whether a revision in a state may be said to be in another, or again in the same; what is settled or void stays as it is.

    sender: whether it is said by the gateway that sent the write.
    """
    if state == then:
        return state not in OVER
    return then in FORWARD[state] or (sender and then in SENDERS.get(state, ()))


def changed(revision: Revision, change: Change) -> Revision:
    """After a change that happens now, and that may be made. The set that was sent is of no use when it is over."""
    acked_s = 0.0 if change.acked and revision.acked_s is None else revision.acked_s
    landed_s = 0.0 if change.landed and revision.landed_s is None else revision.landed_s
    read_back: dict[str, Any] = {
        "touched": revision.touched if change.touched is None else change.touched,
        "etag_after": change.etag or revision.etag_after,
        "sent": None if change.state in OVER else revision.sent,
    }
    return replace(revision, state=change.state, acked_s=acked_s, landed_s=landed_s, **read_back)
