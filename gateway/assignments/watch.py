"""When a policy is read again after a write, until its writes are settled: at growing intervals, and once after the last moment
at which a write of the gateway's could still take effect plus the lag of reads. Pure.

The early looks find quickly what a late write undid; only the last one can settle, since Graph checks no fence (design.md
§6)."""

from dataclasses import dataclass

FIRST_S = 5.0
GROWTH = 3.0
LONGEST_S = 60.0


@dataclass(frozen=True)
class Watch:
    """next_at: when the next look is due, in monotonic seconds. pause: the seconds before it; the next pause is longer."""

    next_at: float
    pause: float = FIRST_S


def begun(now: float, end: float, pause: float = FIRST_S) -> Watch:
    """The watch after a write. end: a look that is requested after this moment can settle everything (Memory.ends_at), so the
    next look is not later than that, unless the moment has passed."""
    return Watch(min(now + pause, end + 0.001) if end >= now else now + pause, pause)


def after_look(watch: Watch, now: float, end: float) -> Watch:
    """The watch after a look that failed or left something unsettled."""
    return begun(now, end, min(watch.pause * GROWTH, LONGEST_S))
