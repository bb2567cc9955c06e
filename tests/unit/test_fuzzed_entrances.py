"""Whatever bytes strangers and callers send, a value or a documented refusal comes of it, and work that grows no faster than
the bytes. A short run, the same each time; with -m long ten minutes for each entrance (FUZZ_SECONDS), from seeds that are
printed. What was found is kept in tests/cases/fuzz, and tried again by every run."""

import hashlib
import os
import secrets
import time
from collections import Counter
from pathlib import Path

import pytest
from fuzzed import ENTRANCES
from hypothesis import HealthCheck, Phase, given, seed, settings
from strangers import counted, refused_or_taken

KEPT = Path(__file__).parents[1] / "cases/fuzz"
SECONDS = float(os.environ.get("FUZZ_SECONDS", "600"))
EXAMPLES = 60
# Lines and calls (see `counted`) that an entrance may take for nothing, and for each byte.
FIRST, EACH = 12_000, 300


def check(name: str, data: bytes) -> str:
    """What comes of it. Raises whatever is no documented refusal, and AssertionError for too much work."""
    outcome = refused_or_taken(ENTRANCES[name].entrance, data)
    if sum(data) % 8 == 0:  # counting is slow
        work, _ = counted(lambda: ENTRANCES[name].entrance(data))
        assert work <= FIRST + EACH * len(data), f"{work} lines and calls for {len(data)} bytes"
    return outcome


def explore(name: str, how: settings, number: int | None = None) -> Counter[str]:
    """Outcomes. What fails is kept, as short as it could be made."""
    outcomes: Counter[str] = Counter()
    failing = b""

    def one(data: bytes) -> None:
        nonlocal failing
        try:
            outcomes[check(name, data)] += 1
        except BaseException:
            failing = data
            raise

    trial = how(given(ENTRANCES[name].data)(one))
    try:
        (trial if number is None else seed(number)(trial))()
    except BaseException:
        place = KEPT / name / f"{hashlib.sha256(failing).hexdigest()[:16]}.bin"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(failing)
        raise
    return outcomes


QUICK = settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=1000, derandomize=False, phases=[Phase.generate, Phase.shrink])


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_value_or_a_documented_refusal_comes_of_any_bytes(name: str):
    for path in sorted((KEPT / name).glob("*.bin")):
        check(name, path.read_bytes())
    outcomes = explore(name, QUICK)
    assert sum(outcomes.values()) >= EXAMPLES / 2
    assert len(outcomes) > 1, "some is taken, and some is not"


@pytest.mark.long
@pytest.mark.parametrize("name", ENTRANCES)
def test_ten_minutes_of_any_bytes(name: str):
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        number = secrets.randbits(32)
        print(f"{name}: seed {number}", flush=True)
        outcomes += explore(name, LONG, number)
    print(f"{name}: {sum(outcomes.values())} inputs, {dict(outcomes.most_common())}")
