"""For each input that a stranger or a caller controls: what is twice as long makes at most twice the work, up to the limit that
refuses it. Work is counted in lines and calls; that of C's loops and regular expressions shows only in the processor's time, of
which the shape is tested, not the amount."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from grown import INPUTS
from strangers import counted, refused_or_taken

# Lines and calls that differ by what was remembered before.
SLACK = 500


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_twice_as_long_makes_at_most_twice_the_work(name: str):
    made, length, most, refused, flat = INPUTS[name]
    for _ in range(3):  # what comes in between, of the loop's own, comes once
        works = [counted(made(length * times))[0] for times in (1, 2, 4)]
        if all(more <= (less if flat else 2 * less) + SLACK for less, more in pairwise(works)):
            break
    else:
        raise AssertionError(f"{works} lines and calls for a length, twice and four times as long")
    if most:
        assert refused_or_taken(lambda _: made(most)(), b"") == refused


def processor_time(work: Callable[[], object]) -> float:
    """The least of three, without what others do meanwhile. Seconds."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        refused_or_taken(lambda _: work(), b"")
        times.append(time.thread_time() - begun)
    return min(times)


@pytest.mark.parametrize("name", INPUTS)
def test_nor_does_c_make_more(name: str):
    """What grows with the square is there 64 times as long; cold caches make two or three of the eight."""
    made, length, *_ = INPUTS[name]
    short, long = made(max(length // 2, 1)), made(length * 4)
    ratios = []
    for _ in range(3):
        ratios.append(processor_time(long) / processor_time(short))
        if ratios[-1] < 32:
            return
    raise AssertionError(f"eight times the length, {ratios} times the work")
