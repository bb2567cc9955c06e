"""`serve`: the gateway, until SIGTERM."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.bootstrap import running
from gateway.cli.loop import load_or_exit, refuse, run, serve_until_signalled
from gateway.config import Config, ConfigError
from gateway.logs import log_json
from gateway.plugins import mistakes_of


def serve(config: Annotated[Path, typer.Option(help="The gateway's TOML file.")]) -> None:
    """Serve. Prints one JSON line when ready, logs JSON lines on stderr, drains on SIGTERM.

    In that line `ready` is true, or "reads" where the ledger cannot be reached, so that no writes are taken yet."""
    loaded = load_or_exit(config)
    log_json()
    try:
        run(_serve(loaded, config))
    except ConfigError as exc:
        raise refuse(mistakes_of(loaded, config, exc.mistakes)) from None
    except OSError as exc:
        raise refuse([f"server: {exc}"]) from None


async def _serve(config: Config, source: Path) -> None:
    async with running(config, source=source) as addresses:
        doors = addresses._asdict()
        ready = True if doors.pop("writes") else "reads"
        await serve_until_signalled(ready=ready, **{door: address for door, address in doors.items() if address})
