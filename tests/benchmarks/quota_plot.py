"""A PNG of what `quota.py --plot` found: waits by caller, and the use of the window. Needs matplotlib."""

from typing import Any

from matplotlib import pyplot


def plotted(world: Any, path: str) -> None:
    """world: a quota.World."""
    figure, (waits, use) = pyplot.subplots(2, 1, figsize=(10, 8))
    waits.boxplot([world.since(name) for name in world.waits], tick_labels=list(world.waits), orientation="horizontal")
    waits.set_xlabel("seconds until the turn")
    seconds = [moment - 1000 for moment in world.writes]
    used = [
        sum(moment - 20 < other <= moment for other in seconds[max(n - 120, 0) : n + 1]) for n, moment in enumerate(seconds)
    ]
    use.plot(seconds, used)
    use.axhline(100, linestyle="--")
    use.set_xlabel("seconds")
    use.set_ylabel("writes in the 20 s before")
    figure.suptitle(world.scenario.name)
    figure.savefig(path)
