"""The heart's rules, explored whole (heart.pml): the promise holds in every state of every world below; each rule is needed.

A world is a choice of bounds. Nothing is sampled, hashed away or cut off: spin stores every state (in great worlds compressed,
without loss), and a search that does not reach its end is a failure.
"""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

MODEL = Path(__file__).with_name("heart.pml")
pytestmark = pytest.mark.needs("spin", "gcc")

DEEPEST = 2000  # steps; the longest run of any world has under 200
MEMORY_MB = 1000

WORLDS = {
    "one answer goes wrong": "",
    "two answers go wrong": "-DBAD=2 -DREVS=6",
    "one is killed": "-DKILLS=1",
    "one is paused": "-DPAUSES=1",
    "others write": "-DFOREIGN=1",
    "one is paused, others write": "-DPAUSES=1 -DFOREIGN=1 -DBAD=0 -DREVS=6",
    "a batch, others write": "-DBOTH -DFOREIGN=1 -DREVS=6",
    "three edits": "-DTWO -DREVS=6",
    "slow reads and slower writes": "-DLAG=2 -DLATE=3 -DREVS=6",
    "all forgotten at once, one is paused": "-DALL_AT_ONCE -DPAUSES=1",
    "an OK after a look found the write void, one is paused": "-DLATE_EVIDENCE -DPAUSES=1",
}

GREAT_WORLDS = {
    "three edits, one is killed": "-DTWO -DKILLS=1 -DREVS=6",
    "slow reads and slower writes, others write": "-DLAG=2 -DLATE=3 -DFOREIGN=1 -DREVS=6",
    "one is killed, others write": "-DKILLS=1 -DFOREIGN=1 -DREVS=6",
    "one is paused, one is killed": "-DPAUSES=1 -DKILLS=1 -DREVS=6",
    "three edits, others write": "-DTWO -DFOREIGN=1 -DREVS=6",
    "three edits, one is paused": "-DTWO -DPAUSES=1 -DREVS=6",
    "an answer goes wrong, one is paused, others write": "-DPAUSES=1 -DFOREIGN=1 -DREVS=6",
    "one is paused, one is killed, others write": "-DPAUSES=1 -DKILLS=1 -DFOREIGN=1 -DBAD=0 -DREVS=6",
    "slow reads and slower writes, one is paused": "-DLAG=2 -DLATE=3 -DPAUSES=1 -DREVS=6",
}

# The rule that is removed, and a world in which its removal loses something.
RULES = {
    "NO_FENCE": "-DPAUSES=1 -DBAD=0",
    "NO_MEMORY": "",
    "NO_WAIT": "",
    "NO_WATCH": "",
    "NO_RESTORE": "",
    "VOID_EARLY": "",
    "VOID_IS_INNOCENT": "-DFOREIGN=1",
    "TOUCHED_IS_INNOCENT": "-DFOREIGN=1",
    "SHOWN_IS_LANDED": "-DFOREIGN=1",
    "SHOWN_IS_CONFIRMED": "-DTWO -DFOREIGN=1 -DREVS=6",
    "FRESH_IS_ACK": "-DTWO -DFOREIGN=1 -DREVS=6",
    "SINCE_IS_ACK": "-DPAUSES=1 -DBAD=0",
    "AFTER_ACK": "-DPAUSES=1 -DBAD=0",
    "FORGET_AT_END": "",
    "FORGET_ON_STATE": "",
    "FORGET_THREATENED": "-DKILLS=1",
    "FORGET_SUSPECT": "-DPAUSES=1 -DFOREIGN=1 -DBAD=0",
    "FORGET_SHARED": "-DTWO -DREVS=6",
}


class Search(NamedTuple):
    errors: int
    states: int  # stored; every one of them was gone on from if `whole`
    whole: bool
    report: str
    trail: str  # the counterexample in the model's own words, or ""


def explore(tmp_path: Path, flags: str, build: str = "-DSAFETY -O2", search: str = "", memory_mb: int = MEMORY_MB) -> Search:
    """Explores the model with spin's flags `flags`; `build` and `search` go to the compiler and to the verifier."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("spin", "-a", *flags.split(), str(MODEL))
    run("gcc", *build.split(), "-DNOREDUCE", f"-DMEMLIM={memory_mb}", "-o", "pan", "pan.c")
    report = run("./pan", f"-m{DEEPEST}", "-w22", *search.split())
    found = re.search(r"errors: (\d+)\n +(\d+) states, stored", report)
    assert found, report
    cut = re.search("max search depth too small|Search not completed|reached -DMEMLIM|out of memory|interrupted", report)
    failed = (tmp_path / "heart.pml.trail").exists()
    trail = run("spin", "-k", "heart.pml.trail", "-T", *flags.split(), str(MODEL)) if failed else ""
    steps = "\n".join(line for line in trail.splitlines() if re.match(r"\d+: |.*assert", line))
    return Search(int(found[1]), int(found[2]), not cut, report, steps)


def holds(tmp_path: Path, flags: str, build: str = "-DSAFETY -O2", memory_mb: int = MEMORY_MB) -> int:
    search = explore(tmp_path, flags, build, memory_mb=memory_mb)
    assert search.errors == 0, search.report + search.trail
    assert search.whole, search.report
    return search.states


@pytest.mark.parametrize("world", WORLDS)
def test_what_was_acknowledged_is_there_once_settled(world: str, tmp_path: Path):
    states = holds(tmp_path, WORLDS[world])
    print(f"{world}: {states} states")
    assert states > 10_000


@pytest.mark.long
@pytest.mark.parametrize("world", GREAT_WORLDS)
def test_what_was_acknowledged_is_there_once_settled_in_great_worlds(world: str, tmp_path: Path):
    states = holds(tmp_path, GREAT_WORLDS[world], build="-DSAFETY -O2 -DCOLLAPSE", memory_mb=8_000)
    print(f"{world}: {states} states")
    assert states > 500_000


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str, tmp_path: Path):
    search = explore(tmp_path, f"-D{rule} {RULES[rule]}", build="-DSAFETY -O0")
    print(f"without {rule}:\n{search.trail}")
    assert search.errors == 1, search.report
    # What broke is a promise, and not a bound of the model.
    assert "assertion violated" in search.report
    assert not re.search(r"assertion violated \(*(now<|i<)", search.report), search.report


def test_without_the_fence_the_watch_still_mends_what_nobody_paused(tmp_path: Path):
    """A fence is needed for holders that sleep: a read that was asked for before what is settled and forgotten by now."""
    assert holds(tmp_path, "-DNO_FENCE -DKILLS=1") == holds(tmp_path, "-DKILLS=1")


@pytest.mark.parametrize("world", ["-DREVS=4", "-DKILLS=1"])
def test_the_watch_ends(world: str, tmp_path: Path):
    """No cycle of steps exists, whatever they are; with no dead ends and bounded time every run comes to rest."""
    search = explore(tmp_path, world, build="-DNP -O2", search="-l")
    assert search.errors == 0, search.report
    assert search.whole, search.report


def test_a_watch_that_never_rests_is_found_out(tmp_path: Path):
    search = explore(tmp_path, "-DREVS=4 -DRESTLESS", build="-DNP -O0", search="-l")
    assert "non-progress cycle" in search.report
    assert search.errors == 1


def test_a_search_that_is_cut_off_is_not_whole(tmp_path: Path):
    assert not explore(tmp_path, "-DREVS=4", build="-DSAFETY -O0", search="-m40").whole
