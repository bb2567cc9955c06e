"""`serve`: runs the gateway until SIGTERM, in one process or in several that `gateway.cli.workers` starts."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.loop import load_or_exit, refuse, run, serve_until_signalled
from gateway.config import Config, ConfigError
from gateway.logs import log_json
from gateway.worker import WORKER, Retirement, Worker

SEVERAL = (
    "Number of processes that serve on the same ports. More than one needs a PostgreSQL ledger. "
    "SIGHUP replaces them one by one."
)


def serve(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.")],
    workers: Annotated[int, typer.Option(min=1, max=64, help=SEVERAL)] = 1,
) -> None:
    """Run the gateway. Print one JSON line when ready, log JSON lines on stderr, drain and exit on SIGTERM.

    In the JSON line, `ready` is true, or "reads" if the ledger cannot be reached, so that writes are refused for now."""
    loaded = load_or_exit(config)
    log_json(worker=WORKER.number if WORKER else None)
    try:
        if workers > 1:
            from gateway.cli.workers import Workers  # noqa: PLC0415

            raise typer.Exit(run(Workers(loaded.server, config, workers).run()))
        run(_serve_as(WORKER, loaded, config) if WORKER else _serve(loaded, config))
    except ConfigError as exc:
        from gateway.plugins import mistakes_of  # noqa: PLC0415 - see _serve

        raise refuse(mistakes_of(loaded, config, exc.mistakes)) from None
    except OSError as exc:
        raise refuse([f"server: {exc}"]) from None


async def _serve(config: Config, source: Path, worker: Worker | None = None, retirement: Retirement | None = None) -> None:
    from gateway.bootstrap import running  # noqa: PLC0415 - all there is, of which one that starts workers needs little

    async with running(config, source=source, worker=worker, retirement=retirement) as addresses:
        doors = addresses._asdict()
        ready = True if doors.pop("writes") else "reads"
        stop = retirement.over if retirement else None
        await serve_until_signalled(stop, ready=ready, **{door: address for door, address in doors.items() if address})


async def _serve_as(worker: Worker, config: Config, source: Path) -> None:
    """Serves as one of several workers. A byte on the pipe `worker.orders` is the parent's order to retire; its end means that
    the parent is gone, and ends this worker as SIGTERM would."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal sends it to the whole group; it is for the parent
    loop, retirement = asyncio.get_running_loop(), Retirement()

    def heard() -> None:
        if os.read(worker.orders, 1):
            retirement.begins.set()
        else:
            loop.remove_reader(worker.orders)
            retirement.over.set()

    loop.add_reader(worker.orders, heard)
    server = config.server.model_copy(update=worker.addresses)
    await _serve(config.model_copy(update={"server": server}), source, worker, retirement)
