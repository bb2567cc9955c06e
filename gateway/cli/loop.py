"""The event loop of a command: uvloop where it exists, and an end by SIGTERM or SIGINT."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import typer

from gateway.config import Config, ConfigError, load, load_authorization

try:
    from uvloop import new_event_loop
except ImportError:  # not on Windows, not on PyPy
    from asyncio import new_event_loop  # type: ignore[assignment]

T = TypeVar("T")
BAD_CONFIG = 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def serve_until_signalled(stop: asyncio.Event | None = None, **ready: object) -> None:
    """Prints the ready line, and returns at the first SIGTERM or SIGINT, or when `stop` is set. What has been loaded so far is
    frozen: garbage collection does not scan it again, which would block the loop."""
    gc.collect()
    gc.freeze()
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    say(**ready)
    await stop.wait()


def say(**facts: object) -> None:
    """One JSON line on stdout, at once."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def load_or_exit(path: Path) -> Config:
    """The configuration; with mistakes, a line for each on stderr and exit status 1."""
    try:
        return load(path)
    except ConfigError as exc:
        raise refuse([*exc.mistakes, *_mistakes_in_rules(path)]) from None


def _mistakes_in_rules(path: Path) -> list[str]:
    from gateway.plugins import authorizer_of, mistakes_in  # noqa: PLC0415 - see serve

    try:
        settings = load_authorization(path)
    except ConfigError:  # reported with the rest of the file
        return []
    return mistakes_in(partial(authorizer_of, settings))


def refuse(mistakes: list[str]) -> typer.Exit:
    """Says why a start is refused."""
    for mistake in mistakes:
        typer.echo(f"config: {mistake}", err=True)
    return typer.Exit(BAD_CONFIG)
