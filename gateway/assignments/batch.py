"""Edits of a policy that go out together, and when."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.assignments.pending import Pending


@dataclass(eq=False)
class Batch:
    """Edits that go out together. attempt: of its next round. is_open: what comes before that round begins joins it.
    token_refused: whether Graph refused the token in the round before. is_suspect: a part of one that Graph refused for as long
    as it was tried: one refusal more is enough."""

    edits: list[Pending] = field(default_factory=list)
    attempt: int = 1
    is_open: bool = True
    token_refused: bool = False
    is_suspect: bool = False


# The first pause of a crowd, in turns of the quota; then twice as many each time, up to the last.
FIRST_PAUSE, LAST_PAUSE = 10, 25


@dataclass(frozen=True)
class Crowd:
    """Edits of a policy that come one upon the other. How long the next write waits for more of them is counted in turns of
    the quota, so that a busy machine makes no more writes of them than an idle one. turn_at: when the last write had its turn,
    event loop's clock. callers: whose edits it had. size: how many; pauses: how many writes of a crowd came before."""

    turn_at: float = 0.0
    callers: frozenset[str] = frozenset()
    size: int = 0
    pauses: int = 0

    def pause(self, waiting: int, interval: float) -> float:
        """Seconds from the last write's turn to the next. waiting: edits. interval: seconds between turns."""
        is_one = max(waiting, self.size) > 1
        return min(FIRST_PAUSE * 2**self.pauses, LAST_PAUSE) * interval if is_one else 0.0

    def after(self, edits: Sequence[Pending], now: float) -> "Crowd":
        """One more write had its turn, and these edits."""
        callers = frozenset(pending.bidder.caller for pending in edits)
        return Crowd(now, callers, len(edits), min(self.pauses + 1, 10) if self.size > 1 else 0)
