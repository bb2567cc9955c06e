"""When a policy is looked at again after a write, until it is settled: at growing intervals, and once after the last moment at
which a write of ours could still take effect, with the age of a read added. Pure."""

from dataclasses import dataclass

FIRST_S = 5.0
GROWTH = 3.0
LONGEST_S = 60.0


@dataclass(frozen=True)
class Watch:
    """next_at: of the next look, monotonic seconds. pause: after which the one after it comes."""

    next_at: float
    pause: float = FIRST_S


def begun(now: float, end: float, pause: float = FIRST_S) -> Watch:
    """After a write. end: a look asked for after this moment can settle all (Memory.ends_at): the next one is not later, unless
    that moment has passed."""
    return Watch(min(now + pause, end + 0.001) if end >= now else now + pause, pause)


def after_look(watch: Watch, now: float, end: float) -> Watch:
    """After a look that left something unsettled, or that failed."""
    return begun(now, end, min(watch.pause * GROWTH, LONGEST_S))
