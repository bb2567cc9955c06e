"""Edits of a policy that share a write, and when it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.assignments.pending import Pending


@dataclass(eq=False)
class Batch:
    """Edits that share a write. attempt: the number of its next round. is_open: whether edits that come before that round may
    join. token_refused: whether Graph refused the token in the previous round. is_suspect: whether it is part of a batch that
    Graph refused in every attempt; it is given up at its first refusal."""

    edits: list[Pending] = field(default_factory=list)
    attempt: int = 1
    is_open: bool = True
    token_refused: bool = False
    is_suspect: bool = False


# The first pause of a crowd, in turns of the quota; then twice as many each time, up to the last.
FIRST_PAUSE, LAST_PAUSE = 10, 25


@dataclass(frozen=True)
class Crowd:
    """Edits of a policy that come in quick succession. How long the next write waits for more of them is counted in turns of
    the quota, so that the number of writes does not depend on the speed of the machine. turn_at: when the last write got its
    turn, event loop's clock. callers: the callers of its edits. size: their number. pauses: how many writes of the crowd came
    before."""

    turn_at: float = 0.0
    callers: frozenset[str] = frozenset()
    size: int = 0
    pauses: int = 0

    def pause(self, waiting: int, interval: float) -> float:
        """Seconds from the last write's turn to the next. waiting: number of edits. interval: seconds between turns."""
        is_one = max(waiting, self.size) > 1
        return min(FIRST_PAUSE * 2**self.pauses, LAST_PAUSE) * interval if is_one else 0.0

    def after(self, edits: Sequence[Pending], now: float) -> "Crowd":
        """The crowd after a write with these edits got its turn."""
        callers = frozenset(pending.bidder.caller for pending in edits)
        return Crowd(now, callers, len(edits), min(self.pauses + 1, 10) if self.size > 1 else 0)
